"""Signed tokens for links that need no sign-in: what they carry is readable, but not forgeable."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from domain.errors import BadInput, FieldError

MAX_LENGTH = 2000


def sign(secret: str, purpose: str, payload: dict[str, Any]) -> str:
    """A URL-safe token over `payload`; one made for a purpose is refused for any other.

    The payload can be read by whoever holds the token: ids only, no personal data.
    """
    body = _encode(json.dumps(payload, separators=(",", ":"), sort_keys=True).encode())
    return f"{body}.{_encode(_mac(secret, purpose, body))}"


def unsign(secret: str, purpose: str, token: str) -> dict[str, Any]:
    """What `sign` put in; raises `BadInput` for a token that is not ours or was made otherwise."""
    body, dot, mac = token.partition(".")
    if not dot or len(token) > MAX_LENGTH:
        raise _refused()
    try:
        given = _decode(mac)
        # Compared before the body is parsed, so that a stranger's bytes are never interpreted.
        if not hmac.compare_digest(given, _mac(secret, purpose, body)):
            raise _refused()
        payload = json.loads(_decode(body))
    except (binascii.Error, ValueError) as e:
        raise _refused() from e
    if not isinstance(payload, dict):
        raise _refused()
    return payload


def _mac(secret: str, purpose: str, body: str) -> bytes:
    return hmac.digest(secret.encode(), f"{purpose}\0{body}".encode(), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _refused() -> BadInput:
    # The token is not echoed: a nearly valid one in a log would still be a key.
    return BadInput(
        "this link is not valid",
        [FieldError(field="token", allowed="a complete link as it was sent")],
    )
