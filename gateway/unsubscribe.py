"""The way out of the mails: a link that asks first, and one click for mail programs (RFC 8058)."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Request, Response

from domain.errors import BadInput
from domain.tokens import unsign
from gateway.banner import BannerDeps
from gateway.pages import page
from gateway.status_page import Frame
from gateway.words import page_locales
from runtime.public import unsubscribes

log = structlog.get_logger()


def router(deps: BannerDeps) -> APIRouter:
    """`/unsubscribe` and `/unsubscribe/{token}`."""
    routes = APIRouter(include_in_schema=False)
    store = unsubscribes(deps.engine)

    def contact(token: str) -> str | None:
        try:
            found = unsign(deps.secret_key.get_secret_value(), "unsubscribe", token).get("c")
        except BadInput:
            return None
        return found if isinstance(found, str) and "\x00" not in found else None

    def answer(
        request: Request, heading: str, *lines: str, status: int = 200,
        button: str | None = None, mail: str | None = None,
    ) -> Response:  # fmt: skip
        frame = Frame(deps, page_locales(deps.policy), request)
        catalog = frame.words.unsubscribe
        said = [catalog[line].format(company=deps.policy.company.name) for line in lines]
        values = {
            "heading": catalog[heading],
            "lines": said,
            "button": catalog[button] if button else None,
            "mail": mail,
        }
        return page(request, "message.html", frame.words, frame.values | values, status=status)

    def bad(request: Request) -> Response:
        return answer(
            request, "bad", "bad_text", status=404, mail=deps.policy.company.support_email
        )

    @routes.api_route("/unsubscribe", methods=["GET", "HEAD"])
    async def explain(request: Request) -> Response:
        return answer(request, "title", "explain", mail=deps.policy.company.support_email)

    @routes.api_route("/unsubscribe/{token}", methods=["GET", "HEAD"])
    async def ask(request: Request, token: str) -> Response:
        # Mail scanners follow every link: looking must never unsubscribe.
        if contact(token) is None:
            return bad(request)
        return answer(request, "title", "question", "consequence", button="button")

    @routes.post("/unsubscribe/{token}")
    async def unsubscribe(request: Request, token: str) -> Response:
        # The body says nothing that the address does not: `List-Unsubscribe=One-Click`.
        contact_id = contact(token)
        if contact_id is None:
            return bad(request)
        changed = await store.unsubscribe(contact_id, deps.now())
        log.info("unsubscribed", changed=changed)
        return answer(request, "done", "done_text")

    return routes
