"""Takes a person's address and name out of free text, in whatever table it stands."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

ERASED = "(erased)"
# Sealed or without words of anybody; or handled row by row, because a namesake may stand there.
_UNTOUCHED = frozenset(
    {
        "audit_log", "policies", "alembic_version", "erasures", "contacts", "accounts",
        "suppressions", "audience_members", "audience_exclusions", "tokens", "switches",
        "rate_limits", "rate_demand",
    }
)  # fmt: skip
# Of the ledger only what no digest covers; names and addresses go by contact.
_LEDGER_COLUMNS = frozenset({"reason", "provider_id"})
# They name staff: a customer of the same name is somebody else.
_STAFF = frozenset(
    {
        "actor",
        "author",
        "decided_by",
        "published_by",
        "changed_by",
        "opened_by",
        "allowed_by",
        "assignee",
    }
)
_NAMESAKES = frozenset({"contacts", "accounts", "tokens", "deliveries", "switches"})

_COLUMNS = text(
    """
    SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, NULL) AS type,
        EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = c.oid AND x.indisunique
                AND a.attnum = ANY(x.indkey))
        OR EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'
                   AND a.attnum = ANY(k.conkey)) AS keyed
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
      AND a.attnum > 0 AND NOT a.attisdropped
      AND format_type(a.atttypid, NULL) IN ('text', 'character varying', 'jsonb', 'json', 'text[]')
    ORDER BY 1, 2
    """
)


@dataclass(frozen=True)
class Column:
    """One column that can hold words; `keyed`: other rows hang on its value."""

    table: str
    name: str
    type: str
    keyed: bool

    @property
    def for_names(self) -> bool:
        """Whether a name in it means the person, and not a namesake or a member of staff."""
        return self.table not in _NAMESAKES and self.name not in _STAFF

    @property
    def free(self) -> bool:
        """Whether it may be rewritten."""
        if self.keyed or self.table in _UNTOUCHED:
            return False
        return self.table != "deliveries" or self.name in _LEDGER_COLUMNS

    @property
    def as_text(self) -> str:
        if self.type == "text[]":
            return f"array_to_string(t.{self.name}, chr(10))"
        return f"t.{self.name}::text"

    def rewritten(self, pattern: str) -> str:
        """SQL of the column without the words."""
        if self.type == "text[]":
            return (
                f"ARRAY(SELECT {_replaced('u.x', pattern)} FROM unnest(t.{self.name})"
                " WITH ORDINALITY AS u(x, n) ORDER BY u.n)"
            )
        # A varchar is no shorter than its words; what is put in their place is.
        cast = self.type if self.type in ("json", "jsonb") else "text"
        return f"CAST({_replaced(f't.{self.name}::text', pattern)} AS {cast})"


@dataclass(frozen=True)
class Words:
    """What is searched: addresses and telephones anywhere, full names where they mean the person.

    A name of one word is not searched: it would take that word out of everybody's sentences.
    """

    addresses: frozenset[str]
    names: frozenset[str]

    @property
    def full_names(self) -> frozenset[str]:
        return frozenset(name for name in self.names if len(name.split()) > 1)

    def pattern(self, column: Column) -> str | None:
        """The regular expression for a column; None where there is nothing to search."""
        found = []
        if self.addresses:
            # "ada@example.com" stands neither in "xada@example.com" nor in "ada@example.com.au".
            after = r"(?![[:alnum:]-]|\.[[:alnum:]])"
            found.append(_begins("[:alnum:]._%+-") + _any(self.addresses) + after)
        if column.for_names and self.full_names:
            found.append(_begins("[:alnum:]") + _any(self.full_names) + "(?![[:alnum:]])")
        return "|".join(found) or None


class Scrubber:
    """Looks through every table there is, those of later releases included."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def rewrite(self, words: Words) -> dict[str, int]:
        """Replace the words in free text, one transaction per table; rows changed by table.

        Drafts of open incidents stay: their text is approved, or about to be, to the letter.
        """
        changed: dict[str, int] = {}
        columns = [column for column in await self._columns() if column.free]
        for table in sorted({column.table for column in columns}):
            given = {f"p{n}": (c, p) for n, c in enumerate(columns)
                     if c.table == table and (p := words.pattern(c))}  # fmt: skip
            if not given:
                continue
            sets = ", ".join(f"{c.name} = {c.rewritten(key)}" for key, (c, _) in given.items())
            where = " OR ".join(_holds(c, key) for key, (c, _) in given.items())
            statement = f"UPDATE {table} t SET {sets} WHERE ({where}) {_settled(table)}"
            async with self.engine.begin() as conn:
                done = await conn.execute(text(statement), {k: p for k, (_, p) in given.items()})
            if done.rowcount:
                changed[table] = done.rowcount
        return changed

    async def find(self, words: Words) -> dict[str, int]:
        """Rows that still hold the words, by `table.column`."""
        found: dict[str, int] = {}
        for column in await self._columns():
            pattern = words.pattern(column)
            if pattern is None:
                continue
            statement = f"SELECT count(*) FROM {column.table} t WHERE {_holds(column, 'p')}"
            async with self.engine.connect() as conn:
                rows = (await conn.execute(text(statement), {"p": pattern})).scalar_one()
            if rows:
                found[f"{column.table}.{column.name}"] = rows
        return found

    async def _columns(self) -> list[Column]:
        async with self.engine.connect() as conn:
            rows = (await conn.execute(_COLUMNS)).all()
        return [Column(row.table, row.column, row.type, row.keyed) for row in rows]


def _settled(table: str) -> str:
    if table not in ("drafts", "draft_texts"):
        return ""
    return "AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.id = t.incident_id AND i.open)"


def _holds(column: Column, key: str) -> str:
    return f"{column.as_text} ~* CAST(:{key} AS text)"


def _replaced(expression: str, key: str) -> str:
    return f"regexp_replace({expression}, CAST(:{key} AS text), '{ERASED}', 'gi')"


# In JSON a line break is a backslash and a letter, which is none of the word.
_BREAK = r"\\[nrt]"
_SPACE = rf"(?:\s|&nbsp;|{_BREAK})+"


def _begins(letters: str) -> str:
    """The place where a word begins: not within a longer one."""
    return rf"(?:(?<![{letters}])|(?<={_BREAK}))"


def _any(words: Iterable[str]) -> str:
    variants = {variant for word in words for variant in _variants(word)}
    return f"(?:{'|'.join(sorted(_escaped(variant) for variant in variants))})"


def _variants(word: str) -> set[str]:
    """As it stands, and as it stands in HTML, JSON and links."""
    in_html = html.escape(word)
    by_number = in_html.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    in_json = json.dumps(word, ensure_ascii=False)[1:-1]
    return {word, in_html, by_number, in_json, quote(word)}


def _escaped(word: str) -> str:
    """For PostgreSQL's regular expressions; any white space stands for any other."""
    return _SPACE.join(re.sub(r"([^\w])", r"\\\1", part) for part in word.split())
