"""Whom a message would reach: counted from the audience snapshot and the customer tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audiences import AudienceStore
from domain.card import BlastRadius, ChannelReach, age_limit, recipient_channels
from domain.message import PER_ACCOUNT, PER_CONTACT, Channel
from domain.policy import Policy

# The rules by which a broadcast is frozen, asked beforehand and without those already told.
_REACH = text(
    """
    WITH m AS (
        SELECT contact_id, account_id FROM audience_members WHERE audience_id = :audience
    ),
    ways AS (
        SELECT way.channel, c.id AS recipient, a.segment,
               way.channel = ANY(CASE WHEN cardinality(c.channels) = 0
                   THEN ARRAY['email', 'in_app'] ELSE c.channels END) AS allowed,
               nullif(CASE way.channel WHEN 'email' THEN c.email WHEN 'sms' THEN c.phone END, '')
                   AS address
        FROM m JOIN contacts c ON c.id = m.contact_id
        LEFT JOIN accounts a ON a.id = c.account_id
        CROSS JOIN unnest(CAST(:contact_channels AS text[])) AS way (channel)
        UNION ALL
        SELECT way.channel, a.id, a.segment, true, way.address
        FROM (SELECT DISTINCT account_id FROM m) one JOIN accounts a ON a.id = one.account_id
        CROSS JOIN LATERAL (VALUES ('slack', nullif(a.slack_channel, '')),
                                   ('teams', nullif(a.teams_webhook, ''))) AS way (channel, address)
        WHERE way.channel = ANY(CAST(:account_channels AS text[]))
          AND way.address IS NOT NULL AND a.segment = ANY(CAST(:chat_segments AS text[]))
    ),
    judged AS (
        SELECT w.channel, w.recipient, w.address, CASE
            WHEN NOT w.allowed THEN 'preference'
            WHEN w.channel <> 'in_app' AND w.address IS NULL THEN 'no_address'
            WHEN x.reason IS NOT NULL THEN x.reason
            WHEN w.channel = 'sms'
                 AND NOT coalesce(w.segment = ANY(CAST(:sms_segments AS text[])), false)
                 THEN 'segment'
            END AS refused
        FROM ways w
        LEFT JOIN (SELECT channel, lower(address) AS address, min(reason) AS reason
                   FROM suppressions GROUP BY 1, 2) x
          ON x.channel = w.channel AND x.address = lower(coalesce(w.address, w.recipient))
    ),
    ranked AS (
        SELECT channel, CASE
            WHEN refused IS NULL AND address IS NOT NULL AND row_number() OVER (
                PARTITION BY channel, lower(address), refused IS NULL ORDER BY recipient) > 1
            THEN 'duplicate' ELSE refused END AS reason
        FROM judged
    )
    SELECT channel, reason, count(*) AS n FROM ranked
    GROUP BY channel, reason ORDER BY n DESC, reason
    """
)
_VALUE = text(
    """
    SELECT coalesce(sum(a.arr), 0) AS value, count(*) FILTER (WHERE a.arr IS NULL) AS unknown
    FROM (SELECT DISTINCT account_id FROM audience_members WHERE audience_id = :audience) m
    JOIN accounts a ON a.id = m.account_id
    """
)


class BlastRadiusRead:
    """Reads the blast radius of a saved audience."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._audiences = AudienceStore(engine)

    async def read(
        self, audience_id: str, channels: Sequence[Channel], policy: Policy, now: datetime
    ) -> BlastRadius:
        """What a message on these channels would reach; raises NotFound. Ages count at `now`."""
        summary = await self._audiences.summary(audience_id, policy, now)
        own = recipient_channels(tuple(channels))
        given = {
            "audience": audience_id,
            "contact_channels": [c.value for c in own if c in PER_CONTACT],
            "account_channels": [c.value for c in own if c in PER_ACCOUNT],
            "sms_segments": list(policy.audience.sms_segments),
            "chat_segments": list(policy.audience.chat_segments),
        }
        async with self._engine.connect() as conn:
            rows = (await conn.execute(_REACH, given)).all()
            money = (await conn.execute(_VALUE, {"audience": audience_id})).one()
        reach = {
            channel.value: ChannelReach(
                reached=sum(r.n for r in rows if r.channel == channel and r.reason is None),
                suppressed={
                    r.reason: r.n for r in rows if r.channel == channel and r.reason is not None
                },
            )
            for channel in own
        }
        return BlastRadius(
            summary=summary,
            channels=reach,
            value=float(money.value),
            accounts_without_value=money.unknown,
            age_limit=age_limit(policy),
        )
