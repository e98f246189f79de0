"""Any sender: our own JSON, bare or in a CloudEvents 1.0 envelope."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import SettingsConfigDict

from adapters.base import (
    AdapterSpec,
    MonitorSettings,
    header,
    hmac_sha256,
    require_shared_secret,
    same,
)
from adapters.payload import (
    DESCRIPTION_LENGTH,
    KEY_LENGTH,
    LABELS,
    TITLE_LENGTH,
    URL_LENGTH,
    as_object,
    bad,
    cut,
    instant,
    key,
    one_line,
    read_json,
    shown,
    text_of,
    web_address,
)
from domain.errors import BadInput, FieldError, Unauthorized
from domain.signal import Severity, Signal, SignalStatus

SIGNATURE = "X-Forewarn-Signature"
MAX_NAMES = 100


def _as_key(value: object) -> object:
    # Numbers serve as ids in many systems; exact, also above 2^53.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return one_line(value, KEY_LENGTH + 1) if isinstance(value, str) else value


def _as_title(value: object) -> object:
    return one_line(value, TITLE_LENGTH) if isinstance(value, str) else value


def _as_description(value: object) -> object:
    return cut(value, DESCRIPTION_LENGTH) if isinstance(value, str) else value


def _as_time(value: object) -> object:
    if value is not None and instant(value) is None:
        raise ValueError("not a time")
    return instant(value)


def _as_link(value: object) -> object:
    if value is not None and web_address(value) is None:
        raise ValueError("not a web address")
    return value


def _or_empty(value: object) -> object:
    # Templates write null for what they don't know.
    return [] if value is None else value


def _or_none_yet(value: object) -> object:
    return {} if value is None else value


KEY_RULE = f"a text of 1 to {KEY_LENGTH} characters"
NAMES_RULE = f"a list of at most {MAX_NAMES} texts of 1 to {KEY_LENGTH} characters each"

KeyText = Annotated[str, BeforeValidator(_as_key), Field(min_length=1, max_length=KEY_LENGTH)]
Names = Annotated[list[KeyText], BeforeValidator(_or_empty), Field(max_length=MAX_NAMES)]
Figure = Annotated[float, Field(allow_inf_nan=False)]


class GenericBody(BaseModel):
    """The body as documented; each description says what is allowed, for the error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: KeyText = Field(description=KEY_RULE + "; names the delivery")
    dedup_key: KeyText | None = Field(None, description=KEY_RULE + "; names the alert")
    status: Literal["firing", "resolved"] = Field(description="firing or resolved")
    title: Annotated[str, BeforeValidator(_as_title), Field(min_length=1)] = Field(
        description="a text that is not empty"
    )
    description: Annotated[str | None, BeforeValidator(_as_description)] = Field(
        None, description="a text"
    )
    components: Names = Field([], description=NAMES_RULE)
    regions: Names = Field([], description=NAMES_RULE)
    severity: Literal["P1", "P2", "P3", "P4"] | None = Field(
        None, description="P1, P2, P3, P4 or null"
    )
    affected_share: Annotated[Figure, Field(ge=0, le=1)] | None = Field(
        None, description="a number from 0 to 1 (0.25 means 25 %) or null"
    )
    customer_impact: bool | None = Field(None, description="true, false or null")
    metrics: Annotated[
        dict[str, Figure], BeforeValidator(_or_none_yet), Field(max_length=LABELS)
    ] = Field({}, description=f"an object of at most {LABELS} finite numbers")
    started_at: Annotated[datetime | None, BeforeValidator(_as_time)] = Field(
        None, description="a time like 2026-03-01T12:00:00Z (RFC 3339, 1970 or later) or null"
    )
    url: Annotated[str | None, BeforeValidator(_as_link)] = Field(
        None, description=f"an http or https address of at most {URL_LENGTH} characters or null"
    )
    labels: Annotated[
        dict[str, str], BeforeValidator(_or_none_yet), Field(max_length=LABELS)
    ] = Field({}, description=f"an object of at most {LABELS} texts")  # fmt: skip


class GenericSettings(MonitorSettings):
    """`GENERIC_WEBHOOK_SECRET`: bearer token, basic-auth password or key of the signature."""

    model_config = SettingsConfigDict(env_prefix="GENERIC_")


