"""What every request passes first: a correlation id, and a cap on the size of its body."""

from __future__ import annotations

import re
from secrets import token_hex

import structlog
from fastapi import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import problem

MAX_BODY_BYTES = 1024 * 1024
HEADER = "X-Correlation-ID"
_HEADER = HEADER.lower().encode()
_SAFE = re.compile(r"[A-Za-z0-9._-]{8,64}")


class Correlation:
    """Gives each request an id, taken from the caller when it is harmless, and answers with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = _header(scope, _HEADER)
        identity = given if _SAFE.fullmatch(given) else token_hex(12)
        scope.setdefault("state", {})["correlation_id"] = identity

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (_HEADER, identity.encode()),
                ]
            await send(message)

        with structlog.contextvars.bound_contextvars(correlation_id=identity):
            await self._app(scope, receive, answer)


class BodyCap:
    """Answers 413 as soon as the length is known or counted to be over the cap."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._detail = f"the body is larger than {max_bytes} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = _header(scope, b"content-length")
        if declared.isdigit() and (len(declared) > 15 or int(declared) > self._max_bytes):
            await self._refuse(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                # FastAPI lets this one through where it reads the body, and no other.
                raise HTTPException(413, self._detail)
            return message

        await self._app(scope, counted, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The rest is not read: the connection cannot be used again.
        request = Request(scope)
        answer = problem(413, self._detail, request=request, headers={"Connection": "close"})
        await answer(scope, receive, send)


def _header(scope: Scope, name: bytes) -> str:
    """The first header of this name; the server has put the names in lower case."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
