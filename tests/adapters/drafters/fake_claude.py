"""A Messages API at the wire: keeps what it was asked, writes drafts, or fails as it is told to."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS31Validator

SPEC = Path(__file__).parents[4] / "shared" / "contracts" / "specs" / "anthropic_messages.json"
CREATED = "2026-09-28T00:00:00Z"
KEY = "sk-ant-correct-horse-battery-staple"
USAGE = {
    "input_tokens": 900,
    "output_tokens": 1200,
    "cache_read_input_tokens": 2000,
    "cache_creation_input_tokens": 0,
    "cache_creation": None,
    "inference_geo": None,
    "server_tool_use": None,
    "service_tier": "standard",
}
_TAGGED = re.compile(r"<(house|facts|drafts|alerts|previous)>\n(.*?)\n</\1>", re.DOTALL)
# Good drafts: what is the matter, and what is said about each placeholder that may be there.
OPENING = {
    "English": "We are currently having problems with [[components]].",
    "German": "Derzeit gibt es Probleme mit [[components]].",
    "French": "Nous rencontrons actuellement des difficultés avec [[components]].",
    "Spanish": "En este momento tenemos problemas con [[components]].",
    "Portuguese (Brazil)": "No momento, estamos com problemas em [[components]].",
    "Brazilian Portuguese": "No momento, estamos com problemas em [[components]].",
    "Japanese": "現在、[[components]]において問題が発生しております。",
    "Dutch": "Op dit moment zijn er problemen met [[components]].",
    "Italian": "Al momento riscontriamo problemi con [[components]].",
}
MORE = {
    "English": "Our engineers are looking for the cause. No action is needed from you. We are"
    " sorry for the disruption to your work.",
    "German": "Wir suchen nach der Ursache. Sie müssen nichts tun. Es tut uns leid, dass dies Ihre"
    " Arbeit stört.",
    "French": "Nous recherchons la cause. Vous n'avez rien à faire. Nous vous prions de nous"
    " excuser pour la gêne occasionnée.",
    "Spanish": "Estamos buscando la causa. No es necesario que haga nada. Lamentamos las"
    " molestias.",
    "Portuguese (Brazil)": "Estamos procurando a causa. Você não precisa fazer nada. Pedimos"
    " desculpas pelo transtorno.",
    "Brazilian Portuguese": "Estamos procurando a causa. Você não precisa fazer nada. Pedimos"
    " desculpas pelo transtorno.",
    "Japanese": "原因を調査しております。お客様に行っていただくことはございません。"
    "ご不便をおかけし、申し訳ございません。",
    "Dutch": "We zoeken naar de oorzaak. U hoeft niets te doen. Het spijt ons dat u hier last van"
    " hebt.",
    "Italian": "Stiamo cercando la causa. Non è necessario fare nulla. Ci scusiamo per il disagio.",
}


@dataclass
class Asked:
    """One question, taken apart."""

    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def system(self) -> str:
        return "\n".join(part["text"] for part in self.body["system"])

    @property
    def message(self) -> str:
        return "\n".join(part["text"] for part in self.body["messages"][0]["content"])

    @property
    def data(self) -> dict[str, Any]:
        """What stands between the tags."""
        both = f"{self.system}\n{self.message}"
        return {m[1]: json.loads(m[2]) for m in _TAGGED.finditer(both)}

    @property
    def language(self) -> str:
        return str(self.data["house"]["language"])

    def good(self) -> dict[str, Any]:
        """Drafts that use every placeholder and state nothing else."""
        return {form: self._form(form, uses["uses"]) for form, uses in self.data["drafts"].items()}

    def _form(self, form: str, uses: list[str]) -> dict[str, Any]:
        gap = "" if self.language == "Japanese" else " "
        rest = [u for u in uses if u != "[[components]]"]
        opening = gap.join([OPENING[self.language], *(f"({u})" for u in rest)])
        if form in ("in_app", "sms", "social"):
            return {"text": opening}
        return {"opening": opening, "paragraphs": [MORE[self.language]]}


@dataclass
class Say:
    """An answer: `words` make a message, otherwise `raw` goes out as it is, all `after` seconds."""

    words: Any = None
    stop: str = "end_turn"
    status: int = 200
    raw: str = ""
    after: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)


def failing(status: int, kind: str) -> Say:
    """An error as the API words it."""
    error = {"type": kind, "message": f"of {KEY} nothing may be repeated"}
    body = {"type": "error", "error": error, "request_id": "req_1"}
    return Say(status=status, raw=json.dumps(body))


class FakeClaude:
    """What was asked, and how it answers: `answer` says so for each question."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Say] = lambda asked: Say(asked.good())
        self.wrong: list[str] = []
        self.url = ""
        self._lock = threading.Lock()
        self._spec = json.loads(SPEC.read_text("utf-8")) if SPEC.exists() else None

    @property
    def by_the_book(self) -> bool:
        """Whether questions and answers are held against the published description."""
        return self._spec is not None

    def reply(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes, float]:
        asked = Asked(headers, json.loads(body))
        with self._lock:
            self.asked.append(asked)
            self._check("CreateMessageParams", asked.body)
            if KEY not in (headers.get("x-api-key"), headers.get("authorization", "")[7:]):
                refusal = failing(401, "authentication_error")
                return refusal.status, refusal.raw.encode(), 0.0
            say = self.answer(asked)
        if say.raw:
            return say.status, say.raw.encode(), say.after
        text = say.words if isinstance(say.words, str) else json.dumps(say.words)
        content = [{"type": "text", "text": text, "citations": None}] if say.words else []
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": asked.body["model"],
            "content": content,
            "stop_reason": say.stop,
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": USAGE,
        }
        if not say.extra:
            self._check("Message", message)
        return 200, json.dumps(message | say.extra).encode(), say.after

    def _check(self, name: str, value: Any) -> None:
        if self._spec is None:
            return
        schema = {"$ref": f"#/components/schemas/{name}", "components": self._spec["components"]}
        self.wrong += [
            f"{name}: {e.message}"[:300] for e in OAS31Validator(schema).iter_errors(value)
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeClaude

    def do_GET(self) -> None:
        """Which models there are: one."""
        model = self.path.removeprefix("/v1/models/")
        if model != "claude-sonnet-5-5":
            refusal = failing(404, "not_found_error")
            self._answer(refusal.status, refusal.raw.encode())
            return
        found = {"type": "model", "id": model, "display_name": "Claude", "created_at": CREATED}
        self._answer(200, json.dumps(found).encode())

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        headers = {k.lower(): v for k, v in self.headers.items()}
        given = self.rfile.read(length)
        if self.path != "/v1/messages":
            self.fake.wrong.append(self.path)
        status, body, after = self.fake.reply(headers, given)
        time.sleep(after)
        self._answer(status, body)

    def _answer(self, status: int, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def claude_server() -> Iterator[FakeClaude]:
    """A server on a port of its own."""
    fake = FakeClaude()
    handler = type("Handler", (_Handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
