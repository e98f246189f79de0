"""How the console's pages are made: escaped, without scripts, never cached."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import yaml
from fastapi import Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

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
CATALOG = yaml.safe_load((HERE.parent / "content" / "locales" / "en.yaml").read_text("utf-8"))


def _instant(value: datetime | None) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if value else "-"


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
ENVIRONMENT.filters["words"] = _words
ENVIRONMENT.filters["moment"] = lambda key: CATALOG["moments"].get(key, _words(key))
ENVIRONMENT.filters["stage"] = lambda key: CATALOG["stages"].get(key, _words(key))
ENVIRONMENT.filters["channel"] = lambda key: CATALOG["channels"].get(key, _words(key))
ENVIRONMENT.globals["frame_style"] = FRAME_STYLE


def render(template: str, status: int = 200, **values: object) -> Response:
    """A page of the console."""
    html = ENVIRONMENT.get_template(template).render(**values)
    return HTMLResponse(html, status, headers=HEADERS)
