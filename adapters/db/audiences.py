"""Audiences: who is affected by an incident, saved with reasons and exclusions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db import audience_sql as sql
from adapters.db.cursors import DEFAULT_LIMIT, Page, read_cursor, write_cursor
from adapters.db.ids import new_id
from adapters.db.models import AccountRow, AudienceMemberRow, AudienceRow, ContactRow, ImportRow
from domain.audience import AudienceMember, AudienceSummary, Sample, choices, mask
from domain.errors import NotFound
from domain.facts import rule_text
from domain.incident import AudienceCount
from domain.policy import Policy
from domain.ports import AudienceRule

UNKNOWN = "unknown"
# So long a snapshot counts as taken just now; taking a big one is part of that time.
FRESH = timedelta(minutes=1)
_ORDER = text("SELECT pg_advisory_xact_lock(hashtextextended('audience/' || :incident, 0))")


class AudienceStore:
    """Implements `domain.ports.Audiences`, and the previews and pages that staff look at."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def snapshot(
        self, incident_id: str, rule: AudienceRule, policy: Policy, now: datetime
    ) -> AudienceCount:
        """Save who is affected, or let the newest snapshot grow if it has this rule already.

        Nobody is ever removed: a snapshot under a new rule begins with the members of the old.
        """
        async with self.engine.begin() as connection:
            await connection.execute(_ORDER, {"incident": incident_id})
            await connection.execute(sql.JUDGE, sql.judge_parameters(rule, policy, now))
            judged = await _judged(connection, rule)
            audience = await self._row(connection, incident_id, rule, policy, now)
            given = {"audience": audience, "now": now}
            await connection.execute(sql.GROW, given)
            await connection.execute(sql.TAKE_OVER, given | {"incident": incident_id})
            await connection.execute(sql.FORGET_EXCLUSIONS, given)
            await connection.execute(sql.EXCLUDE, given)
            members = (await connection.execute(sql.COUNT_MEMBERS, given)).one()
            await connection.execute(
                update(AudienceRow)
                .where(AudienceRow.id == audience)
                .values(
                    accounts=members.accounts,
                    recipients=members.recipients,
                    active_accounts=judged.users,
                    data_as_of=await _data_as_of(connection),
                )
            )
        counted = judged.count(members.accounts, members.recipients, audience)
        return counted.model_copy(update={"locales": tuple(members.locales or ())})

    async def is_fresh(self, audience_id: str, rule: AudienceRule, now: datetime) -> bool:
        """Whether this snapshot was taken under this rule within the last minute."""
        statement = select(AudienceRow.rule).where(
            AudienceRow.id == audience_id, AudienceRow.created_at > now - FRESH
        )
        async with self.engine.connect() as connection:
            return await connection.scalar(statement) == rule_text(rule)

    async def _row(
        self,
        connection: AsyncConnection,
        incident_id: str,
        rule: AudienceRule,
        policy: Policy,
        now: datetime,
    ) -> str:
        newest = (
            await connection.execute(
                select(AudienceRow.id, AudienceRow.rule, AudienceRow.created_at)
                .where(AudienceRow.incident_id == incident_id)
                .order_by(AudienceRow.created_at.desc())
                .limit(1)
            )
        ).first()
        if newest is not None and newest.rule == rule_text(rule):
            return str(newest.id)
        audience = new_id("aud")
        values = {
            "id": audience,
            "incident_id": incident_id,
            "rule": rule_text(rule),
            # The newest is found by this time, and two rules may come at one instant.
            "created_at": max(now, newest.created_at + timedelta(microseconds=1))
            if newest
            else now,
            "accounts": 0,
            "recipients": 0,
            "active_accounts": 0,
            "choices": choices(policy),
        }
        await connection.execute(insert(AudienceRow).values(values))
        if newest is not None:
            carried = {"audience": audience, "before": newest.id, "incident": incident_id}
            await connection.execute(sql.CARRY_OVER, carried)
        return audience

    async def preview(self, rule: AudienceRule, policy: Policy, now: datetime) -> AudienceSummary:
        """The audience that a snapshot would save now; saves nothing."""
        async with self.engine.begin() as connection:
            await connection.execute(sql.JUDGE, sql.judge_parameters(rule, policy, now))
            judged = await _judged(connection, rule)
            return await _summary(
                connection,
                policy,
                now,
                members=sql.JUDGED_MEMBERS,
                exclusions=sql.JUDGED_EXCLUSIONS,
                active_accounts=judged.users,
                data_as_of=await _data_as_of(connection),
                choices=choices(policy),
            )

    async def summary(self, audience_id: str, policy: Policy, now: datetime) -> AudienceSummary:
        """A saved audience at a glance; raises NotFound."""
        async with self.engine.begin() as connection:
            saved = await _saved(connection, audience_id)
            return await _summary(
                connection,
                policy,
                now,
                audience_id,
                members=sql.SAVED_MEMBERS,
                exclusions=sql.SAVED_EXCLUSIONS,
                active_accounts=saved.active_accounts,
                data_as_of=saved.data_as_of,
                choices=saved.choices,
            )

    async def members_page(
        self, audience_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
    ) -> Page[AudienceMember]:
        """The members by contact id; raises NotFound, and BadInput for a foreign cursor."""
        member = AudienceMemberRow
        statement = (
            select(
                member.contact_id,
                member.account_id,
                AccountRow.name.label("account_name"),
                AccountRow.plan,
                AccountRow.region,
                AccountRow.segment,
                ContactRow.locale,
                member.reason,
                member.added_at,
            )
            .outerjoin(AccountRow, AccountRow.id == member.account_id)
            .outerjoin(ContactRow, ContactRow.id == member.contact_id)
            .where(member.audience_id == audience_id)
            .order_by(member.contact_id)
            .limit(limit + 1)
        )
        if cursor is not None:
            statement = statement.where(member.contact_id > read_cursor(cursor, str)[0])
        async with self.engine.begin() as connection:
            await _saved(connection, audience_id)
            rows = (await connection.execute(statement)).mappings().all()
        items = tuple(AudienceMember.model_validate(dict(row)) for row in rows[:limit])
        more = len(rows) > limit
        return Page(items=items, next=write_cursor(items[-1].contact_id) if more else None)


