"""The mail sink keeps what it is sent and shows it without trusting it."""

import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import httpx2
import pytest

from runtime.mailbox import Mailbox
from runtime.processes import free_port, port_answers

ATTACK = "<script>alert(1)</script>"


class Sink:
    """A sink process that can be restarted on its directory."""

    def __init__(self, data_dir: Path) -> None:
        self.smtp_port, self.http_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http_port}"
        self._data_dir = data_dir
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "runtime.smtp_sink", "--data-dir", str(self._data_dir)]
        ports = ["--smtp-port", str(self.smtp_port), "--http-port", str(self.http_port)]
        self.process = subprocess.Popen([*command, *ports])
        deadline = time.monotonic() + 30
        while not (port_answers(self.smtp_port) and port_answers(self.http_port)):
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def send(self, subject: str, to: str = "ann@example.com", html: str = "<p>Hi</p>") -> None:
        message = EmailMessage()
        message["From"] = "Acme Cloud <support@acme.example>"
        message["To"] = f"Ann <{to}>"
        message["Subject"] = subject
        message["List-Unsubscribe"] = "<https://status.acme.example/unsubscribe/1>"
        message.set_content(f"Grüße, {ATTACK}\n.leading dot\n")
        message.add_alternative(html, subtype="html")
        with smtplib.SMTP("127.0.0.1", self.smtp_port) as client:
            client.send_message(message)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    """A running sink."""
    running = Sink(tmp_path)
    yield running
    running.kill()


def test_multipart_mail_is_shown_decoded_and_escaped(sink: Sink) -> None:
    sink.send(f"Zahlungen gestört {ATTACK}", html=f"<p>Body</p>{ATTACK}")
    listed = httpx2.get(f"{sink.url}/api/mails").json()
    assert listed["total"] == 1
    mail = httpx2.get(f"{sink.url}/api/mails/{listed['items'][0]['id']}").json()
    assert mail["subject"] == f"Zahlungen gestört {ATTACK}"
    assert "Grüße" in mail["text"]
    assert "\n.leading dot" in mail["text"].replace("\r", "")
    assert ["List-Unsubscribe", "<https://status.acme.example/unsubscribe/1>"] in mail["headers"]

    for path in ("/", f"/mails/{mail['id']}"):
        page = httpx2.get(sink.url + path)
        assert ATTACK not in page.text
        assert "&lt;script&gt;" in page.text
        assert "script-src" not in page.headers["content-security-policy"]
    # The HTML part is the one place where markup stays: its policy lets no script run.
    frame = httpx2.get(f"{sink.url}/mails/{mail['id']}/html")
    assert "<p>Body</p>" in frame.text
    policy = frame.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "allow-scripts" not in policy


def test_search_pages_and_delete(sink: Sink) -> None:
    for number in range(3):
        sink.send(f"Update {number}", to=f"c{number}@example.com")

    def subjects(query: str) -> list[str]:
        items = httpx2.get(f"{sink.url}/api/mails?{query}").json()["items"]
        return [item["subject"] for item in items]

    assert subjects("") == ["Update 2", "Update 1", "Update 0"]
    assert subjects("to=C1@example") == ["Update 1"]
    assert subjects("q=update%200") == ["Update 0"]
    first = httpx2.get(f"{sink.url}/api/mails?limit=2").json()
    assert subjects(f"limit=2&before={first['next']}") == ["Update 0"]
    assert httpx2.delete(f"{sink.url}/api/mails").json() == {"deleted": 3}
    assert subjects("") == []


def test_mails_survive_sigkill(sink: Sink) -> None:
    sink.send("Before")
    sink.kill()
    sink.start()
    sink.send("After")
    items = httpx2.get(f"{sink.url}/api/mails").json()["items"]
    assert [item["subject"] for item in items] == ["After", "Before"]


def test_foreign_host_name_is_refused(sink: Sink) -> None:
    response = httpx2.get(f"{sink.url}/api/mails", headers={"Host": "evil.example"})
    assert response.status_code == 400


def test_torn_index_line_and_odd_mail_do_no_harm(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, max_indexed=2)
    mailbox.add("a@example.com", ["b@example.com"], b"Subject: =?nonsense?q?x?=\r\n\r\nhello\r\n")
    mailbox.add("", ["b@example.com"], b"Content-Type: text/plain; charset=klingon\r\n\r\n\xff\r\n")
    mailbox.close()
    with (tmp_path / "index.jsonl").open("a") as index:
        index.write('{"id": 3, "at"')
    again = Mailbox(tmp_path, max_indexed=2)
    assert [mail.id for mail in again.find()] == [2, 1]
    assert again.add("a@example.com", ["c@example.com"], b"Subject: third\r\n\r\n").id == 3
    assert [mail.id for mail in again.find()] == [3, 2]
    whole = again.get(2)
    assert whole is not None
    assert whole.text.strip() == "\N{REPLACEMENT CHARACTER}"
    again.close()
