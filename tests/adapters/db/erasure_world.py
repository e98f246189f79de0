"""A person with traces everywhere, and others who are almost them, for the tests of erasure."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import Audit
from adapters.db.customers import CustomerStore, ImportReport
from adapters.db.erasure import Erasure
from adapters.db.ledger import Ledger
from adapters.db.models import (
    AccountRow,
    AudienceMemberRow,
    Base,
    ContactRow,
    DraftRow,
    DraftTextRow,
    IdempotencyRow,
    NoteRow,
    SignalRow,
    TimelineRow,
)
from adapters.db.slack_models import SlackActionRow
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.ports import Claim, Outcome
from tests.adapters.db.ledger_world import (
    AUDIENCE,
    EVERYTHING,
    INCIDENT,
    audience,
    customers,
    incident,
    spec,
)

KEY = "a-secret-key-of-thirty-two-chars-or-more"
EMAIL, NAME, PHONE = "Ada.Lovelace@example.com", "Ada O'Lovelace", "+15559990001"
# As a form, a link and JSON carry them.
WRITTEN = (
    "Ask Ada O'Lovelace (ada.lovelace@EXAMPLE.com, +15559990001).",
    "<p>Ada O&#x27;Lovelace</p><p>Ada&nbsp;O&#39;Lovelace</p>",
    "https://x.example/?to=Ada.Lovelace%40example.com",
    "ada\n  o'lovelace was told at\nada.lovelace@example.com",
)
# Two other people.
OTHERS = ("xada.lovelace@example.com", "ada.lovelace@example.com.au")


class World:
    def __init__(self, engine: AsyncEngine, policy: Policy, now: datetime) -> None:
        self.engine, self.policy, self.now = engine, policy, now
        self.ledger, self.audit = Ledger(engine), Audit(engine)
        self.erasure = Erasure(engine, KEY)

    async def build(self) -> None:
        """Ada under two accounts, two others with almost her address, and three more."""
        await incident(self.engine, self.now)
        await customers(self.engine, self.now, 3)
        await audience(self.engine, self.now, range(3))
        people = [("c-ada", "acc_a", EMAIL, NAME, PHONE), ("c-ada-2", "acc_b", EMAIL.upper(), "Ada",
                  None)]  # fmt: skip
        people += [(f"c-{n}", "acc_b", email, f"Other {n}", None) for n, email in enumerate(OTHERS)]
        names = {"acc_a": NAME, "acc_b": "Analytical Engines"}
        async with self.engine.begin() as conn:
            for account, name in names.items():
                await conn.execute(
                    insert(AccountRow).values(
                        id=account, name=name, segment="enterprise", features=[], activity={},
                        regimes=[], sponsor=NAME, imported_at=self.now,
                    )
                )  # fmt: skip
            for contact, account, email, name, phone in people:
                await conn.execute(
                    insert(ContactRow).values(
                        id=contact, account_id=account, email=email, name=name, phone=phone,
                        locale="en", timezone="UTC", channels=["email", "sms"],
                        imported_at=self.now,
                    )
                )  # fmt: skip
                await conn.execute(
                    insert(AudienceMemberRow).values(
                        audience_id=AUDIENCE, contact_id=contact, account_id=account,
                        reason="uses payments", added_at=self.now,
                    )
                )  # fmt: skip

    async def send(self, n: int, moment: Moment = Moment.INITIAL, fail: str | None = None) -> int:
        """One whole broadcast by mail; the mail to the contact `fail` fails, naming its address."""
        broadcast = await self.open(n, moment)
        while (claim := await self.claim(broadcast)).recipients:
            outcomes = [
                Outcome(
                    delivery_id=r.delivery_id,
                    fence=claim.fences[r.delivery_id],
                    state="failed" if r.contact_id == fail else "sent",
                    reason=f"550 {r.address} unknown" if r.contact_id == fail else None,
                    sent_at=None if r.contact_id == fail else self.now,
                    text_hash="h",
                )
                for r in claim.recipients
            ]
            await self.ledger.settle(outcomes, broadcast, self.now)
        await self.finish(broadcast)
        return broadcast

    async def open(self, n: int, moment: Moment = Moment.INITIAL) -> int:
        given = spec(self.now, n=n, moment=moment)
        return await self.ledger.open(given, self.policy, self.now, EVERYTHING)

    async def claim(self, broadcast: int) -> Claim:
        return await self.ledger.claim(broadcast, Channel.EMAIL, 50, 60, self.now)

    async def finish(self, broadcast: int) -> None:
        await self.ledger.finish(broadcast, self.now)

    async def one(self, query: str) -> object:
        async with self.engine.connect() as conn:
            return (await conn.execute(text(query))).scalar()

    async def everything(self) -> str:
        """All tables' text."""
        pieces = []
        async with self.engine.connect() as conn:
            for table in Base.metadata.tables:
                found = await conn.execute(text(f"SELECT t::text FROM {table} t"))
                pieces += [f"{table}: {row[0]}" for row in found]
        return "\n".join(pieces)

    async def import_(self, *lines: str, readmit_erased: bool = False) -> ImportReport:
        file = [f"{line}\n".encode() for line in ("account_id,contact_id,email,phone", *lines)]
        return await CustomerStore(self.engine).import_csv(
            file,
            self.policy,
            self.now,
            by="test",
            erasure_key=KEY,
            readmit_erased=readmit_erased,
        )


