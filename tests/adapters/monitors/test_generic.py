"""The generic body: every field's rule, envelopes, and bytes meant to hurt."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.monitors.generic import Generic
from domain.errors import BadInput, Unauthorized
from domain.signal import Severity, SignalStatus

SAMPLES = Path(__file__).parents[4] / "shared/contracts/webhooks/cloudevents/examples.json"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_file(), reason=f"{SAMPLES}: the contracts are not beside this checkout"
)
SECRET = SecretStr("generic-secret")
MONITOR = Generic()
LEAST = {"id": "d-1", "status": "firing", "title": "Payments fail"}


def encode(**changes: Any) -> bytes:
    return json.dumps(LEAST | changes).encode()


def envelope(data: Any, **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "type": "alert", "source": "/prober", "id": "e-1",
        "time": "2026-03-10T13:00:00Z", "data": data,
    } | changes  # fmt: skip


def faults(body: bytes) -> dict[str, Any]:
    with pytest.raises(BadInput) as caught:
        MONITOR.parse(body)
    return {error.field: error.value for error in caught.value.errors}


def test_everything() -> None:
    (signal,) = MONITOR.parse(
        encode(
            dedup_key="k",
            description="d" * 30_000,
            components=["payments", "payments"],
            regions=["eu"],
            severity="P1",
            affected_share=0.25,
            customer_impact=True,
            metrics={"requests": 2**60 + 1, "error_rate": 0.5},
            started_at="2026-03-10T13:00:00.123456789+01:00",
            url="https://grafana.example/d/1",
            labels={"team": "payments"},
        )
    )
    assert signal.external_id == "d-1"
    assert signal.dedup_key == "k"
    assert len(signal.description) == 20_000
    assert signal.components == ("payments",)
    assert signal.severity is Severity.P1
    assert signal.metrics["requests"] == float(2**60 + 1)
    assert signal.started_at is not None
    assert signal.started_at.isoformat() == "2026-03-10T12:00:00.123456+00:00"


def test_least_and_nulls_are_the_same() -> None:
    names = ("dedup_key", "description", "components", "regions", "severity", "affected_share",
             "customer_impact", "metrics", "started_at", "url", "labels")  # fmt: skip
    (least,) = MONITOR.parse(encode())
    (nulls,) = MONITOR.parse(encode(**dict.fromkeys(names)))
    assert least == nulls
    assert least.dedup_key == "d-1"
    assert least.severity is None


def test_a_number_as_id_keeps_every_digit() -> None:
    (signal,) = MONITOR.parse(encode(id=2**63 + 1))
    assert signal.external_id == "9223372036854775809"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": None}, "id"),
        ({"id": True}, "id"),
        ({"id": "x" * 201}, "id"),
        ({"dedup_key": []}, "dedup_key"),
        ({"status": "Firing"}, "status"),
        ({"title": " \n "}, "title"),
        ({"title": 5}, "title"),
        ({"components": "payments"}, "components"),
        ({"components": ["payments", ""]}, "components.1"),
        ({"components": ["x"] * 101}, "components"),
        ({"regions": [None]}, "regions.0"),
        ({"severity": "P5"}, "severity"),
        ({"severity": "critical"}, "severity"),
        ({"affected_share": 40}, "affected_share"),
        ({"affected_share": -0.1}, "affected_share"),
        ({"affected_share": "0.4"}, "affected_share"),
        ({"affected_share": True}, "affected_share"),
        ({"customer_impact": "true"}, "customer_impact"),
        ({"customer_impact": 1}, "customer_impact"),
        ({"metrics": {"latency": "5"}}, "metrics.latency"),
        ({"metrics": []}, "metrics"),
        ({"started_at": "yesterday"}, "started_at"),
        ({"started_at": "2026-03-10T13:00:00"}, "started_at"),
        ({"started_at": 1700000000}, "started_at"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"labels": {"team": 5}}, "labels.team"),
        ({"componnets": ["payments"]}, "componnets"),
    ],
)
def test_fault_names_the_field(changes: dict[str, Any], field: str) -> None:
    assert list(faults(encode(**changes))) == [field]


def test_every_fault_at_once_with_what_is_allowed() -> None:
    with pytest.raises(BadInput) as caught:
        MONITOR.parse(b'{"status": "on", "severity": "P9"}')
    found = {error.field: error for error in caught.value.errors}
    assert set(found) == {"id", "title", "status", "severity"}
    assert found["severity"].value == "P9"
    assert found["severity"].allowed == "P1, P2, P3, P4 or null"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'"text"',
        b"{'id': 1}",
        b"\xff",
        b"\x00",
        encode()[:-1],
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"id":"1","status":"firing","title":"x","metrics":{"a":NaN}}',
        b'{"id":"1","status":"firing","title":"x","metrics":{"a":-Infinity}}',
        b'{"id":"1","status":"firing","title":"x","metrics":{"a":1e999}}',
        b'{"id":"1","status":"firing","title":"x","metrics":{"a":' + b"9" * 400 + b"}}",
        b'{"id":"1","status":"firing","title":"x","metrics":{"a":' + b"9" * 5000 + b"}}",
        b'{"id":' + b"9" * 5000 + b',"status":"firing","title":"x"}',
        b"[1]",
    ],
)
def test_hostile_bytes_are_bad_input(body: bytes) -> None:
    assert faults(body)


def test_what_postgresql_cannot_store_is_replaced() -> None:
    (signal,) = MONITOR.parse(
        rb'{"id":"a\u0000b","status":"firing","title":"x\ud800y\r\nBcc: z",'
        rb'"labels":{"k\u0000":"\u0000"}}'
    )
    assert signal.external_id == "a\ufffdb"
    assert signal.title == "x\ufffdy Bcc: z"
    assert signal.labels == {"k\ufffd": "\ufffd"}


def test_envelope_gives_id_time_and_alert() -> None:
    event = envelope({"status": "firing", "title": "x"}, subject="probe-7")
    (signal,) = MONITOR.parse(json.dumps(event).encode())
    assert signal.external_id == "/prober#e-1"
    assert signal.dedup_key == "/prober#probe-7"
    assert signal.started_at is not None
    assert signal.started_at.hour == 13
    (own,) = MONITOR.parse(json.dumps(envelope(LEAST)).encode())
    assert own.external_id == "d-1"


def test_envelope_in_base64_and_batch() -> None:
    data = base64.b64encode(json.dumps(LEAST).encode()).decode()
    first = envelope(None, data_base64=data)
    signals = MONITOR.parse(json.dumps([first, envelope(LEAST | {"id": "d-2"})]).encode())
    assert [s.external_id for s in signals] == ["d-1", "d-2"]


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (envelope(LEAST, specversion="0.3"), "specversion"),
        (envelope(LEAST, id=""), "id"),
        (envelope(LEAST, source=None), "source"),
        (envelope(1.5), "data"),
        (envelope("just a text"), "body"),
        (envelope(None, data_base64="%%%"), "data_base64"),
        (envelope(None, data_base64=5), "data_base64"),
        (envelope(LEAST | {"severity": 1}), "data.severity"),
        ([envelope(LEAST), envelope({"id": "x"})], "1.data.status"),
    ],
)
def test_fault_in_an_envelope(event: Any, field: str) -> None:
    assert field in faults(json.dumps(event).encode())


@needs_samples
def test_published_cloudevents_are_understood_as_envelopes() -> None:
    for event in json.loads(SAMPLES.read_text()):
        found = faults(json.dumps(event).encode())
        assert all("data" in field or field == "body" for field in found), found


def test_secret() -> None:
    body = encode()
    MONITOR.verify(MONITOR.sign(body, SECRET), body, SECRET)
    MONITOR.verify({"Authorization": "Bearer generic-secret"}, body, SECRET)
    good = MONITOR.sign(body, SECRET)["X-Forewarn-Signature"]
    bad = [
        {},
        {"Authorization": "Bearer wrong"},
        {"X-Forewarn-Signature": good.removeprefix("sha256=")},
        # A wrong signature is not made good by anything else.
        {"X-Forewarn-Signature": "sha256=00", "Authorization": "Bearer generic-secret"},
    ]
    for headers in bad:
        with pytest.raises(Unauthorized):
            MONITOR.verify(headers, body, SECRET)
    with pytest.raises(Unauthorized):
        MONITOR.verify({"X-Forewarn-Signature": good}, body + b" ", SECRET)


# A busy machine is slow to generate; that says nothing about the parser.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
FIELDS = st.sampled_from([*LEAST, "components", "metrics", "labels", "started_at", "url", "regions",
                          "affected_share", "specversion", "data", "source"])  # fmt: skip


@unhurried
@given(st.dictionaries(FIELDS, JSON) | JSON)
def test_nothing_but_bad_input(document: Any) -> None:
    if isinstance(document, dict):
        document = LEAST | document
    try:
        signals = MONITOR.parse(json.dumps(document).encode())
    except BadInput as error:
        assert error.errors
        json.dumps([e.model_dump() for e in error.errors], allow_nan=False).encode()
    else:
        assert all(s.status in SignalStatus for s in signals)


@unhurried
@given(st.binary())
def test_no_bytes_break_it(body: bytes) -> None:
    with pytest.raises(BadInput):
        MONITOR.parse(body)
