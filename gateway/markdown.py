"""Our own Markdown documents as HTML: headings, tables, lists, emphasis; everything else is text.

Only what `content/templates/*/post_mortem_internal.md.j2` uses is known. No link and no raw HTML
ever comes out, so that text from outside cannot become either.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_HEADING = re.compile(r"(#{1,4}) +(.+)")
_ITEM = re.compile(r"- +(.*)")
_RULE = re.compile(r"\|(?: *:?-+:? *\|)+")
_INLINE = re.compile(r"\\([\\`*_{}\[\]<>#|!~])|\*([^*\\]+)\*")
_CELL = re.compile(r"(?<!\\)\|")
_LINE = re.compile(r"(?:#{1,4} |- |\|)")


def markdown_html(document: str) -> Markup:
    """The document as an HTML fragment."""
    lines = document.replace("\r\n", "\n").split("\n")
    out: list[Markup] = []
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        if not line:
            at += 1
            continue
        heading = _HEADING.fullmatch(line)
        if heading:
            level = len(heading[1])
            out.append(Markup("<h{0}>{1}</h{0}>").format(level, _inline(heading[2])))
            at += 1
            continue
        end = at
        if line.startswith("|"):
            while end < len(lines) and lines[end].strip().startswith("|"):
                end += 1
            out.append(_table([text.strip() for text in lines[at:end]]))
        elif _ITEM.fullmatch(line):
            end = _list_end(lines, at)
            out.append(_list([text.strip() for text in lines[at:end] if text.strip()]))
        else:
            end += 1
            while end < len(lines) and lines[end].strip() and not _LINE.match(lines[end].strip()):
                end += 1
            inner = Markup("<br>\n").join(_inline(text.strip()) for text in lines[at:end])
            out.append(Markup('<p dir="auto">{}</p>').format(inner))
        at = end
    return Markup("\n").join(out)


def _list_end(lines: list[str], at: int) -> int:
    """Past the last item; empty lines between items part nothing."""
    end = at
    for index in range(at, len(lines)):
        text = lines[index].strip()
        if _ITEM.fullmatch(text):
            end = index + 1
        elif text:
            break
    return end


def _list(lines: list[str]) -> Markup:
    items = (_ITEM.fullmatch(line) for line in lines)
    inner = Markup("\n").join(
        Markup('<li dir="auto">{}</li>').format(_inline(item[1])) for item in items if item
    )
    return Markup("<ul>\n{}\n</ul>").format(inner)


def _table(lines: list[str]) -> Markup:
    ruled = len(lines) > 1 and _RULE.fullmatch(lines[1]) is not None
    head, body = (lines[:1], lines[2:]) if ruled else ([], lines)
    rows = [_row(line, "th") for line in head if _cells(line) != [""] * len(_cells(line))]
    rows += [_row(line, "td") for line in body]
    return Markup("<table>\n{}\n</table>").format(Markup("\n").join(rows))


def _row(line: str, tag: str) -> Markup:
    cells = (Markup("<{0}>{1}</{0}>").format(tag, _inline(cell)) for cell in _cells(line))
    return Markup("<tr>{}</tr>").format(Markup("").join(cells))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _CELL.split(line.strip())[1:-1]]


def _inline(text: str) -> Markup:
    """Escapes taken back and emphasis marked; all else as text."""
    out, at = Markup(""), 0
    for found in _INLINE.finditer(text):
        out += escape(text[at : found.start()])
        out += found[1] if found[1] else Markup("<em>{}</em>").format(found[2])
        at = found.end()
    return out + escape(text[at:])
