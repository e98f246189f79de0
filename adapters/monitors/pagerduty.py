"""PagerDuty: V3 webhooks, signed with HMAC-SHA256 in `X-PagerDuty-Signature`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from adapters.base import AdapterSpec, MonitorSettings, header, hmac_sha256, same
from adapters.payload import (
    as_object,
    bad,
    instant,
    key,
    read_json,
    severity_of,
    text_of,
    web_address,
)
from domain.errors import Unauthorized
from domain.signal import Severity, Signal, SignalStatus

SIGNATURE = "X-PagerDuty-Signature"
FIRING = frozenset({"incident.triggered", "incident.reopened", "incident.unacknowledged"})
REPRIORITISED = "incident.priority_updated"
RESOLVED = "incident.resolved"
URGENCIES = {"high": Severity.P2, "low": Severity.P3}
# Two while a secret is being rotated; a header of thousands would only cost us time.
MAX_SIGNATURES = 10


class PagerDutySettings(MonitorSettings):
    """`PAGERDUTY_WEBHOOK_SECRET`: the secret that PagerDuty showed for the subscription."""

    model_config = SettingsConfigDict(env_prefix="PAGERDUTY_")


class PagerDuty:
    """Incident events; people's doings (acknowledged, annotated, delegated) are no signals."""

    name = "pagerduty"

    def verify(self, headers: Mapping[str, str], body: bytes, secret: SecretStr) -> None:
        expected = hmac_sha256(body, secret)
        given = (header(headers, SIGNATURE) or "").split(",")[:MAX_SIGNATURES]
        versions = [item.strip().partition("=") for item in given]
        # Every one is compared: stopping early would tell which matched.
        matches = [same(digest, expected) for version, _, digest in versions if version == "v1"]
        if not any(matches):
            raise Unauthorized(f"no v1 signature of this body in {SIGNATURE}")

    def sign(self, body: bytes, secret: SecretStr) -> dict[str, str]:
        return {SIGNATURE: f"v1={hmac_sha256(body, secret)}"}

    def parse(self, body: bytes) -> list[Signal]:
        document = as_object(read_json(body), "body")
        event = as_object(document.get("event"), "event")
        kind = event.get("event_type")
        if not isinstance(kind, str):
            raise bad("event.event_type", kind, "an event type such as incident.triggered")
        if kind not in FIRING | {REPRIORITISED, RESOLVED}:
            return []
        data = as_object(event.get("data"), "event.data")
        stated = severity_of(text_of(data, "priority", "summary"))
        if kind == REPRIORITISED and (stated is None or data.get("status") == "resolved"):
            return []
        return [self._signal(event, data, kind, stated)]

    def _signal(
        self, event: dict[str, Any], data: dict[str, Any], kind: str, stated: Severity | None
    ) -> Signal:
        urgency = text_of(data, "urgency")
        service = data.get("service")
        names = [text_of(service, "summary"), text_of(service, "id")]
        labels = {
            "event_type": kind,
            "urgency": urgency,
            "priority": text_of(data, "priority", "summary"),
        }
        number = text_of(data, "number")
        return Signal(
            source=self.name,
            external_id=_required(event, "event.id"),
            dedup_key=_required(data, "event.data.id"),
            status=SignalStatus.RESOLVED if kind == RESOLVED else SignalStatus.FIRING,
            title=text_of(data, "title") or text_of(data, "summary")
            or f"PagerDuty incident {number}".strip(),
            services=tuple(key(name) for name in names if name),
            severity=stated or URGENCIES.get(urgency),
            started_at=instant(data.get("created_at")) or instant(event.get("occurred_at")),
            url=web_address(data.get("html_url")),
            labels={name: value for name, value in labels.items() if value},
        )  # fmt: skip


def _required(holder: dict[str, Any], field: str) -> str:
    value = text_of(holder, "id")
    if not value:
        raise bad(field, holder.get("id"), "a text that is not empty")
    return key(value)


ADAPTER = AdapterSpec(
    name="pagerduty",
    kind="monitor",
    settings=PagerDutySettings,
    build=lambda settings: PagerDuty(),
    roles=("verify", "parse", "sign"),
    summary="PagerDuty V3 webhooks",
)
