"""Who is calling: a bearer token, or a session that was opened with one."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from fastapi import Request, Response

from domain.errors import BadInput, Refused, Unauthorized
from domain.roles import Role
from domain.tokens import sign, unsign
from gateway.deps import Deps
from runtime.staff import Token, staff_stores

SESSION_COOKIE = "forewarn_session"
SESSION_LASTS = timedelta(hours=12)
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FAILURE_WINDOW = timedelta(minutes=1)
MAX_SECRET = 200
_SESSION, _CSRF = "staff-session", "staff-csrf"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Actor:
    """A signed-in caller; `session` is the session's id, None when a token came with the call."""

    token: Token
    session: str | None = None

    @property
    def id(self) -> str:
        return self.token.id

    @property
    def name(self) -> str:
        return self.token.name

    def has(self, role: Role) -> bool:
        """Whether the caller may act in a role."""
        return self.token.has(role)

    def need(self, role: Role) -> None:
        """Raise Refused `forbidden` unless the caller may act in a role."""
        if not self.has(role):
            raise Refused("forbidden", f"this needs the role {role}")


class Auth:
    """Finds out who is calling, opens and closes sessions."""

    def __init__(self, deps: Deps) -> None:
        self._tokens = staff_stores(deps.engine).tokens
        self._secret = deps.secret_key.get_secret_value()
        self._secure = deps.public_url.startswith("https://")
        self._now = deps.now
        self._failures: deque[datetime] = deque(maxlen=10_000)

    def require(self, role: Role) -> Callable[[Request], Awaitable[Actor]]:
        """A dependency that lets through only callers with a role."""

        async def allowed(request: Request) -> Actor:
            actor = await self.identify(request)
            self._check_origin(request, actor)
            actor.need(role)
            return actor

        return allowed

    async def identify(self, request: Request) -> Actor:
        """The caller; raises Unauthorized. Asked once per request."""
        known = getattr(request.state, "actor", None)
        if isinstance(known, Actor):
            return known
        actor = await self._by_header(request) or await self._by_cookie(request)
        if actor is None:
            raise Unauthorized("sign in, or send `Authorization: Bearer` with a token")
        request.state.actor = actor
        return actor

    async def sign_in(self, request: Request, secret: str) -> Actor:
        """The holder of a token, in a new session; raises Unauthorized."""
        token = await self._find(request, secret)
        if token is None:
            raise Unauthorized("this token is not valid")
        return Actor(token=token, session=secrets.token_urlsafe(16))

    def open_session(self, response: Response, actor: Actor) -> None:
        """Hand the session to the browser; it cannot be read there nor be sent by other sites."""
        expires = int((self._now() + SESSION_LASTS).timestamp())
        payload = {"t": actor.id, "s": actor.session, "e": expires}
        response.set_cookie(
            SESSION_COOKIE,
            sign(self._secret, _SESSION, payload),
            max_age=int(SESSION_LASTS.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )

    def close_session(self, response: Response) -> None:
        """Take the session from the browser."""
        response.delete_cookie(
            SESSION_COOKIE, httponly=True, samesite="strict", secure=self._secure
        )

    def csrf(self, actor: Actor) -> str:
        """What a form of this session must carry."""
        return sign(self._secret, _CSRF, {"s": actor.session})

    def check_csrf(self, actor: Actor, given: str) -> None:
        """Raise Refused `forbidden` unless a form came from a page of this very session."""
        try:
            same = unsign(self._secret, _CSRF, given).get("s") == actor.session
        except BadInput:
            same = False
        if not same:
            raise Refused("forbidden", "this form is out of date; reload the page and try again")

    def _check_origin(self, request: Request, actor: Actor) -> None:
        # A browser adds a cookie by itself, never a bearer token: only sessions can be misused.
        if actor.session is not None and request.method not in SAFE_METHODS:
            self.check_csrf(actor, request.headers.get(CSRF_HEADER, ""))

    async def _by_header(self, request: Request) -> Actor | None:
        header = request.headers.get("authorization")
        if header is None:
            return None
        scheme, _, secret = header.partition(" ")
        token = None
        if scheme.lower() == "bearer":
            token = await self._find(request, secret)
        if token is None:
            raise Unauthorized("this token is not valid")
        return Actor(token=token)

    async def _by_cookie(self, request: Request) -> Actor | None:
        cookie = request.cookies.get(SESSION_COOKIE)
        if not cookie:
            return None
        try:
            payload = unsign(self._secret, _SESSION, cookie)
        except BadInput:
            self._failed(request)
            return None
        expires, session = payload.get("e"), payload.get("s")
        if not isinstance(expires, int) or not isinstance(session, str):
            return None
        if expires <= self._now().timestamp():
            return None
        # Looked up each time, so that revoking a token ends its sessions too.
        token = await self._tokens.by_id(str(payload.get("t")))
        return Actor(token=token, session=session) if token else None

    async def _find(self, request: Request, secret: str) -> Token | None:
        secret = secret.strip()
        token = None
        if 0 < len(secret) <= MAX_SECRET:
            token = await self._tokens.find(secret)
        if token is None:
            self._failed(request)
        return token

    def _failed(self, request: Request) -> None:
        now = self._now()
        self._failures.append(now)
        while self._failures[0] < now - FAILURE_WINDOW:
            self._failures.popleft()
        _log.warning(
            "sign_in_failed",
            remote=request.client.host if request.client else None,
            path=request.url.path,
            failures_last_minute=len(self._failures),
        )
