"""Alertmanager version 4: groups, repetitions, nanoseconds and times of the year 1."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.monitors.alertmanager import Alertmanager
from domain.errors import BadInput, Unauthorized
from domain.signal import Severity, SignalStatus

SAMPLES = Path(__file__).parents[4] / "shared/contracts/webhooks/alertmanager"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason=f"{SAMPLES}: the contracts are not beside this checkout"
)
SECRET = SecretStr("pässword:with colon")
MONITOR = Alertmanager()


def alert(**changes: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": "HighErrorRate", "service": "checkout", "severity": "critical"},
        "annotations": {"summary": "Errors above 5 %"},
        "startsAt": "2026-03-10T13:50:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": "aa11",
    } | changes


def group(*alerts: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({"version": "4", "status": "firing", "alerts": alerts} | changes).encode()


@needs_samples
def test_published_group() -> None:
    one, two = MONITOR.parse((SAMPLES / "v4_grouped_two_alerts.json").read_bytes())
    assert one.external_id != two.external_id
    assert one.dedup_key == "a1bc48475b20e73d"
    assert one.title == "High CPU core temperature"
    assert one.description == "CPU core temperature is 34.75C"
    assert one.severity is Severity.P1
    assert one.started_at is not None
    assert one.started_at.isoformat() == "2020-02-06T00:17:58.432911+00:00"


def test_a_repetition_is_the_same_delivery_and_a_refire_is_not() -> None:
    (first,) = MONITOR.parse(group(alert()))
    (again,) = MONITOR.parse(group(alert(annotations={"summary": "Errors above 6 %"})))
    (refire,) = MONITOR.parse(group(alert(startsAt="2026-03-10T15:00:00Z")))
    (over,) = MONITOR.parse(group(alert(status="resolved", endsAt="2026-03-10T14:00:00Z")))
    assert first.external_id == again.external_id
    assert len({first.external_id, refire.external_id, over.external_id}) == 3
    assert first.dedup_key == refire.dedup_key == over.dedup_key


def test_mixed_group() -> None:
    signals = MONITOR.parse(group(alert(), alert(status="resolved", fingerprint="bb22")))
    assert [s.status for s in signals] == [SignalStatus.FIRING, SignalStatus.RESOLVED]


def test_labels_become_facts() -> None:
    labels = {
        "component": "rest-api", "service": "checkout", "region": "eu, us", "severity": "warning",
        "customer_impact": "true", "affected_share": "0.4",
    }  # fmt: skip
    (signal,) = MONITOR.parse(group(alert(labels=labels)))
    assert signal.components == ("rest-api",)
    assert signal.services == ("checkout",)
    assert signal.regions == ("eu", "us")
    assert signal.severity is Severity.P3
    assert signal.customer_impact is True
    assert signal.affected_share == 0.4


def test_without_fingerprint_the_labels_name_the_alert() -> None:
    nameless = alert(fingerprint=None)
    (one,) = MONITOR.parse(group(nameless))
    (same,) = MONITOR.parse(group(nameless))
    (other,) = MONITOR.parse(group(alert(fingerprint=None, labels={"alertname": "Other"})))
    assert one.dedup_key == same.dedup_key != other.dedup_key


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00Z", "yesterday", None, 12, "9999-99-99T0"])
def test_a_start_that_is_none(start: object) -> None:
    (signal,) = MONITOR.parse(group(alert(startsAt=start)))
    assert signal.started_at is None


def test_an_empty_group_says_nothing() -> None:
    assert MONITOR.parse(group()) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"alerts": {}}', "alerts"),
        (b'{"alerts": [3]}', "alerts.0"),
        (b'{"alerts": [{"status": "burning"}]}', "alerts.0.status"),
        (b'{"alerts": [{"status": ["firing"]}]}', "alerts.0.status"),
    ],
)
def test_fault_names_the_field(body: bytes, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        MONITOR.parse(body)
    assert [error.field for error in caught.value.errors] == [field]


def test_secret() -> None:
    MONITOR.verify(MONITOR.sign(b"", SECRET), b"", SECRET)
    basic = base64.b64encode(f"anyone:{SECRET.get_secret_value()}".encode()).decode()
    MONITOR.verify({"authorization": f"basic {basic}"}, b"", SECRET)
    for bad in ("", "Bearer", "Bearer wrong", "Basic %%%", "Basic 4A==", SECRET.get_secret_value()):
        with pytest.raises(Unauthorized):
            MONITOR.verify({"Authorization": bad}, b"", SECRET)
    with pytest.raises(Unauthorized):
        MONITOR.verify({}, b"", SECRET)


# A busy machine is slow to generate; that says nothing about the parser.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
FIELDS = st.sampled_from(["labels", "annotations", "startsAt", "endsAt", "fingerprint", "status"])
LABELS = st.dictionaries(
    st.sampled_from(["component", "severity", "affected_share", "summary", "region"]), JSON
)


@unhurried
@given(st.dictionaries(FIELDS, JSON | LABELS))
def test_nothing_but_bad_input(changes: dict[str, Any]) -> None:
    try:
        signals = MONITOR.parse(group(alert(**changes)))
    except BadInput as error:
        assert error.errors
    else:
        assert len(signals) == 1
