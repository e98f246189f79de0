"""SLA credits in PostgreSQL: worked out for an audience, decided by a person, kept for good."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db.chain import append_in
from adapters.db.credit_models import CreditRow
from adapters.db.cursors import DEFAULT_LIMIT, Page, read_cursor, write_cursor
from adapters.db.incidents_read import Utc, View
from domain.credits import EVERYBODY, Credit, CreditPolicy, Span, credit, outage
from domain.errors import BadInput, FieldError, NotFound, Refused
from domain.events import CreditsProposed
from domain.incident import IncidentState
from domain.policy import Policy

BATCH = 5_000
# Incidents that touched each other may go back further than the one at hand, but not for ever.
LOOK_BACK = timedelta(days=31)

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('credits', 0))")
_NEIGHBOURS = text(
    """
    SELECT id, started_at, coalesce(resolved_at, :until) AS ended_at FROM incidents
    WHERE id <> :incident AND announced AND NOT dry_run AND severity = ANY(:severities)
      AND stage NOT IN ('suspected', 'dismissed', 'false_alarm')
      AND started_at <= :until AND coalesce(resolved_at, :until) >= :since
    """
)
_ACCOUNTS = text(
    """
    SELECT DISTINCT ON (a.id) a.id, a.plan, a.monthly_fee
    FROM audience_members m JOIN accounts a ON a.id = m.account_id
    WHERE m.audience_id = :audience AND a.plan = ANY(:plans) AND a.id > :after
    ORDER BY a.id LIMIT :most
    """
)
_FELT = text(
    """
    SELECT DISTINCT m.account_id, i.id AS incident_id
    FROM incidents i JOIN audience_members m ON m.audience_id = i.audience_id
    WHERE i.id = ANY(:incidents) AND m.account_id = ANY(:accounts)
    """
)
# Announced work does not count, as long as it was announced: an overrun is no plan.
_WINDOWS = text(
    """
    SELECT i.id, i.audience_id, m.told_start AS begins,
           coalesce((i.state->>'first_end')::timestamptz, m.told_end) AS ends
    FROM maintenances m JOIN incidents i ON i.id = m.id
    WHERE m.impact <> 'none' AND m.told_start IS NOT NULL AND i.stage <> 'cancelled'
      AND NOT i.dry_run AND m.told_start <= :until
      AND coalesce((i.state->>'first_end')::timestamptz, m.told_end) >= :since
    """
)
_CREDITED = text(
    """
    SELECT account_id, incident_id, month, amount FROM credits
    WHERE account_id = ANY(:accounts) AND incident_id <> :incident AND amount IS NOT NULL
      AND state <> 'rejected' AND (month = :month OR incident_id = ANY(:incidents))
    """
)
_TOTALS = text(
    """
    SELECT count(*) AS accounts, coalesce(sum(amount), 0) AS total,
           count(*) FILTER (WHERE amount IS NULL) AS unknown
    FROM credits WHERE incident_id = :incident AND state = 'proposed'
    """
)
_DECIDE = text(
    """
    UPDATE credits SET state = :state, decided_by = :by, decided_at = :now, reason = :reason
    WHERE incident_id = :incident AND state = 'proposed' AND (amount IS NOT NULL OR :all)
      AND (cast(:accounts AS text[]) IS NULL OR account_id = ANY(:accounts))
    RETURNING account_id, plan, percent, amount, currency
    """
)
_PERCENTS = text(
    """
    SELECT plan, max(percent) AS percent, min(percent) AS least, count(*) AS accounts
    FROM credits WHERE incident_id = :incident AND state = 'approved' GROUP BY plan
    """
)


class CreditView(View):
    """One account's credit with its working (`domain.credits.Working`)."""

    account_id: str
    plan: str
    percent: Decimal
    amount: Decimal | None
    currency: str
    working: dict[str, Any]
    state: str
    proposed_at: Utc
    decided_by: str | None
    decided_at: Utc | None
    reason: str | None


class CreditTotals(View):
    """By state: accounts, the sum of known amounts, and how many amounts are not known."""

    state: str
    accounts: int
    total: Decimal
    unknown: int
    currency: str


class CreditDecision(View):
    """What was decided; `percents` by plan, or under "*" where the whole audience gets the same."""

    accounts: int
    total: Decimal
    currency: str
    percents: dict[str, str]


