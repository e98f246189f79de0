"""Posts finished requests over many connections: `python -m benchmarks.parts.hammer PORT N FILE`.

Each sender has a connection of its own and posts its next request when the last was answered.
Prints what came of it as one line of JSON. A program of its own, so that it takes no time of the
process that starts it; it does as little as it can, so that it is not what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import uvloop

HOST = "127.0.0.1"
GIVE_UP_SECONDS = 300
SEPARATOR = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_DISPOSITION = re.compile(rb'"disposition": ?"(\w+)"')
_INCIDENT = re.compile(rb'"incident_id": ?"(\w+)"')


class Sender(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, requests: Iterator[bytes], found: Found) -> None:
        self._requests = requests
        self._found = found
        self._answer = b""
        self._began = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, separator, body = self._answer.partition(SEPARATOR)
        if not separator:
            return
        length = _LENGTH.search(head)
        if length is None or len(body) < int(length[1]):
            return
        self._found.answered(time.perf_counter() - self._began, head, body)
        self._answer = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._found.lost += 1
            self.done.set_result(None)

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(request)


class Found:
    """What came back."""

    def __init__(self) -> None:
        self.lost = 0
        self.statuses: Counter[str] = Counter()
        self.dispositions: Counter[str] = Counter()
        self.incidents: set[str] = set()
        self.latencies: list[float] = []

    def answered(self, seconds: float, head: bytes, body: bytes) -> None:
        self.latencies.append(seconds)
        self.statuses[head[9:12].decode()] += 1
        for found in _DISPOSITION.findall(body)[:1]:
            self.dispositions[found.decode()] += 1
        self.incidents.update(found.decode() for found in _INCIDENT.findall(body))

    def report(self, seconds: float) -> dict[str, object]:
        ordered = sorted(self.latencies)

        def at(part: float) -> float:
            return ordered[max(0, math.ceil(len(ordered) * part) - 1)] * 1000 if ordered else 0.0

        return {
            "seconds": seconds,
            "answered": len(ordered),
            "lost": self.lost,
            "statuses": dict(self.statuses),
            "dispositions": dict(self.dispositions),
            "incidents": sorted(self.incidents),
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
            "max_ms": at(1.0),
        }


def http_post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A finished request of HTTP/1.1."""
    fields = {"Host": HOST, "Content-Type": "application/json", **headers}
    fields["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    """The file that the program reads: each request behind its length in four bytes."""
    with path.open("wb") as file:
        for request in requests:
            file.write(len(request).to_bytes(4, "big") + request)


def read_requests(path: Path) -> list[bytes]:
    """What `write_requests` wrote."""
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


async def hammer(port: int, senders: int, requests: list[bytes]) -> dict[str, object]:
    """Post them all; the report."""
    loop, queue, found = asyncio.get_running_loop(), iter(requests), Found()
    began = time.perf_counter()
    async with asyncio.timeout(GIVE_UP_SECONDS):
        pairs = [
            await loop.create_connection(lambda: Sender(queue, found), HOST, port)
            for _ in range(senders)
        ]
        await asyncio.gather(*(sender.done for _, sender in pairs))
    return found.report(time.perf_counter() - began)


def main() -> None:
    """Read the command line, post, print the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parts.hammer")
    parser.add_argument("port", type=int)
    parser.add_argument("senders", type=int)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    requests = read_requests(arguments.file)
    report = uvloop.run(hammer(arguments.port, arguments.senders, requests))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
