"""PagerDuty V3 webhooks: the published samples and what real traffic adds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.monitors.pagerduty import PagerDuty
from domain.errors import BadInput, Unauthorized
from domain.signal import Severity, SignalStatus

SAMPLES = Path(__file__).parents[4] / "shared/contracts/webhooks/pagerduty"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason=f"{SAMPLES}: the contracts are not beside this checkout"
)
SECRET = SecretStr("pd-secret")
MONITOR = PagerDuty()


def event(kind: str = "incident.triggered", **data: Any) -> bytes:
    body = {
        "id": "01EVENT",
        "event_type": kind,
        "occurred_at": "2026-03-10T13:58:00.816Z",
        "data": {
            "id": "PINC1",
            "type": "incident",
            "status": "triggered",
            "title": "Payments fail",
            "html_url": "https://acme.pagerduty.example/incidents/PINC1",
            "service": {"id": "PSVC1", "summary": "payment-gateway"},
            "priority": None,
            "urgency": "high",
        }
        | data,
    }
    return json.dumps({"event": body}).encode()


@needs_samples
def test_published_trigger() -> None:
    (signal,) = MONITOR.parse((SAMPLES / "v3_incident_triggered.json").read_bytes())
    assert signal.external_id == "01BZYIL05THJDFF2Y08X9SVMTU"
    assert signal.dedup_key == "PFQZPSY"
    assert signal.status is SignalStatus.FIRING
    assert signal.services == ("pig208", "PA2P440")
    assert signal.severity is Severity.P2
    assert signal.started_at is not None
    assert signal.started_at.isoformat() == "2021-06-04T13:35:29.781000+00:00"
    assert signal.url == "https://pig208.pagerduty.com/incidents/PFQZPSY"


@needs_samples
def test_published_resolution() -> None:
    (signal,) = MONITOR.parse((SAMPLES / "v3_incident_resolved.json").read_bytes())
    assert signal.status is SignalStatus.RESOLVED
    assert signal.dedup_key == "PCPZE64"


@pytest.mark.parametrize(
    "kind",
    [
        "incident.acknowledged",
        "incident.annotated",
        "incident.delegated",
        "incident.escalated",
        "incident.reassigned",
        "incident.service_updated",
        "incident.status_update_published",
        "incident.responder.added",
        "service.updated",
        "pagey.ping",
        "incident.something_new",
    ],
)
def test_what_people_do_is_no_signal(kind: str) -> None:
    assert MONITOR.parse(event(kind)) == []


@pytest.mark.parametrize(
    ("summary", "urgency", "severity"),
    [
        ("P1", "low", Severity.P1),
        ("P5", "high", Severity.P4),
        ("SEV2 - major", "low", Severity.P2),
        ("SEV-0", None, Severity.P1),
        ("Critical", "low", Severity.P1),
        ("our own words", "low", Severity.P3),
        ("our own words", None, None),
    ],
)
def test_priority_rules_over_urgency(
    summary: str, urgency: str | None, severity: Severity | None
) -> None:
    (signal,) = MONITOR.parse(event(priority={"summary": summary}, urgency=urgency))
    assert signal.severity is severity


def test_a_new_priority_is_news_but_only_while_it_burns() -> None:
    (signal,) = MONITOR.parse(event("incident.priority_updated", priority={"summary": "P1"}))
    assert (signal.status, signal.severity) == (SignalStatus.FIRING, Severity.P1)
    over = event("incident.priority_updated", priority={"summary": "P1"}, status="resolved")
    assert MONITOR.parse(over) == []
    assert MONITOR.parse(event("incident.priority_updated", priority=None)) == []


def test_missing_facts_do_not_lose_the_alert() -> None:
    body = {"event": {"id": 7, "event_type": "incident.triggered", "data": {"id": "P1"}}}
    (signal,) = MONITOR.parse(json.dumps(body).encode())
    assert signal.title == "PagerDuty incident"
    assert signal.services == ()
    assert signal.started_at is None


def test_a_script_link_is_dropped() -> None:
    (signal,) = MONITOR.parse(event(html_url="javascript:alert(1)"))
    assert signal.url is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b"\xff\xfe", "body"),
        (b"{}", "event"),
        (b'{"event": {"event_type": 3}}', "event.event_type"),
        (b'{"event": {"event_type": "incident.triggered"}}', "event.data"),
        (b'{"event": {"event_type": "incident.triggered", "data": {"id": "x"}}}', "event.id"),
        (
            b'{"event": {"id": "1", "event_type": "incident.triggered", "data": {"id": " "}}}',
            "event.data.id",
        ),
        (b'{"messages": [{"event": "incident.trigger"}]}', "event"),
    ],
)
def test_fault_names_the_field(body: bytes, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        MONITOR.parse(body)
    assert [error.field for error in caught.value.errors] == [field]


def test_signature() -> None:
    body = event()
    headers = MONITOR.sign(body, SECRET)
    MONITOR.verify(headers, body, SECRET)
    good = headers["X-PagerDuty-Signature"]
    MONITOR.verify({"x-pagerduty-signature": f"v1={'0' * 64}, {good}"}, body, SECRET)
    for bad in ("", "v1=", good.replace("v1", "v0"), f"v1={'0' * 64}", "ü", "," * 5000 + good):
        with pytest.raises(Unauthorized):
            MONITOR.verify({"X-PagerDuty-Signature": bad}, body, SECRET)
    with pytest.raises(Unauthorized):
        MONITOR.verify(headers, body + b" ", SECRET)
    with pytest.raises(Unauthorized):
        MONITOR.verify({}, body, SECRET)


# A busy machine is slow to generate; that says nothing about the parser.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
FIELDS = st.sampled_from(["id", "title", "service", "priority", "urgency", "status", "html_url"])


@unhurried
@given(st.dictionaries(FIELDS, JSON), JSON, JSON)
def test_nothing_but_bad_input(data: dict[str, Any], identity: Any, occurred: Any) -> None:
    document = {
        "id": identity, "event_type": "incident.triggered", "occurred_at": occurred, "data": data,
    }  # fmt: skip
    try:
        signals = MONITOR.parse(json.dumps({"event": document}).encode())
    except BadInput as error:
        assert error.errors
    else:
        assert all("\x00" not in signal.model_dump_json() for signal in signals)