class CreditStore:
    """Implements the activity's `CreditBook`, and what approvers and accounts look at."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def propose(
        self, state: IncidentState, policy: Policy, until: datetime, now: datetime
    ) -> CreditsProposed:
        """Work out what is owed for an incident that lasted until now; what a person decided stays.

        Runs one after the other for all incidents, so that one outage is not credited twice.
        """
        plan = policy.credits
        audience = state.audience.audience_id
        if plan is None or audience is None or state.dry_run:
            return CreditsProposed(accounts=0, total="0")
        own = Span(case=state.id, begin=state.started_at, end=until)
        month = f"{own.begin.astimezone(ZoneInfo(policy.company.timezone)):%Y-%m}"
        async with self._engine.begin() as conn:
            await conn.execute(_LOCK)
            await conn.execute(
                text("DELETE FROM credits WHERE incident_id = :id AND state = 'proposed'"),
                {"id": state.id},
            )
            near = await _neighbours(conn, plan, own)
            windows = await _windows(conn, [own, *near.values()])
            async for accounts in _accounts(conn, plan, audience):
                found = await _credits(conn, plan, own, near, windows, accounts, month)
                rows = [_row(state.id, item, month, policy.hash, now) for item in found if item]
                if rows:
                    await conn.execute(insert(CreditRow).on_conflict_do_nothing(), rows)
            totals = (await conn.execute(_TOTALS, {"incident": state.id})).one()
        return CreditsProposed(
            accounts=totals.accounts,
            total=f"{totals.total} {plan.currency}",
            unknown=totals.unknown,
        )

    async def totals(self, incident_id: str) -> tuple[CreditTotals, ...]:
        """What is proposed, approved and rejected."""
        query = text(
            """
            SELECT state, count(*) AS accounts, coalesce(sum(amount), 0) AS total,
                   count(*) FILTER (WHERE amount IS NULL) AS unknown, min(currency) AS currency
            FROM credits WHERE incident_id = :incident GROUP BY state ORDER BY state
            """
        )
        async with self._engine.connect() as conn:
            rows = await conn.execute(query, {"incident": incident_id})
            return tuple(CreditTotals.model_validate(dict(row)) for row in rows.mappings())

    async def page(
        self, incident_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
    ) -> Page[CreditView]:
        """The credits of an incident by account id, each with its working."""
        row = CreditRow
        query = (
            select(CreditRow.__table__)
            .where(row.incident_id == incident_id)
            .order_by(row.account_id)
            .limit(limit + 1)
        )
        if cursor is not None:
            query = query.where(row.account_id > read_cursor(cursor, str)[0])
        async with self._engine.connect() as conn:
            rows = (await conn.execute(query)).mappings().all()
        items = tuple(_view(found) for found in rows[:limit])
        more = len(rows) > limit
        return Page(items=items, next=write_cursor(items[-1].account_id) if more else None)

    async def approve(
        self,
        incident_id: str,
        total: Decimal,
        accounts: Sequence[str] | None,
        by: str,
        now: datetime,
    ) -> CreditDecision:
        """Approve what is proposed, or some accounts of it; amounts that are not known stay.

        Raises Refused where the sum is not the `total` that the approver saw, NotFound for nothing.
        """
        async with self._engine.begin() as conn:
            again = await _approved(conn, incident_id, accounts, by)
            if again and sum((row.amount for row in again), Decimal(0)) == total:
                # Said twice, because the first answer was lost: it stands.
                return await _decision(conn, incident_id, again)
            done = await _decide(conn, incident_id, "approved", accounts, by, "", now)
            amount = sum((row.amount for row in done), Decimal(0))
            if amount != total:
                raise Refused(
                    "superseded", f"the amounts come to {amount} by now, not {total}: look again"
                )
            await append_in(
                conn,
                "credits",
                by,
                {"decision": "approved", "accounts": len(done), "total": str(amount)},
                now,
                incident_id,
            )
            return await _decision(conn, incident_id, done)

    async def reject(
        self,
        incident_id: str,
        accounts: Sequence[str] | None,
        reason: str,
        by: str,
        now: datetime,
    ) -> int:
        """Turn down what is proposed, or some accounts of it; says how many."""
        async with self._engine.begin() as conn:
            done = await _decide(conn, incident_id, "rejected", accounts, by, reason, now)
            body = {"decision": "rejected", "accounts": len(done), "reason": reason}
            await append_in(conn, "credits", by, body, now, incident_id)
        return len(done)

    async def set_amount(
        self, incident_id: str, account_id: str, amount: Decimal, by: str, now: datetime
    ) -> None:
        """Name the amount of a proposal, where the fee is not known or a person knows better."""
        row = CreditRow
        async with self._engine.begin() as conn:
            found = await conn.execute(
                update(row)
                .where(
                    row.incident_id == incident_id,
                    row.account_id == account_id,
                    row.state == "proposed",
                )
                .values(amount=amount)
            )
            if found.rowcount == 0:
                raise NotFound(f"nothing is proposed for {account_id}")
            body = {"decision": "amount", "account": account_id, "amount": str(amount)}
            await append_in(conn, "credits", by, body, now, incident_id)


async def _neighbours(conn: AsyncConnection, plan: CreditPolicy, own: Span) -> Mapping[str, Span]:
    """Other incidents that may belong to the same outage, whoever felt them."""
    rows = await conn.execute(
        _NEIGHBOURS,
        {
            "incident": own.case,
            "until": own.end,
            "since": own.begin - LOOK_BACK,
            "severities": [severity.value for severity in plan.severities],
        },
    )
    spans = [Span(case=row.id, begin=row.started_at, end=row.ended_at) for row in rows]
    return {span.case: span for span in outage(own.case, [*spans, own]) if span.case != own.case}


async def _windows(conn: AsyncConnection, spans: Sequence[Span]) -> Mapping[str, Span]:
    """Announced work that falls into an outage, by id."""
    given = {"since": min(s.begin for s in spans), "until": max(s.end for s in spans)}
    rows = await conn.execute(_WINDOWS, given)
    return {row.id: Span(case=row.id, begin=row.begins, end=row.ends) for row in rows}


async def _accounts(
    conn: AsyncConnection, plan: CreditPolicy, audience: str
) -> AsyncIterator[Sequence[Any]]:
    """The audience's accounts whose plan has bands, a batch at a time."""
    after = ""
    while True:
        given = {"audience": audience, "plans": list(plan.bands), "after": after, "most": BATCH}
        rows = (await conn.execute(_ACCOUNTS, given)).all()
        if not rows:
            return
        yield rows
        after = rows[-1].id


