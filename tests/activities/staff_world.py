"""An incident played with the real plan, the real steps and a real database; only Temporal and the
sending are left out, and Slack is a server of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import ActivityEnvironment

from activities.approval import ChatDesk, TellStaffInput
from activities.draft import DraftInput
from activities.record import RecordInput
from activities.target import TargetInput
from adapters.chat.slack import Slack, SlackSettings
from adapters.db.models import AccountRow, ContactRow, ImportRow, IncidentRow
from adapters.db.policies import PolicyStore
from domain.actions import Decide, Note, SettlePromise, Target, TellStaff
from domain.events import AlertsReceived, Decided, Event, TimerFired
from domain.incident import Draft, IncidentState
from domain.plan import next_timer, open_incident, plan
from domain.policy import Policy
from runtime.wiring import build_desk, build_steps
from tests.adapters.chat.fake_slack import CHANNEL, TOKEN, FakeSlack
from tests.domain.story import batch

URL = "http://status.example"
SECRET = "a-secret-key-of-thirty-two-chars-or-more"
INCIDENT = "inc_000000000001"


def settings(api: FakeSlack, **changes: object) -> SlackSettings:
    given: dict[str, object] = {
        "bot_token": TOKEN, "signing_secret": "8f742231b10e8888abcd99", "timeout": 5,
        "approval_channel": CHANNEL, "base_url": api.url,
    }  # fmt: skip
    return SlackSettings.model_validate(given | changes)


def policy_with(policy: Policy, four_eyes: bool = False, duties: bool = False) -> Policy:
    """Three people with a Slack id; `U0EVE` has a role that decides nothing.

    Without `duties` staff are shown drafts alone, and one person may decide.
    """
    people = policy.people.model_copy(
        update={
            "slack": {
                "U0ADA": "on-call manager",
                "U0BOB": "incident manager",
                "U0COM": "on-call commander",
                "U0EVE": "CEO",
            }
        }
    )
    changes: dict[str, object] = {"four_eyes": four_eyes}
    if not duties:
        changes["second_over"] = None
        policy = policy.model_copy(
            update={
                "assessment": None,
                "extended": None,
                "promises": policy.promises.model_copy(update={"suggest": False}),
                "severities": {
                    severity: plan.model_copy(update={"duties": None})
                    for severity, plan in policy.severities.items()
                },
            }
        )
    approval = policy.approval.model_copy(update=changes)
    return policy.model_copy(update={"people": people, "approval": approval})


class Office:
    """One incident, the people who decide on it, and the Slack where they do."""

    def __init__(
        self, engine: AsyncEngine, policy: Policy, now: datetime, api: FakeSlack, **slack: object
    ) -> None:
        self.engine = engine
        self.policy = policy
        self.now = now
        self.api = api
        self.desk = self.another_desk(**slack)
        steps = build_steps(engine, policy, {}, URL, SECRET, self.clock, desk=self.desk)
        self._steps: dict[str, Callable[..., Any]] = {
            step.__name__: step for queue in steps.by_queue.values() for step in queue
        }
        self.state: IncidentState | None = None

    def clock(self) -> datetime:
        return self.now

    def another_desk(self, **slack: object) -> ChatDesk:
        slack_api = Slack(settings(self.api, **slack))
        desk = build_desk(self.engine, self.policy, slack_api, URL, SECRET, self.clock)
        assert desk is not None
        return desk

    async def customers(self, number: int = 6, imported: timedelta = timedelta(hours=2)) -> None:
        """Accounts that use payments, half of them in the EU, one without a known value."""
        at = self.now - imported
        async with self.engine.begin() as conn:
            await conn.execute(
                insert(ImportRow).values(at=at, accounts=number, contacts=number, skipped=0)
            )
            for i in range(number):
                await conn.execute(
                    insert(AccountRow).values(
                        id=f"acc_{i}", name=f"Company {i}", features=["payments"], activity={},
                        regimes=[], imported_at=at, plan="enterprise" if i < 2 else "pro",
                        region="eu" if i % 2 else "us", segment="enterprise" if i < 2 else "smb",
                        arr=None if i == 0 else 1000 * i,
                    )
                )  # fmt: skip
                await conn.execute(
                    insert(ContactRow).values(
                        id=f"con_{i}", account_id=f"acc_{i}", email=f"user{i}@example.com",
                        name=f"User {i}", locale="de" if i == 1 else "en", timezone="UTC",
                        channels=["in_app"] if i == 2 else [], imported_at=at,
                    )
                )  # fmt: skip

    async def open(self, title: str = "Payments fail", **alert: Any) -> None:
        """The first alert: it confirms impact unless told otherwise."""
        await PolicyStore(self.engine).save(self.policy, "test", self.now)
        async with self.engine.begin() as conn:
            await conn.execute(
                insert(IncidentRow).values(
                    id=INCIDENT, title=title, severity="P2", stage="suspected", components=[],
                    category="local_degradation", regions=[], dry_run=False,
                    started_at=self.now, opened_at=self.now, last_alert_at=self.now,
                    policy_hash=self.policy.hash, correlation_id="c", updated_at=self.now,
                )
            )  # fmt: skip
        first = batch(**alert)
        self.state = open_incident(INCIDENT, first, self.now, False)
        await self.tell(AlertsReceived(batch=first))

    async def tell(self, event: Event) -> None:
        """One step of the incident, as its workflow takes it, and what follows from it."""
        assert self.state is not None
        self.state, actions = plan(self.state, event, self.now, self.policy)
        await self._run(
            "record_step",
            RecordInput(
                state=self.state,
                now=self.now,
                notes=tuple(a for a in actions if isinstance(a, Note)),
                promises=tuple(a for a in actions if isinstance(a, SettlePromise)),
                decisions=tuple(a for a in actions if isinstance(a, Decide)),
                policy_hash=self.policy.hash,
            ),
        )
        if any(isinstance(action, TellStaff) for action in actions):
            await self.tell_staff()
        for action in actions:
            given = {"state": self.state, "policy_hash": self.policy.hash}
            if isinstance(action, Target):
                await self.tell(await self._run("take_audience", TargetInput(**given)))
            elif isinstance(action, Draft):
                await self.tell(await self._run("write_draft", DraftInput(draft=action, **given)))

    async def tell_staff(self) -> None:
        await self._run("tell_staff", TellStaffInput(incident_id=INCIDENT))

    async def decide(self, decision: Any = "approve", by: str = "on-call manager") -> None:
        assert self.state is not None and self.state.pending is not None
        await self.tell(
            Decided(draft=self.state.pending.draft, decision=decision, by=by, reason="too early")
        )

    async def pass_time(self, delta: timedelta) -> None:
        """Move the clock; timers fire in order."""
        assert self.state is not None
        until = self.now + delta
        while (due := next_timer(self.state)) is not None and due[1] <= until:
            self.now = max(self.now, due[1])
            await self.tell(TimerFired(timer=due[0]))
        self.now = until

    async def _run(self, name: str, given: object) -> Any:
        return await ActivityEnvironment().run(self._steps[name], given)
