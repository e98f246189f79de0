"""Plays one incident from first alert to post-mortem, and checks that every step happened."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import yaml

from domain.tokens import sign
from runtime.stack_state import StackInfo

CONTENT = Path(__file__).parent.parent / "content" / "demo"
# Every step of the demo is over in seconds; the slowest waits for a promise of 20 s.
STEP_SECONDS = 60.0
POLL_SECONDS = 0.3
# Moments whose English mail is shown in the terminal as its readers get it.
SHOWN_WHOLE = frozenset({"initial", "post_mortem"})

Say = Callable[[str], None]


class DemoFailed(Exception):
    """A step that did not happen in time; the message names it."""


class Demo:
    """The demo approver, the monitor and the curious customer in one.

    `secret` signs the token with which an affected account's product shows the banner.
    """

    def __init__(self, stack: StackInfo, secret: str, say: Say) -> None:
        self._stack = stack
        self._secret = secret
        self._say = say
        self._words: dict[str, str] = yaml.safe_load((CONTENT / "words.yaml").read_text("utf-8"))
        self._run = f"{time.time():.0f}"
        self._seen_lines: set[str] = set()
        self._started = time.monotonic()
        self.incident = ""
        self.banner = f"{stack.gateway}/demo/banner"

    async def play(self) -> None:
        """The whole story; raises DemoFailed at the first step that does not happen."""
        headers = {"Authorization": f"Bearer {self._stack.token}"}
        async with httpx2.AsyncClient(
            base_url=self._stack.gateway, headers=headers, timeout=30, trust_env=False
        ) as http:
            self._http = http
            await self._alert()
            await self._confirm()
            await self._approve("initial", "the first message")
            await self._customers_see("initial")
            await self._human_update()
            await self._promised_update()
            await self._resolve()
            await self._post_mortem()
            await self._closed()

    async def _alert(self) -> None:
        self._head("PagerDuty reports that card payments fail; nobody has confirmed it yet")
        answer = await self._pagerduty("pagerduty_triggered.json")
        self.incident = answer["incident_id"]
        if answer["disposition"] != "suspected":
            raise DemoFailed(f"the alert was answered {answer['disposition']}, not suspected")
        self._done(f"incident {self.incident} is opened as suspected: customers hear nothing yet")
        self._done(f"watch it here: {self._stack.gateway}/console/incidents/{self.incident}")

    async def _confirm(self) -> None:
        self._head("The on-call manager confirms it: customers in Europe feel it")
        await self._post(f"/api/incidents/{self.incident}/confirm", {"regions": ["eu"]})
        self._done("confirmed; Forewarn looks up who is affected and drafts the first message")

    async def _approve(self, moment: str, what: str) -> None:
        self._head(f"The on-call manager reads and approves {what}")

        pending = await self._until(f"draft of {moment}", lambda: self._waits(moment))
        drafts = await self._get(f"/api/incidents/{self.incident}/drafts")
        mails = [
            d
            for d in drafts["items"]
            if d["version"] == pending["draft"] and d["channel"] == "email"
        ]
        self._done(f"draft {pending['draft']} waits; nothing is sent before a person agrees")
        for draft in mails:
            self._say(f"      [bold]{draft['locale']}: {_escape(draft['subject'])}[/bold]")
            if moment in SHOWN_WHOLE and draft["locale"] == "en":
                for line in draft["text"].splitlines():
                    self._say(f"      [cyan]│ {_escape(line)}[/cyan]")
        await self._post(
            f"/api/incidents/{self.incident}/decision",
            {"draft": pending["draft"], "decision": "approve"},
        )
        self._done(f"draft {pending['draft']} approved (exactly these words: {pending['hash']})")

    async def _customers_see(self, moment: str) -> None:
        self._head("Customers hear of it, each in their language and time zone")
        incident = await self._incident()

        async def mailed() -> Any:
            counts = await self._counts("email")
            settled = not counts.get("pending") and not counts.get("sending")
            return counts if settled and counts.get("sent") else None

        counts = await self._until("mail", mailed)
        self._done(
            f"{counts['sent']} mails sent to {incident['audience']['accounts']} affected accounts, "
            f"{counts.get('suppressed', 0)} held back (unsubscribed or not wanted)"
        )
        await self._until("mail in the sink", self._mail_arrived)
        self._done(f"read them: {self._stack.mail or self._stack.smtp}")
        await self._until("status page", lambda: self._status_page("investigating"))
        self._done(f"status page: {self._stack.gateway}/")
        await self._until("banner", self._banner)
        self._done(f"banner in an affected customer's product: {self.banner}")

    async def _human_update(self) -> None:
        self._head("The cause is found; an engineer writes an update")
        await self._post(
            f"/api/incidents/{self.incident}/updates",
            {"message": self._words["update"], "stage": "identified"},
        )
        await self._approve("update", "the update")
        await self._until("status page", lambda: self._status_page("identified"))
        self._done("sent; the status page says that the cause is found")

    async def _promised_update(self) -> None:
        due = (await self._incident())["next_update_due"]
        self._head(f"Customers were promised news by {due[11:19]} UTC, and nobody writes any")

        async def kept() -> Any:
            lines = await self._timeline()
            started = [t for t in lines if t["kind"] == "broadcast_started"]
            return (
                [t for t in lines if t["kind"] == "promise_kept"]
                if len([t for t in started if "holding" in t["text"]])
                else None
            )

        await self._until("holding line", kept)
        missed = [t for t in await self._timeline() if t["kind"] == "promise_missed"]
        if missed:
            raise DemoFailed("a promise was missed")
        self._done(
            "promise kept: the holding line, approved with the first message, went out in time"
        )

    async def _resolve(self) -> None:
        self._head("PagerDuty reports it resolved; Forewarn waits to see that it stays quiet")
        answer = await self._pagerduty("pagerduty_resolved.json")
        if answer["disposition"] != "resolved":
            raise DemoFailed(f"the end was answered {answer['disposition']}, not resolved")
        await self._until("draft of the all-clear", lambda: self._waits("resolution"))
        self._done("quiet long enough: an all-clear is drafted")
        self._head("An engineer adds what was fixed; a new version replaces the draft")
        drafted = (await self._incident())["pending"]["draft"]
        await self._post(
            f"/api/incidents/{self.incident}/resolve", {"message": self._words["resolution"]}
        )
        await self._until("new all-clear", lambda: self._waits("resolution", after=drafted))
        await self._approve("resolution", "the all-clear")
        await self._until("status page", lambda: self._status_page(None))

        async def everybody() -> Any:
            incident = await self._incident()
            return incident["stage"] == "resolved" or None

        await self._until("stage resolved", everybody)
        self._done("all-clear sent to everyone who heard the start; the status page is green")

    async def _post_mortem(self) -> None:
        await self._approve("post_mortem", "the post-mortem")

        async def published() -> Any:
            return (await self._incident())["post_mortem"] == "published" or None

        await self._until("published post-mortem", published)
        self._done(f"report published: {self._stack.gateway}/incidents/{self.incident}")

    async def _closed(self) -> None:
        self._head("The time in which a new alert would reopen it passes")

        async def closed() -> Any:
            return (await self._incident())["stage"] == "closed" or None

        await self._until("closing", closed)
        self._done("incident closed; every step is in the audit log")

    # The world around it

    async def _pagerduty(self, name: str) -> dict[str, Any]:
        """Post a recorded payload, signed as PagerDuty signs, with the time of now."""
        payload = json.loads((CONTENT / name).read_text("utf-8"))
        event = payload["event"]
        event["id"] = f"{event['id']}-{self._run}"
        event["data"]["id"] = f"{event['data']['id']}-{self._run}"
        event["occurred_at"] = datetime.now(UTC).isoformat()
        body = json.dumps(payload).encode()
        secret = self._stack.secrets["pagerduty"].encode()
        signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
        response = await self._http.post(
            "/webhooks/pagerduty",
            content=body,
            headers={
                "Content-Type": "application/json",
                "X-PagerDuty-Signature": f"v1={signature}",
            },
        )
        if response.status_code != 202:
            raise DemoFailed(f"the webhook answered {response.status_code}: {response.text[:200]}")
        answer: dict[str, Any] = response.json()
        return answer

    async def _get(self, path: str) -> Any:
        response = await self._http.get(path)
        if not response.is_success:
            raise DemoFailed(f"GET {path} answered {response.status_code}: {response.text[:200]}")
        return response.json()

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        response = await self._http.post(path, json=body)
        if not response.is_success:
            raise DemoFailed(f"POST {path} answered {response.status_code}: {response.text[:300]}")
        return response.json()

    async def _incident(self) -> Any:
        return await self._get(f"/api/incidents/{self.incident}")

    async def _timeline(self) -> list[dict[str, Any]]:
        """The timeline; lines not seen before are shown."""
        page = await self._get(f"/api/incidents/{self.incident}/timeline?limit=200")
        lines: list[dict[str, Any]] = page["items"]
        for line in lines:
            key = f"{line['at']}{line['kind']}{line['text']}"
            if key not in self._seen_lines:
                self._seen_lines.add(key)
                self._say(f"      [dim]{line['at'][11:19]}  {_escape(line['text'])}[/dim]")
        return lines

    async def _counts(self, channel: str) -> dict[str, int]:
        summary = await self._get(f"/api/incidents/{self.incident}/deliveries?summary=1")
        counts: dict[str, int] = summary.get(channel, {})
        return counts

    async def _mail_arrived(self) -> Any:
        if self._stack.mail is None:
            return True
        response = await self._http.get(f"{self._stack.mail}/api/mails")
        return response.json()["items"] or None

    async def _status_page(self, status: str | None) -> Any:
        """Whether the public JSON shows the incident in a status; None: not unresolved any more."""
        summary = await self._get("/api/v2/summary.json")
        found = [i["status"] for i in summary["incidents"] if i["id"] == self.incident]
        return (found == [status]) if status else (not found)

    async def _waits(self, moment: str, after: int = 0) -> Any:
        """The pending draft of a moment, if it is newer than version `after`."""
        pending = (await self._incident())["pending"]
        fits = pending and pending["moment"] == moment and pending["draft"] > after
        return pending if fits else None

    async def _banner(self) -> Any:
        """Whether the banner shows the incident in the product of an affected account."""
        told = await self._get(
            f"/api/incidents/{self.incident}/deliveries?channel=in_app&state=sent&limit=1"
        )
        if not told["items"]:
            return None
        token = sign(self._secret, "account", {"a": told["items"][0]["account_id"]})
        self.banner = f"{self._stack.gateway}/demo/banner?token={token}"
        async with httpx2.AsyncClient(trust_env=False) as product:
            active = await product.get(
                f"{self._stack.gateway}/api/incidents/active", params={"token": token}
            )
        return [i for i in active.json()["items"] if i["id"] == self.incident] or None

    async def _until(self, what: str, check: Callable[[], Awaitable[Any]]) -> Any:
        deadline = time.monotonic() + STEP_SECONDS
        while time.monotonic() < deadline:
            if self.incident:
                await self._timeline()
            found = await check()
            if found:
                return found
            await asyncio.sleep(POLL_SECONDS)
        raise DemoFailed(f"{what}: did not happen within {STEP_SECONDS:.0f} s")

    def _head(self, text: str) -> None:
        self._say(f"\n[bold]{time.monotonic() - self._started:5.1f} s  {text}[/bold]")

    def _done(self, text: str) -> None:
        self._say(f"   [green]✓[/green]  {_escape(text)}")


def _escape(text: str) -> str:
    """Text that may hold brackets, safe for rich's markup."""
    return text.replace("[", "\\[")