async def _credits(
    conn: AsyncConnection,
    plan: CreditPolicy,
    own: Span,
    near: Mapping[str, Span],
    windows: Mapping[str, Span],
    accounts: Sequence[Any],
    month: str,
) -> list[Credit | None]:
    ids = [row.id for row in accounts]
    asked = {"accounts": ids, "incidents": [*near], "incident": own.case, "month": month}
    felt = await _those_who_felt(conn, near, ids)
    warned = await _those_who_felt(conn, windows, ids)
    earlier: dict[str, list[Any]] = {}
    for row in await conn.execute(_CREDITED, asked):
        earlier.setdefault(row.account_id, []).append(row)
    found = []
    for account in accounts:
        spans = outage(own.case, [own, *felt.get(account.id, ())])
        same = {span.case for span in spans}
        credited = earlier.get(account.id, ())
        found.append(
            credit(
                plan,
                account.id,
                account.plan,
                account.monthly_fee,
                spans,
                tuple(warned.get(account.id, ())),
                before=sum((r.amount for r in credited if r.incident_id in same), Decimal(0)),
                month=sum((r.amount for r in credited if r.month == month), Decimal(0)),
            )
        )
    return found


async def _those_who_felt(
    conn: AsyncConnection, cases: Mapping[str, Span], accounts: Sequence[str]
) -> dict[str, list[Span]]:
    """By account, those of the cases in whose audience it is."""
    found: dict[str, list[Span]] = {}
    if cases:
        given = {"incidents": [*cases], "accounts": accounts}
        for row in await conn.execute(_FELT, given):
            found.setdefault(row.account_id, []).append(cases[row.incident_id])
    return found


def _row(
    incident_id: str, found: Credit, month: str, policy_hash: str, now: datetime
) -> dict[str, Any]:
    return {
        "incident_id": incident_id,
        "account_id": found.account_id,
        "plan": found.plan,
        "percent": found.percent,
        "amount": found.amount,
        "currency": found.currency,
        "month": month,
        "working": found.working.model_dump(mode="json"),
        "state": "proposed",
        "policy_hash": policy_hash,
        "proposed_at": now,
    }


def _view(row: Mapping[Any, Any]) -> CreditView:
    return CreditView.model_validate({key: row[key] for key in CreditView.model_fields})


async def _decide(
    conn: AsyncConnection,
    incident_id: str,
    state: str,
    accounts: Sequence[str] | None,
    by: str,
    reason: str,
    now: datetime,
) -> Sequence[Any]:
    given = {
        "state": state,
        "by": by,
        "now": now,
        "reason": reason or None,
        "incident": incident_id,
        "accounts": None if accounts is None else list(accounts),
        "all": state == "rejected",
    }
    done = (await conn.execute(_DECIDE, given)).all()
    strange = sorted(set(accounts or ()) - {row.account_id for row in done})
    if strange:
        raise BadInput(
            "nothing with a known amount is proposed for some accounts",
            [FieldError(field="accounts", value=name, allowed="proposed") for name in strange[:10]],
        )
    if not done:
        raise NotFound("no credit of this incident waits for a decision")
    return done


async def _approved(
    conn: AsyncConnection, incident_id: str, accounts: Sequence[str] | None, by: str
) -> Sequence[Any]:
    """What this person approved of it before."""
    row = CreditRow
    query = select(row.amount, row.currency).where(
        row.incident_id == incident_id, row.state == "approved", row.decided_by == by
    )
    if accounts is not None:
        query = query.where(row.account_id.in_(accounts))
    return (await conn.execute(query)).all()


async def _decision(conn: AsyncConnection, incident_id: str, done: Sequence[Any]) -> CreditDecision:
    return CreditDecision(
        accounts=len(done),
        total=sum((row.amount for row in done), Decimal(0)),
        currency=done[0].currency,
        percents=await _percents(conn, incident_id),
    )


async def _percents(conn: AsyncConnection, incident_id: str) -> dict[str, str]:
    rows = (await conn.execute(_PERCENTS, {"incident": incident_id})).all()
    members = await conn.scalar(
        text("SELECT audience_accounts FROM incidents WHERE id = :id"), {"id": incident_id}
    )
    values = {row.percent for row in rows} | {row.least for row in rows}
    if len(values) == 1 and sum(row.accounts for row in rows) == members:
        return {EVERYBODY: f"{values.pop().normalize():f}"}
    return {row.plan: f"{row.percent.normalize():f}" for row in rows}
