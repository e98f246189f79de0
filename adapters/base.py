"""What every adapter is made of, and how a webhook's secret is checked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.errors import Unauthorized
from domain.signal import Signal

KINDS = (
    "monitor", "email", "sms", "in_app", "status_page", "social", "chat", "helpdesk", "crm",
    "itsm", "warehouse", "playbook", "drafter", "internal",
)  # fmt: skip


class AdapterSettings(BaseSettings):
    """Settings of one adapter: a subclass names its `env_prefix`; an empty variable is unset."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )


class MonitorSettings(AdapterSettings):
    """The one setting that all monitors share: `<SOURCE>_WEBHOOK_SECRET`."""

    webhook_secret: SecretStr | None = None

    @field_validator("webhook_secret")
    @classmethod
    def _blank_is_unset(cls, value: SecretStr | None) -> SecretStr | None:
        # A blank secret would let in whoever sends a blank one.
        return value if value is not None and value.get_secret_value().strip() else None


@dataclass(frozen=True)
class AdapterSpec:
    """A leaf's one constant: how it is called, what it needs, what it can do, how it is built.

    `build` takes an instance of `settings`. `roles` are the abilities, such as verify, parse,
    sign, send, lookup. `summary` is one line for the generated table.
    """

    name: str
    kind: str
    settings: type[AdapterSettings]
    build: Callable[[Any], Any]
    roles: tuple[str, ...]
    summary: str


class Monitor(Protocol):
    """A source of alerts."""

    name: str

    def verify(self, headers: Mapping[str, str], body: bytes, secret: SecretStr) -> None:
        """Raise Unauthorized unless the sender knew the secret; compares in constant time."""
        ...

    def parse(self, body: bytes) -> list[Signal]:
        """The alerts of a delivery, none when it speaks of something else. Raises BadInput."""
        ...

    def sign(self, body: bytes, secret: SecretStr) -> dict[str, str]:
        """The headers with which the source would send this body."""
        ...


def header(headers: Mapping[str, str], name: str) -> str | None:
    """A header's value, whatever the case of its name."""
    found = headers.get(name)
    if found is not None:
        return found
    wanted = name.lower()
    return next((value for key, value in headers.items() if key.lower() == wanted), None)


def same(given: str, expected: str) -> bool:
    """Compare two texts in constant time; works for any characters."""
    return hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass")
    )


def hmac_sha256(body: bytes, secret: SecretStr) -> str:
    """Hex HMAC-SHA256 of the raw body."""
    return hmac.new(secret.get_secret_value().encode(), body, hashlib.sha256).hexdigest()


def bearer_or_basic(headers: Mapping[str, str]) -> str | None:
    """The secret of an Authorization header: the bearer token or the basic-auth password."""
    scheme, _, rest = (header(headers, "authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(rest.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        return decoded.partition(":")[2]
    return None


def require_shared_secret(headers: Mapping[str, str], secret: SecretStr) -> None:
    """Raise Unauthorized unless Authorization carries the secret itself."""
    given = bearer_or_basic(headers)
    if given is None or not same(given, secret.get_secret_value()):
        raise Unauthorized("the Authorization header does not carry the webhook secret")
