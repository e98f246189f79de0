"""A local SMTP server that delivers nothing and shows each mail as its reader would see it.

    python -m runtime.smtp_sink --smtp-port 2525 --http-port 8025 --data-dir .forewarn/mail

GET /api/mails?to=&q=&limit=&before= lists newest first, GET /api/mails/{id} has one whole,
DELETE /api/mails removes all.
"""

import argparse
import asyncio
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse, PlainTextResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel
from starlette.middleware.trustedhost import TrustedHostMiddleware

from runtime.mailbox import Mail, Mailbox, MailSummary

HOST = "127.0.0.1"
PAGE = 100
MAX_LIST = 10_000
MAX_MAIL_BYTES = 16 * 1024 * 1024
# Our own pages run no script at all; a mail's HTML may show pictures, as in a mail program.
OWN_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'"
MAIL_POLICY = (
    "default-src 'none'; img-src * data:; style-src 'unsafe-inline'; font-src *; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)


class MailList(BaseModel):
    """A page of mails; `next` goes into `before`."""

    items: list[MailSummary]
    total: int
    next: int | None


class _Receiver:
    """Takes the mails aiosmtpd hands over."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        mail = self._mailbox.add(envelope.mail_from or "", list(envelope.rcpt_tos), raw)
        return f"250 2.0.0 OK queued as {mail.id}"


def create_app(mailbox: Mailbox) -> FastAPI:
    """The pages and the JSON over one mailbox."""
    app = FastAPI(title="Mail sink", docs_url=None, redoc_url=None)
    # Otherwise a web site could reach this page under a name of its own (DNS rebinding).
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("pages")),
        autoescape=True,
        undefined=StrictUndefined,
    )

    def page(name: str, **values: object) -> HTMLResponse:
        body = pages.get_template(name).render(values)
        return HTMLResponse(body, headers={"Content-Security-Policy": OWN_POLICY})

    def whole(mail_id: int) -> Mail:
        mail = mailbox.get(mail_id)
        if mail is None:
            raise HTTPException(404, f"no mail {mail_id}")
        return mail

    def select(to: str, q: str, limit: int, before: int | None) -> MailList:
        found = [mail for mail in mailbox.find(to, q) if before is None or mail.id < before]
        items = list(islice(found, limit))
        return MailList(
            items=items,
            total=len(found),
            next=items[-1].id if len(found) > len(items) and items else None,
        )

    Limit = Annotated[int, Query(ge=1, le=MAX_LIST)]

    @app.get("/")
    async def show_list(to: str = "", q: str = "", before: int | None = None) -> HTMLResponse:
        mails = select(to, q, PAGE, before)
        older = urlencode({"to": to, "q": q, "before": mails.next}) if mails.next else ""
        values = {"mails": mails.items, "total": mails.total, "older": older}
        return page("sink_list.html", to=to, q=q, **values)

    @app.get("/mails/{mail_id}")
    async def show_mail(mail_id: int) -> HTMLResponse:
        return page("sink_mail.html", mail=whole(mail_id))

    @app.get("/mails/{mail_id}/html")
    async def show_html(mail_id: int) -> HTMLResponse:
        # Links must open outside the frame, which nothing in a mail itself asks for.
        body = '<base target="_blank">' + (whole(mail_id).html or "")
        return HTMLResponse(body, headers={"Content-Security-Policy": MAIL_POLICY})

    @app.get("/mails/{mail_id}/raw")
    async def show_raw(mail_id: int) -> PlainTextResponse:
        whole(mail_id)
        headers = {"X-Content-Type-Options": "nosniff"}
        return PlainTextResponse(mailbox.raw(mail_id), headers=headers)

    @app.get("/api/mails")
    async def list_mails(
        to: str = "", q: str = "", limit: Limit = PAGE, before: int | None = None
    ) -> MailList:
        return select(to, q, limit, before)

    @app.get("/api/mails/{mail_id}")
    async def get_mail(mail_id: int) -> Mail:
        return whole(mail_id)

    @app.delete("/api/mails")
    async def delete_mails() -> dict[str, int]:
        return {"deleted": mailbox.clear()}

    @app.get("/healthz")
    async def healthz() -> dict[str, int]:
        return {"mails": len(mailbox)}

    return app


async def serve(smtp_port: int, http_port: int, data_dir: Path) -> None:
    """Serve SMTP and HTTP until SIGINT or SIGTERM."""
    mailbox = Mailbox(data_dir)
    receiver = _Receiver(mailbox)

    def session() -> SMTP:
        return SMTP(
            receiver,
            hostname="localhost",
            ident="Forewarn mail sink",
            enable_SMTPUTF8=True,
            data_size_limit=MAX_MAIL_BYTES,
        )

    smtp = await asyncio.get_running_loop().create_server(session, HOST, smtp_port)
    config = uvicorn.Config(
        create_app(mailbox), host=HOST, port=http_port, access_log=False, log_level="warning"
    )
    try:
        await uvicorn.Server(config).serve()
    finally:
        smtp.close()
        mailbox.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sink as its own program."""
    parser = argparse.ArgumentParser(prog="python -m runtime.smtp_sink", description=__doc__)
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    options = parser.parse_args(arguments)
    asyncio.run(serve(options.smtp_port, options.http_port, options.data_dir))


if __name__ == "__main__":
    main()
