"""`Idempotency-Key`: a repeated command is answered as the first time, not carried out again."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from domain.errors import BadInput, FieldError, Refused
from gateway.auth import Auth
from gateway.deps import Deps
from runtime.staff import Answer, Claim, staff_stores

HEADER = "Idempotency-Key"
MAX_KEY = 200
# A command answers within 10 s or gives up, so that whoever repeats it can wait it out.
WAIT_SECONDS = 12.0
POLL_SECONDS = 0.1

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def idempotent_route(deps: Deps, auth: Auth) -> type[APIRoute]:
    """The route class of commands: it keeps answers of successful POSTs that carry a key."""
    store = staff_stores(deps.engine).idempotency

    class IdempotentRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            original = super().get_route_handler()

            async def handler(request: Request) -> Response:
                key = read_key(request)
                if key is None or request.method != "POST":
                    return await original(request)
                actor = (await auth.identify(request)).id
                digest = await _request_hash(request)
                claim = await _claim(key, actor, digest)
                if isinstance(claim, Answer):
                    headers = {"Idempotent-Replayed": "true"}
                    return Response(claim.body, claim.status, headers, "application/json")
                try:
                    response = await original(request)
                except BaseException:
                    # Nothing was answered: the caller repeats it, and Temporal knows the update.
                    await store.release(key, actor)
                    raise
                body = bytes(response.body).decode()
                await store.answer(key, actor, Answer(response.status_code, body))
                return response

            return handler

    async def _claim(key: str, actor: str, digest: str) -> Answer | Claim:
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            claim = await store.claim(key, actor, digest, deps.now())
            if claim is not Claim.BUSY:
                return claim
            if asyncio.get_running_loop().time() > deadline:
                raise Refused("in_progress", "the same command is still being carried out")
            await asyncio.sleep(POLL_SECONDS)

    return IdempotentRoute


def read_key(request: Request) -> str | None:
    """The key a command carries; raises BadInput for one that cannot be kept."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 0 < len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        raise BadInput(
            "this Idempotency-Key cannot be used",
            [FieldError(field=HEADER, value=key[:80], allowed=f"1 to {MAX_KEY} ASCII characters")],
        )
    return key


async def _request_hash(request: Request) -> str:
    digest = hashlib.sha256()
    for part in (request.url.path, request.url.query):
        digest.update(part.encode() + b"\0")
    digest.update(await request.body())
    return digest.hexdigest()
