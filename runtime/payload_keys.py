"""The keys that payloads are encrypted with, as one environment variable holds them."""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass

KEY_BYTES = 32
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
ALLOWED_KEYS = (
    "id:key,id:key with ids of letters, digits, . _ - each used once, and keys of "
    f"{KEY_BYTES} bytes in base64, as `starter.py keys generate` prints them"
)


@dataclass(frozen=True, repr=False)
class PayloadKey:
    """One key and the id that payloads name it by."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"PayloadKey({self.id!r})"

    @property
    def entry(self) -> str:
        """The key as it stands in FOREWARN_PAYLOAD_KEYS."""
        return f"{self.id}:{base64.b64encode(self.secret).decode()}"


def read_keys(text: str) -> tuple[PayloadKey, ...]:
    """The keys of `id:base64,id:base64`, in order; raises ValueError, which shows no key."""
    keys: list[PayloadKey] = []
    for place, entry in enumerate(text.split(","), start=1):
        key_id, colon, encoded = entry.strip().partition(":")
        if not colon or not _KEY_ID.fullmatch(key_id):
            # Not shown: without its colon an entry may be nothing but the key.
            raise ValueError(f"entry {place} has no id; {ALLOWED_KEYS}")
        try:
            secret = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"the key of {key_id} is not base64; {ALLOWED_KEYS}") from None
        if len(secret) != KEY_BYTES:
            raise ValueError(f"the key of {key_id} has {len(secret)} bytes; {ALLOWED_KEYS}")
        if any(key_id == key.id for key in keys):
            raise ValueError(f"the id {key_id} is used twice; {ALLOWED_KEYS}")
        keys.append(PayloadKey(key_id, secret))
    return tuple(keys)


def new_key(key_id: str) -> PayloadKey:
    """A key of the system's best randomness; raises ValueError for an id that cannot be one."""
    if not _KEY_ID.fullmatch(key_id):
        raise ValueError(f"{key_id!r}; allowed: 1 to 64 letters, digits, . _ -")
    return PayloadKey(key_id, os.urandom(KEY_BYTES))
