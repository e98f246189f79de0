"""Identifiers that people can read over the phone."""

from __future__ import annotations

import hashlib
import secrets

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
LENGTH = 12
_BITS = 5


def new_id(prefix: str) -> str:
    """A random id such as `inc_k3x7…`: the prefix and 60 bits in lower-case base 32."""
    # One call for all bits: asking the system for each letter costs ten times as much.
    return _readable(prefix, secrets.randbits(LENGTH * _BITS))


def id_of(prefix: str, request: str) -> str:
    """The id that a request gives to what it makes: the same when it is repeated."""
    digest = hashlib.sha256(request.encode()).digest()
    return _readable(prefix, int.from_bytes(digest[:8]) >> 64 - LENGTH * _BITS)


def _readable(prefix: str, bits: int) -> str:
    letters = (ALPHABET[bits >> _BITS * place & 31] for place in range(LENGTH))
    return f"{prefix}_{''.join(letters)}"
