"""How the console's pages are made: escaped, without scripts, never cached."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import yaml
from fastapi import Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

HERE = Path(__file__).parent
# Mails carry their style in attributes, and a sandboxed `srcdoc` frame inherits this policy.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
STYLE = (HERE / "static" / "console.css").read_text()
# A mail gets its own style only with the shell around it, which a preview does not have.
FRAME_STYLE = f"<style>{(HERE / 'static' / 'preview.css').read_text()}</style>"
# Characters that turn or hide the text around them: an alert must not redraw the console.
_TURNING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u2069]")
CATALOG = yaml.safe_load((HERE.parent / "content" / "locales" / "en.yaml").read_text("utf-8"))


def _instant(value: datetime | None) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if value else "-"


def _plain(text: str) -> str:
    """Outside text without what steers how the text around it is shown."""
    return _TURNING.sub("", text)


def _outside(text: str) -> Markup:
    """Outside text on its own: whatever its direction, its neighbours stay where they are."""
    return Markup("<bdi>{}</bdi>").format(_plain(text))


def _words(key: str) -> str:
    """A key such as `status_page` as words."""
    return key.replace("_", " ").replace("-", " ")


ENVIRONMENT = Environment(
    loader=FileSystemLoader(HERE / "templates" / "console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters["instant"] = _instant
ENVIRONMENT.filters["plain"] = _plain
ENVIRONMENT.filters["outside"] = _outside
ENVIRONMENT.filters["words"] = _words
ENVIRONMENT.filters["moment"] = lambda key: CATALOG["moments"].get(key, _words(key))
ENVIRONMENT.filters["stage"] = lambda key: CATALOG["stages"].get(key, _words(key))
ENVIRONMENT.filters["channel"] = lambda key: CATALOG["channels"].get(key, _words(key))
ENVIRONMENT.globals["frame_style"] = FRAME_STYLE


def render(template: str, status: int = 200, **values: object) -> Response:
    """A page of the console."""
    html = ENVIRONMENT.get_template(template).render(**values)
    return HTMLResponse(html, status, headers=HEADERS)
