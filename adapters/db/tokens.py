"""Staff tokens: created once, shown once, kept only as a hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.ids import new_id
from adapters.db.models import TokenRow
from domain.errors import BadInput, FieldError, NotFound
from domain.roles import Role, granted, read_roles

PREFIX = "fw_"
MAX_NAME = 100
_COLUMNS = (TokenRow.id, TokenRow.name, TokenRow.roles)


class Token(BaseModel):
    """A token that is in force; `name` says who holds it."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    roles: tuple[Role, ...]

    def has(self, role: Role) -> bool:
        """Whether it grants a role, directly or through another."""
        return role in granted(self.roles)


class Tokens:
    """The tokens in PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def create(self, name: str, roles: Iterable[str]) -> str:
        """Make a token and return its secret, which cannot be had again."""
        secret = new_secret()
        values = self._values(secret, name, roles)
        async with self.engine.begin() as conn:
            await conn.execute(insert(TokenRow).values(values))
        return secret

    async def ensure(self, secret: str, name: str, roles: Iterable[str]) -> None:
        """Make sure that a secret kept elsewhere is in force; doing it twice changes nothing."""
        statement = upsert(TokenRow).values(self._values(secret, name, roles))
        async with self.engine.begin() as conn:
            await conn.execute(statement.on_conflict_do_nothing(index_elements=["token_hash"]))

    async def revoke(self, reference: str, now: datetime) -> tuple[Token, ...]:
        """End the token with this id, or all that carry this name; raises NotFound."""
        statement = (
            update(TokenRow)
            .where(or_(TokenRow.id == reference, TokenRow.name == reference))
            .where(TokenRow.revoked_at.is_(None))
            .values(revoked_at=now)
            .returning(*_COLUMNS)
        )
        async with self.engine.begin() as conn:
            rows = (await conn.execute(statement)).all()
        if not rows:
            raise NotFound("no token in force has this id or name")
        return tuple(_token(row) for row in rows)

    async def find(self, secret: str) -> Token | None:
        """The token behind a secret, or None when there is none in force."""
        digest = _hash(secret)
        statement = (
            select(*_COLUMNS, TokenRow.token_hash)
            .where(TokenRow.token_hash == digest)
            .where(TokenRow.revoked_at.is_(None))
        )
        async with self.engine.connect() as conn:
            row = (await conn.execute(statement)).one_or_none()
        # The look-up is by hash, so its time tells nothing of the secret; this makes it certain.
        if row is None or not hmac.compare_digest(bytes(row.token_hash), digest):
            return None
        return _token(row)

    async def by_id(self, token_id: str) -> Token | None:
        """The token of a session, or None when it was revoked meanwhile."""
        statement = select(*_COLUMNS).where(TokenRow.id == token_id, TokenRow.revoked_at.is_(None))
        async with self.engine.connect() as conn:
            row = (await conn.execute(statement)).one_or_none()
        return _token(row) if row else None

    @staticmethod
    def _values(secret: str, name: str, roles: Iterable[str]) -> dict[str, object]:
        name = " ".join(name.split())
        if not name or len(name) > MAX_NAME or not name.isprintable():
            raise BadInput(
                "a token needs the name of its holder",
                [FieldError(field="name", value=name[:50], allowed=f"1 to {MAX_NAME} characters")],
            )
        return {
            "id": new_id("tok"),
            "name": name,
            "token_hash": _hash(secret),
            "roles": [str(role) for role in read_roles(roles)],
        }


def new_secret() -> str:
    """A fresh secret of 256 bits."""
    return PREFIX + secrets.token_urlsafe(32)


def _hash(secret: str) -> bytes:
    # Plain SHA-256 is enough: the secret is 256 random bits, there is nothing to guess.
    return hashlib.sha256(secret.encode()).digest()


def _token(row: Row[*tuple[Any, ...]]) -> Token:
    return Token(id=row.id, name=row.name, roles=tuple(Role(name) for name in row.roles))
