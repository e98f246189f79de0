"""Prometheus Alertmanager: webhook version 4, a group of alerts in each delivery."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from adapters.base import AdapterSpec, MonitorSettings, require_shared_secret
from adapters.payload import (
    DESCRIPTION_LENGTH,
    as_object,
    bad,
    cut,
    instant,
    key,
    labels_of,
    one_line,
    read_json,
    severity_of,
    share_of,
    text_of,
    web_address,
)
from domain.signal import Signal, SignalStatus

STATUSES = frozenset({"firing", "resolved"})
IMPACT = {"true": True, "yes": True, "false": False, "no": False}


class AlertmanagerSettings(MonitorSettings):
    """`ALERTMANAGER_WEBHOOK_SECRET`: sent as bearer token or basic-auth password."""

    model_config = SettingsConfigDict(env_prefix="ALERTMANAGER_")


class Alertmanager:
    """One signal per alert of the group.

    A delivery is named by the alert's state (fingerprint, status, times): Alertmanager repeats a
    group at every `repeat_interval`, and the repetition is no news. Labels or annotations
    `component`, `service`, `region`, `severity`, `customer_impact` and `affected_share` are read.
    """

    name = "alertmanager"

    def verify(self, headers: Mapping[str, str], body: bytes, secret: SecretStr) -> None:
        require_shared_secret(headers, secret)

    def sign(self, body: bytes, secret: SecretStr) -> dict[str, str]:
        return {"Authorization": f"Bearer {secret.get_secret_value()}"}

    def parse(self, body: bytes) -> list[Signal]:
        document = as_object(read_json(body), "body")
        alerts = document.get("alerts")
        if not isinstance(alerts, list):
            raise bad("alerts", alerts, "a list of alerts, as in webhook version 4")
        return [
            self._signal(as_object(alert, f"alerts.{index}"), f"alerts.{index}", document)
            for index, alert in enumerate(alerts)
        ]

    def _signal(self, alert: dict[str, Any], where: str, group: dict[str, Any]) -> Signal:
        status = alert.get("status", group.get("status"))
        if not isinstance(status, str) or status not in STATUSES:
            raise bad(f"{where}.status", status, "firing or resolved")
        labels = labels_of(alert.get("labels"))
        annotations = labels_of(alert.get("annotations"))
        facts = annotations | labels
        fingerprint = text_of(alert, "fingerprint") or _digest(alert.get("labels"))
        title = next(
            (
                line
                for name in ("summary", "title", "alertname", "description", "message")
                if (line := one_line(facts.get(name, ""), 1000))
            ),
            "Alert without a name",
        )
        return Signal(
            source=self.name,
            external_id=_delivery(fingerprint, status, alert),
            dedup_key=key(fingerprint),
            status=SignalStatus(status),
            title=title,
            description=cut(
                annotations.get("description") or annotations.get("message") or "",
                DESCRIPTION_LENGTH,
            ),
            components=_names(facts, "component"),
            services=_names(facts, "service"),
            regions=_names(facts, "region"),
            severity=severity_of(facts.get("severity", "")) or severity_of(
                facts.get("priority", "")
            ),
            affected_share=share_of(facts.get("affected_share", "")),
            customer_impact=IMPACT.get(facts.get("customer_impact", "").strip().lower()),
            started_at=instant(alert.get("startsAt")),
            url=web_address(alert.get("generatorURL")) or web_address(group.get("externalURL")),
            labels=labels,
        )  # fmt: skip


def _delivery(fingerprint: str, status: str, alert: dict[str, Any]) -> str:
    """The name of this state of the alert; two re-fires differ by their start."""
    state = [fingerprint, status, text_of(alert, "startsAt")]
    if status == "resolved":
        state.append(text_of(alert, "endsAt"))
    return key(":".join(state))


def _digest(labels: Any) -> str:
    # Alertmanager before 0.19 sends no fingerprint.
    canonical = json.dumps(labels, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _names(facts: dict[str, str], name: str) -> tuple[str, ...]:
    parts = (one_line(part, 1000) for part in facts.get(name, "").split(","))
    return tuple(dict.fromkeys(key(part) for part in parts if part))


ADAPTER = AdapterSpec(
    name="alertmanager",
    kind="monitor",
    settings=AlertmanagerSettings,
    build=lambda settings: Alertmanager(),
    roles=("verify", "parse", "sign"),
    summary="Prometheus Alertmanager webhooks, version 4",
)
