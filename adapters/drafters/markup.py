"""From the plain text of a message to its HTML: same words, escaped, links made clickable."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

from adapters.drafters import environment
from adapters.drafters.facts import SEPARATOR
from domain.message import Channel

WITH_HTML = frozenset({Channel.EMAIL, Channel.STATUS_PAGE})
_LINK = re.compile(r"\[\[link:\w+\]\]")
_BREAKS = re.compile(r"\n{3,}")
_SPACES = re.compile(r"[ \t]+")


def tidy(text: str) -> str:
    """One space between words, one empty line between paragraphs."""
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    return _BREAKS.sub("\n\n", "\n".join(lines)).strip()


@dataclass(frozen=True)
class Block:
    """A paragraph (`lines`), a list (`items`) or labelled facts (`rows`): one of them is filled."""

    lines: tuple[Markup, ...] = ()
    items: tuple[Markup, ...] = ()
    rows: tuple[tuple[Markup, Markup], ...] = ()


class HtmlBody:
    """Lays blocks out as an HTML fragment by `content/templates/body.html.j2`."""

    def __init__(self, content_dir: Path) -> None:
        self._template = environment.escaped(content_dir).get_template("body.html.j2")

    def render(self, text: str, label: str = ": ") -> str:
        """The fragment of a text whose labelled lines hold the separator of facts.

        `label` stands for the separator where a line is no row of a table.
        """
        blocks = [_block(p, label) for p in text.split("\n\n") if p.strip()]
        return self._template.render(blocks=blocks).strip()


def _block(paragraph: str, label: str) -> Block:
    lines = paragraph.strip().split("\n")
    if all(SEPARATOR in line for line in lines):
        rows = (line.split(SEPARATOR, 1) for line in lines)
        return Block(rows=tuple((_inline(name), _inline(value)) for name, value in rows))
    if all(line.startswith("- ") for line in lines):
        return Block(items=tuple(_inline(line[2:]) for line in lines))
    return Block(lines=tuple(_inline(line.replace(SEPARATOR, label)) for line in lines))


def _inline(text: str) -> Markup:
    out, at = Markup(), 0
    for m in _LINK.finditer(text):
        out += escape(text[at : m.start()])
        out += Markup('<a href="{0}">{0}</a>').format(m[0])
        at = m.end()
    return out + escape(text[at:])
