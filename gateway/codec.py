"""Makes encrypted payloads readable in the Temporal UI and its command line, for staff."""

from __future__ import annotations

from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Request, Response
from google.protobuf import json_format
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from temporalio.api.common.v1 import Payloads
from temporalio.converter import PayloadCodec

from domain.errors import BadInput, FieldError, NotFound, Refused
from domain.roles import Role
from gateway.auth import Actor, Auth
from gateway.deps import Deps
from gateway.problems import correlation_id
from runtime.codec import PayloadDamaged, PayloadKeyMissing

PREFIX = "/codec"
HEADERS = ("Authorization", "Content-Type", "X-Namespace")
# A payload may hold what a viewer's pages leave out: the monitors' own words, reasons, internal
# hosts. Responders debug runs with it, compliance examines them.
READERS = (Role.RESPONDER, Role.COMPLIANCE)
# Whoever may put a message into a workflow through Temporal is an approver.
WRITERS = (Role.APPROVER,)
_MAX_NAMESPACE = 200
_log = structlog.get_logger(__name__)


class CodecCors:
    """Lets the pages of the Temporal UI, and no others, read the answers of `/codec/…`."""

    def __init__(self, app: ASGIApp, ui_url: str | None) -> None:
        self._app = app
        self._cors = CORSMiddleware(
            app,
            allow_origins=[origin_of(ui_url)] if ui_url else [],
            allow_methods=["POST"],
            allow_headers=HEADERS,
            # The local UI has no token to pass on; with the session cookie it needs none.
            allow_credentials=True,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"].startswith(f"{PREFIX}/")
        await (self._cors if ours else self._app)(scope, receive, send)


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, as a browser names the pages under it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def router(deps: Deps) -> APIRouter:
    """The remote codec of Temporal: `POST /codec/encode` and `/codec/decode`."""
    routes = APIRouter(tags=["codec"], prefix=PREFIX)
    auth = Auth(deps)

    async def let_in(request: Request, *roles: Role) -> Actor:
        actor = await auth.identify(request)
        _check_origin(request, actor, deps.temporal_ui)
        if not any(actor.has(role) for role in roles):
            raise Refused("forbidden", f"this needs the role {' or '.join(roles)}")
        return actor

    @routes.post("/decode")
    async def decode(request: Request) -> Response:
        """Decrypt payloads; what is not encrypted comes back as it is."""
        actor = await let_in(request, *READERS)
        codec, given = _codec(deps), await _payloads(request)
        try:
            done = await codec.decode(given.payloads)
        except (PayloadKeyMissing, PayloadDamaged) as error:
            _note("payloads_not_decoded", request, actor, given, reason=type(error).__name__)
            raise Refused("payload_unreadable", str(error)) from error
        _note("payloads_decoded", request, actor, given)
        return _answer(Payloads(payloads=done))

    @routes.post("/encode")
    async def encode(request: Request) -> Response:
        """Encrypt payloads that are to be sent to a workflow by hand."""
        actor = await let_in(request, *WRITERS)
        codec, given = _codec(deps), await _payloads(request)
        done = await codec.encode(given.payloads)
        _note("payloads_encoded", request, actor, given)
        return _answer(Payloads(payloads=done))

    return routes


def _codec(deps: Deps) -> PayloadCodec:
    if deps.payload_codec is None:
        raise NotFound(
            "payloads are not encrypted here: FOREWARN_PAYLOAD_KEYS is not set, and the Temporal "
            "UI shows them without this address"
        )
    return deps.payload_codec


def _check_origin(request: Request, actor: Actor, ui_url: str | None) -> None:
    """A browser adds the session by itself, so only the UI's own pages may use it."""
    if actor.session is None:
        return
    if ui_url is None or request.headers.get("origin") != origin_of(ui_url):
        raise Refused("forbidden", "a session serves the pages of the Temporal UI only")


async def _payloads(request: Request) -> Payloads:
    body = await request.body()
    try:
        return json_format.Parse(body, Payloads(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError):
        # The parser's own words may repeat what was sent.
        allowed = '{"payloads": [{"metadata": {"encoding": base64}, "data": base64}]}'
        raise BadInput(
            "the body holds no payloads", [FieldError(field="payloads", allowed=allowed)]
        ) from None


def _answer(payloads: Payloads) -> Response:
    return Response(
        json_format.MessageToJson(payloads, indent=None),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _note(event: str, request: Request, actor: Actor, given: Payloads, **more: str) -> None:
    """One line per use for the security log: who and how much, never what."""
    _log.info(
        event,
        actor=actor.id,
        session=actor.session is not None,
        namespace=request.headers.get("x-namespace", "")[:_MAX_NAMESPACE],
        payloads=len(given.payloads),
        remote=request.client.host if request.client else None,
        correlation_id=correlation_id(request),
        **more,
    )
