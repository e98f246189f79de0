"""Identifiers that people can read over the phone."""

from __future__ import annotations

import secrets

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
LENGTH = 12


def new_id(prefix: str) -> str:
    """A random id such as `inc_k3x7…`: the prefix and 60 bits in lower-case base 32."""
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(LENGTH))}"