class Generic:
    """The documented JSON; unknown fields are refused, since a typo would lose a fact."""

    name = "generic"

    def verify(self, headers: Mapping[str, str], body: bytes, secret: SecretStr) -> None:
        signature = header(headers, SIGNATURE)
        if signature is None:
            require_shared_secret(headers, secret)
        elif not same(signature.strip(), f"sha256={hmac_sha256(body, secret)}"):
            raise Unauthorized(f"{SIGNATURE} is not the signature of this body")

    def sign(self, body: bytes, secret: SecretStr) -> dict[str, str]:
        return {SIGNATURE: f"sha256={hmac_sha256(body, secret)}"}

    def parse(self, body: bytes) -> list[Signal]:
        document = read_json(body)
        if isinstance(document, list):
            return [self._from_envelope(item, f"{i}.") for i, item in enumerate(document)]
        if isinstance(document, dict) and "specversion" in document:
            return [self._from_envelope(document, "")]
        return [_signal(as_object(document, "body"), "")]

    def _from_envelope(self, item: Any, where: str) -> Signal:
        """One CloudEvent: its source and id name the delivery, its subject the alert."""
        envelope = as_object(item, where.rstrip(".") or "body")
        if envelope.get("specversion") != "1.0":
            raise bad(f"{where}specversion", envelope.get("specversion"), "1.0 (CloudEvents)")
        for name in ("id", "source", "type"):
            if not isinstance(envelope.get(name), str) or not envelope[name].strip():
                raise bad(f"{where}{name}", envelope.get(name), "a text that is not empty")
        data = dict(as_object(_data(envelope, where), f"{where}data"))
        # The id of a CloudEvent is unique within its source only.
        delivery = key(f"{text_of(envelope, 'source')}#{text_of(envelope, 'id')}")
        subject = text_of(envelope, "subject")
        data.setdefault("id", delivery)
        if subject:
            data.setdefault("dedup_key", key(f"{text_of(envelope, 'source')}#{subject}"))
        if data.get("started_at") is None and instant(envelope.get("time")):
            data["started_at"] = envelope["time"]
        return _signal(data, f"{where}data.")


def _data(envelope: dict[str, Any], where: str) -> Any:
    encoded = envelope.get("data_base64")
    if encoded is None:
        data = envelope.get("data")
        return read_json(data.encode()) if isinstance(data, str) else data
    try:
        return read_json(base64.b64decode(encoded, validate=True))
    except (binascii.Error, TypeError, ValueError):
        raise bad(f"{where}data_base64", encoded, "the base64 form of a JSON object") from None


def _signal(data: dict[str, Any], where: str) -> Signal:
    try:
        body = GenericBody.model_validate(data)
    except ValidationError as error:
        raise BadInput("the signal has fields at fault", _field_errors(error, where)) from None
    return Signal(
        source=Generic.name,
        external_id=body.id,
        dedup_key=body.dedup_key or body.id,
        status=SignalStatus(body.status),
        title=body.title,
        description=body.description or "",
        components=tuple(dict.fromkeys(body.components)),
        regions=tuple(dict.fromkeys(body.regions)),
        severity=Severity(body.severity) if body.severity else None,
        affected_share=body.affected_share,
        customer_impact=body.customer_impact,
        metrics=body.metrics,
        started_at=body.started_at,
        url=body.url,
        labels=body.labels,
    )


def _field_errors(error: ValidationError, where: str) -> list[FieldError]:
    """Pydantic's findings in our words, one per field, at most 20."""
    found: dict[str, FieldError] = {}
    for item in error.errors(include_url=False, include_context=False):
        name = str(item["loc"][0]) if item["loc"] else "body"
        info = GenericBody.model_fields.get(name)
        allowed = (info.description if info else None) or "only " + ", ".join(
            GenericBody.model_fields
        )
        path = where + ".".join(str(part)[:KEY_LENGTH] for part in item["loc"])
        value = None if item["type"] == "missing" else shown(item["input"])
        found.setdefault(path, FieldError(field=path, value=value, allowed=allowed))
    return list(found.values())[:20]


ADAPTER = AdapterSpec(
    name="generic",
    kind="monitor",
    settings=GenericSettings,
    build=lambda settings: Generic(),
    roles=("verify", "parse", "sign"),
    summary="Our own JSON and CloudEvents 1.0 from any sender",
)