@dataclass(frozen=True)
class _Judged:
    """Accounts that use the meant components, those affected, all customers; all active."""

    users: int
    affected: int
    customers: int
    narrowed: bool

    def count(self, accounts: int, recipients: int, audience_id: str) -> AudienceCount:
        # Without a region nothing tells the affected from the other users: the share is unknown.
        share = self.affected / self.users if self.users and self.narrowed else None
        return AudienceCount(
            audience_id=audience_id,
            accounts=accounts,
            recipients=recipients,
            active_accounts=self.users,
            share=share,
            share_of_customers=accounts / self.customers if self.customers else None,
        )


async def _judged(connection: AsyncConnection, rule: AudienceRule) -> _Judged:
    row = (await connection.execute(sql.COUNT_JUDGED)).one()
    return _Judged(row.users, row.affected, row.customers, narrowed=bool(rule.regions))


async def _data_as_of(connection: AsyncConnection) -> datetime | None:
    newest = select(ImportRow.at).order_by(ImportRow.at.desc()).limit(1)
    at: datetime | None = await connection.scalar(newest)
    return at


async def _saved(connection: AsyncConnection, audience_id: str) -> Any:
    row = (
        await connection.execute(
            select(AudienceRow.active_accounts, AudienceRow.data_as_of, AudienceRow.choices).where(
                AudienceRow.id == audience_id
            )
        )
    ).first()
    if row is None:
        raise NotFound(f"no audience {audience_id!r}")
    return row


async def _summary(
    connection: AsyncConnection,
    policy: Policy,
    now: datetime,
    audience_id: str | None = None,
    *,
    members: str,
    exclusions: str,
    active_accounts: int,
    data_as_of: datetime | None,
    choices: dict[str, Any],
) -> AudienceSummary:
    given: dict[str, Any] = {"audience": audience_id} if audience_id else {}
    groups: dict[str, dict[str, int]] = {name: {} for name in sql.GROUPS}
    total = (await connection.execute(sql.count_all(members), given)).one()
    for row in (await connection.execute(sql.count_groups(members), given)).mappings():
        name = _grouped_by(row["bits"])
        groups[name][row[name] or UNKNOWN] = row["n"]
    excluded = await connection.execute(sql.count_exclusions(exclusions), given)
    segments = {
        "sms_segments": list(policy.audience.sms_segments),
        "chat_segments": list(policy.audience.chat_segments),
    }
    channels = await connection.execute(sql.count_channels(members), given | segments)
    sample = await connection.execute(sql.sample(members), given)
    return AudienceSummary(
        accounts=total.accounts,
        recipients=total.recipients,
        active_accounts=active_accounts,
        plans=_most_first(groups["plan"]),
        regions=_most_first(groups["region"]),
        segments=_most_first(groups["segment"]),
        locales=_most_first(groups["locale"]),
        channels=_most_first({row.channel: row.n for row in channels}),
        reasons=_most_first(groups["reason"]),
        exclusions=_most_first({row.reason: row.n for row in excluded}),
        sample=tuple(
            Sample(
                account_id=row.account_id,
                contact_id=row.contact_id,
                address=mask(row.email),
                locale=row.locale,
                reason=row.reason,
            )
            for row in sample
        ),
        data_as_of=data_as_of,
        stale=data_as_of is None or now - data_as_of > policy.audience.data_age_limit,
        choices=choices,
    )


def _grouped_by(bits: int) -> str:
    """The column that a row of GROUPING SETS is about: its bit is the one that is not set."""
    return next(n for index, n in enumerate(reversed(sql.GROUPS)) if not bits & (1 << index))


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
