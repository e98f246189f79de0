"""How public pages are made: escaped templates, security headers, caching, text to paragraphs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from fastapi import Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from gateway.words import Words

HERE = Path(__file__).parent
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "object-src 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
PUBLIC_FOR_SECONDS = "public, max-age={}"
NEVER = "no-store"

_URL = re.compile(r"https?://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]]")
_PARAGRAPH = re.compile(r"\n[ \t]*\n+")


def linked(text: str) -> Markup:
    """Escaped text in which web addresses are links; nothing else becomes markup."""
    out, end = Markup(""), 0
    for found in _URL.finditer(text):
        url = found.group()
        out += escape(text[end : found.start()])
        out += Markup('<a href="{}" rel="nofollow">{}</a>').format(url, url)
        end = found.end()
    return out + escape(text[end:])


def paragraphs(text: str) -> Markup:
    """Plain text as paragraphs: a blank line parts them, a newline breaks the line."""
    blocks = _PARAGRAPH.split(text.replace("\r\n", "\n").replace("\r", "\n").strip())
    # `dir` keeps a text written from right to left from turning its surroundings around.
    return Markup("").join(
        Markup('<p dir="auto">{}</p>').format(
            Markup("<br>\n").join(linked(line) for line in block.split("\n"))
        )
        for block in blocks
        if block.strip()
    )


ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates" / "public"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters["paragraphs"] = paragraphs


class Drawing:
    """A finished body and its ETag."""

    def __init__(self, body: str | bytes) -> None:
        self.content = body.encode() if isinstance(body, str) else body
        self.etag = f'W/"{hashlib.sha256(self.content).hexdigest()[:20]}"'


class Drawings:
    """Finished bodies, each kept for as long as the very view it was drawn from is current.

    In an outage everybody asks for the same few pages.
    """

    def __init__(self, most: int = 200) -> None:
        self._most = most
        self._kept: dict[tuple[str, ...], tuple[object, Drawing]] = {}

    def of(self, key: tuple[str, ...], view: object, draw: Callable[[], str | bytes]) -> Drawing:
        """What `draw` makes of the view, drawn once; `key` is all else that it depends on."""
        found = self._kept.get(key)
        if found is not None and found[0] is view:
            return found[1]
        if len(self._kept) >= self._most:
            self._kept.clear()
        drawing = Drawing(draw())
        self._kept[key] = view, drawing
        return drawing


def html(template: str, words: Words, values: Mapping[str, object]) -> str:
    """An HTML page as text."""
    return ENVIRONMENT.get_template(template).render(w=words, **values)


def page(
    request: Request,
    template: str,
    words: Words,
    values: Mapping[str, object],
    *,
    status: int = 200,
    cache: str = NEVER,
) -> Response:
    """An HTML page with its headers."""
    return answer(request, Drawing(html(template, words, values)), words, cache, status)


def answer(
    request: Request, drawing: Drawing, words: Words, cache: str, status: int = 200
) -> Response:
    """A finished HTML page with its headers."""
    headers = {"Content-Language": words.locale, "Vary": "Accept-Language"}
    return cached(request, drawing, "text/html; charset=utf-8", cache, headers, status)


def cached(
    request: Request,
    body: str | bytes | Drawing,
    media_type: str,
    cache: str,
    headers: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    """A response with its ETag; 304 for whoever has it already."""
    drawing = body if isinstance(body, Drawing) else Drawing(body)
    every = {**SECURITY_HEADERS, "Cache-Control": cache, **(headers or {})}
    if cache != NEVER:
        every["ETag"] = drawing.etag
        asked = request.headers.get("if-none-match", "")
        if drawing.etag in (part.strip() for part in asked.split(",")):
            return Response(status_code=304, headers=every)
    return Response(drawing.content, status, headers=every, media_type=media_type)
