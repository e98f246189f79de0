"""Encrypts what Temporal keeps: inputs, results, messages, memos, summaries and failures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from domain.errors import ForewarnError
from runtime.payload_keys import PayloadKey, read_keys

NONCE_BYTES = 12
ENCODING = b"binary/encrypted"
ENCODING_KEY = "encoding"
KEY_ID_KEY = "encryption-key-id"
# Bound to each payload together with its key id, so that nothing else sealed with a key of ours
# passes for one.
_PURPOSE = b"forewarn payload aes-256-gcm\0"


class PayloadKeyMissing(ForewarnError):
    """A payload was encrypted with a key that is not configured; the message names its id."""


class PayloadDamaged(ForewarnError):
    """A payload does not open with the key it names: it was changed, or the key was."""


class EncryptionCodec(PayloadCodec):
    """AES-256-GCM: the first key encrypts, every key decrypts.

    What is not encrypted passes through when decoding: a signal typed by hand, and what was
    written before there were keys.
    """

    def __init__(self, keys: Sequence[PayloadKey]) -> None:
        if not keys:
            raise ValueError("a codec needs at least one key")
        self._current = keys[0].id
        self._ciphers = {key.id: AESGCM(key.secret) for key in keys}

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of all keys, the encrypting one first."""
        return tuple(self._ciphers)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Raises PayloadKeyMissing or PayloadDamaged."""
        return [self._decrypted(payload) for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        nonce = os.urandom(NONCE_BYTES)
        key_id = self._current.encode()
        sealed = self._ciphers[self._current].encrypt(
            nonce, payload.SerializeToString(), _PURPOSE + key_id
        )
        return Payload(metadata={ENCODING_KEY: ENCODING, KEY_ID_KEY: key_id}, data=nonce + sealed)

    def _decrypted(self, payload: Payload) -> Payload:
        if payload.metadata.get(ENCODING_KEY) != ENCODING:
            return payload
        key_id = payload.metadata.get(KEY_ID_KEY, b"")
        name = key_id.decode("ascii", "backslashreplace")[:64]
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise PayloadKeyMissing(
                f"a payload was encrypted with the key {name!r}, which FOREWARN_PAYLOAD_KEYS lacks "
                f"(it has {', '.join(self.key_ids)}): put its entry back, after the first one, "
                "and restart"
            )
        nonce, sealed = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            return Payload.FromString(cipher.decrypt(nonce, sealed, _PURPOSE + key_id))
        except (InvalidTag, DecodeError, ValueError):
            raise PayloadDamaged(
                f"a payload does not open with the key {name!r} that it names: it was changed, or "
                "another key has been given this id"
            ) from None


def codec_for(keys: str | None) -> EncryptionCodec | None:
    """The codec of a FOREWARN_PAYLOAD_KEYS value; None where nothing is to be encrypted."""
    return EncryptionCodec(read_keys(keys)) if keys else None


def data_converter(codec: PayloadCodec | None) -> DataConverter:
    """The one converter of client, worker and replayer; with a codec, failures are encoded too."""
    if codec is None:
        return pydantic_data_converter
    return replace(
        pydantic_data_converter,
        payload_codec=codec,
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )
