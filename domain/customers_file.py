"""The customers file: CSV in UTF-8, read row by row; a bad row says where and why."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from domain.customers import COLUMNS, REQUIRED, Allowed, CustomerRow, read_row
from domain.errors import BadInput, FieldError

MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
SHOWN = 80


class CustomersFile:
    """A file whose header is in order; raises BadInput when it is not.

    `columns` are the known columns it has, `ignored` the unknown ones. Iterating yields the line
    number with the row, or with what is wrong with it. What makes the rest of a file unreadable
    (a byte that is not UTF-8, an unclosed quote) raises BadInput.
    """

    def __init__(self, lines: Iterable[bytes], allowed: Allowed, ignore_unknown: bool) -> None:
        # Strict, because the lenient reader swallows lines behind a stray quote.
        self._reader = csv.reader(_decode(lines), strict=True)
        self._allowed = allowed
        self._header = [name.strip() for name in self._next() or ()]
        self.columns = tuple(name for name in self._header if name in COLUMNS)
        self.ignored = tuple(name for name in self._header if name not in COLUMNS)
        self._check_header(ignore_unknown)
        self._known = [(i, name) for i, name in enumerate(self._header) if name in COLUMNS]
        self._seen: dict[str, int] = {}

    def __iter__(self) -> Iterator[tuple[int, CustomerRow | list[FieldError]]]:
        while True:
            line = self._reader.line_num + 1
            cells = self._next()
            if cells is None:
                return
            if "".join(cells).strip():
                yield line, self._read(line, cells)

    def _read(self, line: int, cells: list[str]) -> CustomerRow | list[FieldError]:
        if len(cells) != len(self._header):
            allowed = f"{len(self._header)} cells, as in the header"
            return [FieldError(field=f"line {line}", value=f"{len(cells)} cells", allowed=allowed)]
        named = {name: cells[index] for index, name in self._known}
        try:
            row = read_row(named, self._allowed)
        except BadInput as error:
            return [
                fault.model_copy(update={"field": f"line {line}, column {fault.field}"})
                for fault in error.errors
            ]
        first = self._seen.setdefault(row.contact_id, line)
        if first != line:
            allowed = f"each contact once; it stands on line {first} already"
            where = f"line {line}, column contact_id"
            return [FieldError(field=where, value=row.contact_id[:SHOWN], allowed=allowed)]
        return row

    def _next(self) -> list[str] | None:
        line = self._reader.line_num + 1
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise BadInput(f"line {line}: not readable as CSV ({error})") from None

    def _check_header(self, ignore_unknown: bool) -> None:
        if not self._header:
            raise BadInput(f"the file is empty; a header with {', '.join(REQUIRED)} is required")
        if len(self._header) == 1 and ";" in self._header[0]:
            raise BadInput("line 1: the cells are separated by ';'; allowed: ','")
        faults = [
            FieldError(field=f"column {name}", value=None, allowed="present, it is required")
            for name in REQUIRED
            if name not in self._header
        ]
        faults += [
            FieldError(field="line 1", value=name[:SHOWN], allowed="each column once")
            for name in dict.fromkeys(self._header)
            if self._header.count(name) > 1
        ]
        if not ignore_unknown:
            faults += [
                FieldError(field="line 1, unknown column", value=name[:SHOWN], allowed=_hint(name))
                for name in self.ignored
            ]
        if faults:
            raise BadInput("the header is not valid", faults)


def _hint(name: str) -> str:
    close = get_close_matches(name.lower().replace(" ", "_"), COLUMNS, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"{meant}known columns, or --ignore-unknown"


def _decode(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if number == 1 and line[:2] in MARKS:
            raise BadInput(f"line 1: the file is {MARKS[line[:2]]}; allowed: UTF-8")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BadInput(f"line {number}: byte {error.start + 1} is not UTF-8") from None