async def scatter(world: World) -> None:
    """The person's traces in free text, wherever there is some."""
    engine, now = world.engine, world.now
    told = " ".join(WRITTEN)
    async with engine.begin() as conn:
        await conn.execute(
            insert(SignalRow).values(
                id="sig_1", source="generic", external_id="1", dedup_key="1", status="firing",
                signal={"title": told, "labels": {"user": EMAIL, "q": f'"{NAME}"'}},
                category="local_degradation", severity="P1", severity_stated=True, confirms=True,
                components=[], regions=[], reasons=[f"seen by {EMAIL}", "kept as it is"],
                correlation_id="c", incident_id=INCIDENT, disposition="started", received_at=now,
                relayed_at=now,
            )
        )  # fmt: skip
        await conn.execute(
            insert(NoteRow).values(
                id="n1", incident_id=INCIDENT, text=told, author="alice", created_at=now
            )
        )
        await conn.execute(
            insert(TimelineRow).values(
                incident_id=INCIDENT, key="k", at=now, kind="note", text=told, actor="alice",
                customer_visible=False, data={"to": [EMAIL]},
            )
        )  # fmt: skip
        await conn.execute(
            insert(IdempotencyRow).values(
                key="k", actor="tok", request_hash="h", status=200, body=f'{{"to": "{EMAIL}"}}',
                created_at=now,
            )
        )  # fmt: skip
        await conn.execute(
            insert(SlackActionRow).values(
                id="a1", user_id="U123", action="edit", payload={"text": told}, received_at=now,
                correlation_id="c", not_before=now, outcome=told,
            )
        )  # fmt: skip
        await conn.execute(
            insert(DraftRow).values(
                incident_id=INCIDENT, version=1, request="r", moment="initial", number=1, facts={},
                audience_rule="r", hash="hash1", findings=[{"found": EMAIL}], state="sent",
                author="alice", created_at=now, reason=told,
            )
        )  # fmt: skip
        await conn.execute(
            insert(DraftTextRow).values(
                incident_id=INCIDENT, version=1, channel="email", locale="en", subject=told,
                text=told, html=told,
            )
        )  # fmt: skip
        await conn.execute(
            text(
                "INSERT INTO delivery_events (delivery_id, kind, reason, at)"
                " SELECT id, 'bounced', :told, :now FROM deliveries WHERE contact_id = 'c-ada'"
            ),
            {"told": told, "now": now},
        )
