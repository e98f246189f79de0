"""The whole stack watched from outside: one trace across processes, figures, a sign of life."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runtime.processes import free_port
from tests.stack.running import running

PRIVATE = ("anna@one.example", "Anna Ärmel", "payments of Anna fail")
STORY = {
    "forewarn-gateway": {"POST /webhooks/{source}", "SignalWithStartWorkflow:Incident"},
    "forewarn-worker": {
        "RunWorkflow:Incident",
        "RunActivity:record_step",
        "StartChildWorkflow:Broadcast",
        "RunWorkflow:Broadcast",
        "RunActivity:deliver",
        "send email",
    },
}


class Outside:
    """A collector of traces by OTLP over HTTP that also waits for signs of life."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.beats = 0
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outside.raw.append(self.rfile.read(int(self.headers["Content-Length"])))
                self._done()

            def do_GET(self) -> None:
                outside.beats += 1
                self._done()

            def _done(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def traces(self) -> dict[str, dict[str, set[str]]]:
        """Trace → service → names of its spans."""
        found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for body in list(self.raw):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                named = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        found[span.trace_id.hex()][named["service.name"]].add(span.name)
        return found


@contextmanager
def outside() -> Iterator[Outside]:
    made = Outside()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


@pytest.mark.timeout(240)
def test_from_the_webhook_to_the_mail_in_one_trace_with_figures_and_a_heartbeat(
    tmp_path: Path,
) -> None:
    figures = f"127.0.0.1:{free_port()}"
    with (
        outside() as seen,
        running(
            tmp_path,
            Path(__file__).parent / "one_decides_demo.yaml",
            OTEL_EXPORTER_OTLP_ENDPOINT=seen.url,
            OTEL_BSP_SCHEDULE_DELAY="200",
            FOREWARN_METRICS_ADDRESS=figures,
            FOREWARN_HEARTBEAT_URL=f"{seen.url}/beat",
        ) as stack,
    ):
        (tmp_path / "customers.csv").write_text(
            "account_id,contact_id,email,contact_name,features\n"
            "a1,c1,anna@one.example,Anna Ärmel,payments\n"
        )
        stack.cli("customers", "import", str(tmp_path / "customers.csv"))
        incident = stack.alert(title=PRIVATE[-1])["incident_id"]
        stack.approve(incident, "initial")
        stack.until("mail", lambda: stack.counts(incident).get("sent"))

        def told() -> bool:
            return any(
                all(names <= services[service] for service, names in STORY.items())
                for services in seen.traces().values()
            )

        stack.until("the whole story in one trace", told)
        worker = httpx2.get(f"http://{figures}/metrics").text
        gateway = httpx2.get(f"{stack.info['gateway']}/metrics").text
        calls = r'forewarn_provider_call_seconds_count{[^}]*provider="smtp"[^}]*} 1\b'
        assert re.search(calls, worker)
        assert "temporal_workflow_task_execution_latency_seconds" in worker
        settled = 'forewarn_deliveries_settled_total{channel="email",state="sent"} 1.0'
        assert settled in stack.until(
            "settled", lambda: _with(settled, f"{stack.info['gateway']}/metrics")
        )
        # Asked every 15 seconds, and left out while Temporal has not answered.
        polling = 'forewarn_workers_polling{queue="incidents"} 1.0'
        stack.until("the worker seen", lambda: _with(polling, f"{stack.info['gateway']}/metrics"))
        stack.until("a sign of life", lambda: seen.beats)
    said = b"".join(seen.raw) + worker.encode() + gateway.encode()
    for words in PRIVATE:
        assert words.encode() not in said


def _with(line: str, url: str) -> str | None:
    text = httpx2.get(url).text
    return text if line in text else None
