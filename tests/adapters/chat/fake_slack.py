"""A Slack Web API at the wire: keeps messages, can be slow or refuse, checks what it is sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

SPEC = Path(__file__).parents[4] / "shared" / "contracts" / "specs" / "slack_web.json"
TOKEN = "xoxb-correct-horse-battery-staple"
CHANNEL = "C0APPROVE"
# Limits that Slack documents for blocks and enforces with `invalid_blocks`.
MAX_BLOCKS, MAX_SECTION, MAX_HEADER, MAX_VALUE, MAX_ID = 50, 3000, 150, 2000, 255


@dataclass
class Say:
    """An answer to give instead of the usual one."""

    status: int = 200
    body: str = '{"ok": true}'
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0


class FakeSlack:
    """What was called, and the messages that stand in channels now."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.messages: dict[str, dict[str, Any]] = {}
        self.ephemeral: list[dict[str, Any]] = []
        self.next: list[Say] = []
        self.absent_from: set[str] = set()
        self.rooms: dict[str, str] = {}
        self.members: dict[str, list[str]] = {}
        self.slow = 0.0
        self.url = ""
        self.wrong: list[str] = []
        self._lock = threading.Lock()
        self._ts = 1_700_000_000

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]

    def texts(self) -> list[str]:
        """The messages as JSON, oldest first."""
        return [json.dumps(m, ensure_ascii=False) for m in self.messages.values()]

    def answer(self, method: str, token: str | None, given: dict[str, Any]) -> Say:
        with self._lock:
            self.calls.append((method, given))
            if self.next:
                return self.next.pop(0)
            if token != TOKEN:
                return _no("invalid_auth")
            self._check(method, given)
            return self._usual(method, given)

    def _usual(self, method: str, given: dict[str, Any]) -> Say:
        channel = given.get("channel", "")
        if channel in self.absent_from:
            return _no("not_in_channel")
        fault = _fault(given.get("blocks") or [])
        if fault:
            self.wrong.append(fault)
            return _no("invalid_blocks")
        match method:
            case "chat.postMessage":
                self._ts += 1
                ts = f"{self._ts}.000100"
                self.messages[ts] = given
                return _yes(channel=channel, ts=ts, message={"text": given["text"]})
            case "chat.update":
                if given["ts"] not in self.messages:
                    return _no("message_not_found")
                self.messages[given["ts"]] = given
                return _yes(channel=channel, ts=given["ts"], text=given["text"])
            case "chat.postEphemeral":
                self.ephemeral.append(given)
                return _yes(message_ts="1.1")
            case "conversations.create":
                if given["name"] in self.rooms:
                    return _no("name_taken")
                room = f"C{len(self.rooms) + 100}"
                self.rooms[given["name"]] = room
                return _yes(channel={"id": room, "name": given["name"]})
            case "conversations.list":
                # Two to a page, so that paging is played.
                start = int(given.get("cursor") or 0)
                rooms = [{"id": room, "name": name} for name, room in self.rooms.items()]
                more = str(start + 2) if start + 2 < len(rooms) else ""
                page = rooms[start : start + 2]
                return _yes(channels=page, response_metadata={"next_cursor": more})
            case "conversations.invite":
                members = self.members.setdefault(channel, [])
                if given["users"] in members:
                    return _no("already_in_channel")
                members.append(given["users"])
                return _yes(channel={"id": channel})
            case "auth.test":
                return _yes(user="forewarn", team="Acme", url="https://acme.example/", bot_id="B1")
            case _:
                return _no("unknown_method")

    def _check(self, method: str, given: dict[str, Any]) -> None:
        """Hold the arguments against the published description, where that stands beside us."""
        if not SPEC.exists():
            return
        path = json.loads(SPEC.read_text())["paths"].get(f"/{method}")
        if path is None:
            self.wrong.append(f"{method} is not published")
            return
        parameters = next(iter(path.values()))["parameters"]
        known = {p["name"] for p in parameters}
        required = {p["name"] for p in parameters if p.get("required")} - {"token"}
        self.wrong += [f"{method}: {name} is not published" for name in set(given) - known]
        self.wrong += [f"{method}: {name} is missing" for name in required - set(given)]


def _fault(blocks: list[dict[str, Any]]) -> str | None:
    if len(blocks) > MAX_BLOCKS:
        return f"{len(blocks)} blocks"
    ids = [b["block_id"] for b in blocks if "block_id" in b]
    if len(ids) != len(set(ids)) or any(len(i) > MAX_ID for i in ids):
        return "block_id"
    for block in blocks:
        text = block.get("text", {}).get("text", "")
        if block["type"] == "section" and not 0 < len(text) <= MAX_SECTION:
            return f"section of {len(text)}"
        if block["type"] == "header" and not 0 < len(text) <= MAX_HEADER:
            return f"header of {len(text)}"
        for element in block.get("elements", []):
            if element["type"] == "button" and len(element["value"]) > MAX_VALUE:
                return "button value"
    return None


def _yes(**values: object) -> Say:
    return Say(body=json.dumps({"ok": True, **values}))


def _no(code: str) -> Say:
    return Say(body=json.dumps({"ok": False, "error": code}))


@contextmanager
def fake_slack() -> Iterator[FakeSlack]:
    """The server on a free port of this machine, until the end."""
    slack = FakeSlack()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            scheme, _, token = (self.headers.get("authorization") or "").partition(" ")
            is_json = "json" in (self.headers.get("content-type") or "")
            path, _, query = self.path.partition("?")
            form = dict(parse_qsl(query) + parse_qsl("" if is_json else body.decode()))
            given = json.loads(body) if is_json and body else form
            said = slack.answer(
                path.removeprefix("/api/"), token if scheme == "Bearer" else None, given
            )
            time.sleep(said.after or slack.slow)
            try:
                self.send_response(said.status)
                for name, value in {"content-type": "application/json", **said.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(said.body.encode())))
                self.end_headers()
                self.wfile.write(said.body.encode())
            except OSError:
                pass  # the caller did not wait

        do_GET = do_POST

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    slack.url = f"http://127.0.0.1:{server.server_port}/api/"
    try:
        yield slack
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert not slack.wrong, slack.wrong
