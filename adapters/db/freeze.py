"""Freezes a broadcast's audience into ledger rows: one statement per channel, whatever its size."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.db.closure import CLOSING_MOMENTS
from adapters.db.links import OWNER, OWNER_JOINS, has_kin
from domain.message import CLOSING, FOR_ALL, PER_ACCOUNT, PER_CONTACT, Channel, Moment
from domain.policy import Policy
from domain.ports import BroadcastSpec
from domain.signal import Severity

STAFF_CHANNELS = frozenset({Channel.INTERNAL, Channel.TICKET})
# These go to those who were told and to nobody else.
TOLD_ONLY = CLOSING | {Moment.POST_MORTEM}
# Where a channel's address stands; in-app needs none, the banner knows its account.
ADDRESS = {
    Channel.EMAIL: "c.email",
    Channel.SMS: "c.phone",
    Channel.IN_APP: "NULL::text",
    Channel.SLACK: "a.slack_channel",
    Channel.TEAMS: "a.teams_webhook",
}

ONE_BY_ONE = sorted(c.value for c in PER_CONTACT)

# Whom this incident told.
_OWN = "d.incident_id = :incident AND b.n < :n"
# Where incidents were merged or split: whom it answers for, whichever of them told them.
_KIN = f"""
    d.incident_id IN (SELECT cast(:incident AS text)
                      UNION ALL SELECT of_id FROM incident_kin WHERE incident_id = :incident)
    AND (d.incident_id <> :incident OR b.n < :n) AND {OWNER} = :incident
"""
_STAYED = """
    NOT EXISTS (SELECT 1 FROM moved_accounts v
                WHERE v.from_id = :incident AND v.account_id = m.account_id)
"""

# A row that is being sent now may yet fail: `sure` says that it reached somebody, or may have.
_TOLD = """
    told AS (
        SELECT d.recipient, max(d.account_id) AS account_id, max(d.why) AS why,
               (array_agg(d.name ORDER BY d.id DESC))[1] AS name,
               (array_agg(d.address ORDER BY d.id DESC))[1] AS address,
               (array_agg(d.locale ORDER BY d.id DESC))[1] AS locale,
               (array_agg(d.timezone ORDER BY d.id DESC))[1] AS timezone,
               bool_or(d.state <> 'sending') AS sure
        FROM deliveries d JOIN broadcasts b ON b.id = d.broadcast_id {joins}
        WHERE {whom} AND d.channel = :channel
          AND b.moment <> 'executive'
          AND (d.state IN ('sent', 'unknown', 'sending')
               OR (:dry_run AND d.state = 'suppressed' AND d.reason = 'dry_run'))
        GROUP BY d.recipient
    )
"""

# Night may begin before midnight and end after it.
_CLOCK = "(cast(:now AS timestamptz) AT TIME ZONE s.timezone)::time"
_ASLEEP = f"""
    CASE WHEN cast(:quiet_begin AS time) <= cast(:quiet_until AS time)
         THEN {_CLOCK} >= :quiet_begin AND {_CLOCK} < :quiet_until
         ELSE {_CLOCK} >= :quiet_begin OR {_CLOCK} < :quiet_until END
"""

# Expects `seen` with recipient, address, told, sure, allowed (by preference), segment, timezone.
JUDGED = f"""
    judged AS (
        SELECT s.*, CASE
            WHEN NOT :configured THEN 'not_configured'
            WHEN NOT s.allowed THEN 'preference'
            WHEN :addressed AND s.address IS NULL THEN 'no_address'
            WHEN x.reason IS NOT NULL THEN x.reason
            WHEN :by_segment AND NOT s.told
                 AND NOT coalesce(s.segment = ANY(:segments), false) THEN 'segment'
            WHEN :quiet AND ({_ASLEEP}) THEN 'quiet_hours'
            END AS refused
        FROM seen s
        LEFT JOIN (SELECT lower(address) AS address, min(reason) AS reason
                   FROM suppressions WHERE channel = :channel GROUP BY 1) x
          ON x.address = lower(coalesce(s.address, s.recipient))
    ),
    ranked AS (
        SELECT j.*, CASE
            WHEN j.refused IS NOT NULL THEN j.refused
            WHEN j.address IS NOT NULL AND row_number() OVER (
                PARTITION BY lower(j.address), j.refused IS NULL
                ORDER BY j.told DESC, j.recipient) > 1 THEN 'duplicate'
            WHEN :dry_run THEN 'dry_run'
            END AS suppressed
        FROM judged j
    )
"""
_INSERT = """
    INSERT INTO deliveries (broadcast_id, incident_id, channel, recipient, account_id, contact_id,
        name, address, locale, timezone, why, priority, state, reason, settled_at)
    SELECT :broadcast, :incident, :channel, r.recipient, r.account_id, r.contact_id, r.name,
        r.address, r.locale, r.timezone, r.why,
        :rank + CASE WHEN r.segment = ANY(:first_segments) THEN 0 ELSE 1 END,
        CASE WHEN r.suppressed IS NULL THEN 'pending' ELSE 'suppressed' END,
        coalesce(r.suppressed, CASE WHEN :told_only AND NOT r.sure THEN 'in_doubt' END),
        CASE WHEN r.suppressed IS NOT NULL THEN cast(:now AS timestamptz) END
    FROM ranked r
"""


def _told(whom: str) -> str:
    return _TOLD.format(whom=whom, joins=OWNER_JOINS if whom == _KIN else "")


def _stayed(whom: str) -> str:
    return _STAYED if whom == _KIN else "true"


def _contacts(channel: Channel, whom: str) -> TextClause:
    return text(
        f"""
        WITH {_told(whom)},
        who AS (
            SELECT coalesce(m.contact_id, t.recipient) AS recipient,
                   coalesce(m.account_id, t.account_id) AS account_id,
                   coalesce(m.reason, t.why) AS why, t.recipient IS NOT NULL AS told,
                   coalesce(t.sure, true) AS sure, t.name, t.address, t.locale, t.timezone
            FROM (SELECT contact_id, account_id, reason FROM audience_members m
                  WHERE audience_id = :audience AND NOT :told_only
                    AND {_stayed(whom)}) m
            FULL JOIN told t ON t.recipient = m.contact_id
            WHERE m.contact_id IS NOT NULL OR :with_told
        ),
        seen AS (
            SELECT w.recipient, w.recipient AS contact_id, w.why, w.told, w.sure,
                   coalesce(c.account_id, w.account_id) AS account_id,
                   CASE WHEN c.id IS NULL THEN w.name ELSE c.name END AS name,
                   nullif(CASE WHEN c.id IS NULL THEN w.address
                               ELSE {ADDRESS[channel]} END, '') AS address,
                   coalesce(c.locale, w.locale, :locale) AS locale,
                   coalesce(c.timezone, w.timezone, :timezone) AS timezone,
                   a.segment,
                   c.id IS NULL OR :channel = ANY(
                       CASE WHEN cardinality(c.channels) = 0 THEN ARRAY['email', 'in_app']
                            ELSE c.channels END) AS allowed
            FROM who w LEFT JOIN contacts c ON c.id = w.recipient
            LEFT JOIN accounts a ON a.id = coalesce(c.account_id, w.account_id)
        ),
        {JUDGED}
        {_INSERT}
        """
    )


def _accounts(channel: Channel, whom: str) -> TextClause:
    return text(
        f"""
        WITH {_told(whom)},
        members AS (
            SELECT m.account_id, min(m.reason) AS why
            FROM audience_members m JOIN accounts a ON a.id = m.account_id
            WHERE m.audience_id = :audience AND NOT :told_only AND {_stayed(whom)}
              AND a.segment = ANY(:segments) AND nullif({ADDRESS[channel]}, '') IS NOT NULL
            GROUP BY m.account_id
        ),
        seen AS (
            SELECT coalesce(m.account_id, t.recipient) AS recipient,
                   coalesce(m.account_id, t.recipient) AS account_id, NULL::text AS contact_id,
                   coalesce(m.why, t.why) AS why, t.recipient IS NOT NULL AS told,
                   coalesce(t.sure, true) AS sure,
                   CASE WHEN a.id IS NULL THEN t.name ELSE a.name END AS name,
                   nullif(CASE WHEN a.id IS NULL THEN t.address
                               ELSE {ADDRESS[channel]} END, '') AS address,
                   :locale AS locale, :timezone AS timezone, a.segment, true AS allowed
            FROM members m FULL JOIN told t ON t.recipient = m.account_id
            LEFT JOIN accounts a ON a.id = coalesce(m.account_id, t.recipient)
            WHERE m.account_id IS NOT NULL OR :with_told
        ),
        {JUDGED}
        {_INSERT}
        """
    )


def _everybody(whom: str) -> TextClause:
    return text(
        f"""
    WITH {_told(whom)}
    INSERT INTO deliveries (broadcast_id, incident_id, channel, recipient, locale, timezone, why,
        priority, state, reason, settled_at)
    SELECT :broadcast, :incident, :channel, '*', :locale, :timezone, 'everybody', :rank,
        CASE WHEN s.reason IS NULL THEN 'pending' ELSE 'suppressed' END,
        coalesce(s.reason, CASE WHEN :told_only AND NOT t.sure THEN 'in_doubt' END),
        CASE WHEN s.reason IS NOT NULL THEN cast(:now AS timestamptz) END
    FROM (SELECT CASE WHEN NOT :configured THEN 'not_configured'
                      WHEN :dry_run THEN 'dry_run' END AS reason) s
    LEFT JOIN told t ON true
    WHERE NOT :told_only OR t.recipient IS NOT NULL
    """
    )


def _statements(whom: str) -> dict[Channel, TextClause]:
    return {
        **{channel: _contacts(channel, whom) for channel in PER_CONTACT},
        **{channel: _accounts(channel, whom) for channel in PER_ACCOUNT},
        **dict.fromkeys(FOR_ALL, _everybody(whom)),
    }


_STATEMENTS, _KIN_STATEMENTS = _statements(_OWN), _statements(_KIN)

# Customers in question get the newer text; rows that are being sent finish.
_SUPERSEDE = text(
    """
    UPDATE deliveries d SET state = 'suppressed', reason = 'superseded',
        settled_at = cast(:now AS timestamptz), lease_until = NULL
    FROM broadcasts b
    WHERE b.id = d.broadcast_id
      AND (d.incident_id = :incident AND b.n < :n
           OR d.incident_id IN (SELECT incident_id FROM merged_incidents
                                WHERE into_id = :incident))
      AND d.state = 'pending'
      AND (d.channel = ANY(:channels)
           -- Told there only in place of another channel, which has newer words now.
           OR d.channel <> ALL(b.channels) AND b.channels && cast(:personal AS text[]))
      AND (b.moment = 'executive') = (cast(:moment AS text) = 'executive')
    """
)

# As `_SUPERSEDE`, seen from the older broadcast: is there a newer one for this channel?
SUPERSEDED = f"""
    EXISTS (
        SELECT 1 FROM broadcasts l
        WHERE l.incident_id = b.incident_id AND l.n > b.n
          AND (l.moment = 'executive') = (b.moment = 'executive')
          AND (:channel = ANY(l.channels)
               OR (:channel <> ALL(b.channels) AND EXISTS (
                    SELECT 1 FROM unnest(l.channels) AS c
                    WHERE c = ANY(b.channels) AND c = ANY(ARRAY{ONE_BY_ONE})))
               OR (:channel <> ALL(:staff) AND l.moment = ANY(ARRAY{CLOSING_MOMENTS})
                   AND NOT l.channels <@ cast(:staff AS text[]))))
"""
STAFF = [c.value for c in STAFF_CHANNELS]


async def supersede(conn: AsyncConnection, spec: BroadcastSpec, now: object) -> None:
    """Suppress what earlier broadcasts still have pending; an end speaks for every channel."""
    channels = set(spec.channels)
    # The staff's copy of an end goes out while the customers' still waits for approval.
    if spec.moment in CLOSING and channels - STAFF_CHANNELS:
        channels |= set(Channel) - STAFF_CHANNELS
    await conn.execute(
        _SUPERSEDE,
        {
            "incident": spec.incident_id,
            "n": spec.n,
            "now": now,
            "moment": spec.moment.value,
            "channels": [c.value for c in channels],
            "personal": [c.value for c in spec.channels if c in PER_CONTACT],
        },
    )


async def freeze(
    conn: AsyncConnection,
    broadcast_id: int,
    spec: BroadcastSpec,
    policy: Policy,
    configured: Collection[Channel],
    now: object,
    instead: Collection[Channel] = (),
) -> None:
    """Write the rows of every channel of the broadcast.

    `instead` are channels besides, on which people may have been told in place of another: an
    end goes to them there.
    """
    kin = await has_kin(conn, spec.incident_id)
    statements = _KIN_STATEMENTS if kin else _STATEMENTS
    for channel in dict.fromkeys((*spec.channels, *instead)):
        # Notes to executives are for the staff, not for the audience.
        if spec.moment is Moment.EXECUTIVE and channel not in FOR_ALL:
            continue
        await conn.execute(
            statements[channel],
            judging(broadcast_id, spec, policy, channel, channel in configured, now)
            | {
                "n": spec.n,
                "audience": spec.audience_id,
                "told_only": spec.moment in TOLD_ONLY and channel is not Channel.INTERNAL,
                "with_told": spec.moment is not Moment.INITIAL,
            },
        )


def judging(
    broadcast_id: int,
    spec: BroadcastSpec,
    policy: Policy,
    channel: Channel,
    configured: bool,
    now: object,
) -> dict[str, object]:
    """What `JUDGED` and the rows written from it need for one channel."""
    segments = policy.audience.sms_segments
    if channel in PER_ACCOUNT:
        segments = policy.audience.chat_segments
    return _quiet(policy, spec, channel) | {
        "broadcast": broadcast_id,
        "incident": spec.incident_id,
        "channel": channel.value,
        "now": now,
        "dry_run": spec.dry_run,
        "configured": configured,
        "addressed": channel is not Channel.IN_APP,
        "by_segment": channel in PER_ACCOUNT or channel is Channel.SMS,
        "segments": list(segments),
        "first_segments": list(policy.delivery.first_segments),
        "rank": Severity(spec.severity).rank * 10,
        "locale": policy.locales[0],
        "timezone": policy.company.timezone,
    }


def _quiet(policy: Policy, spec: BroadcastSpec, channel: Channel) -> dict[str, object]:
    """Whether the recipients' clocks matter for this channel of this message, and from when."""
    hours = policy.quiet_hours
    quiet = (
        hours is not None
        and channel in hours.channels
        and Severity(spec.severity) not in hours.unless
        and spec.moment not in TOLD_ONLY
    )
    return {
        "quiet": quiet,
        "quiet_begin": hours.begin if hours is not None else None,
        "quiet_until": hours.until if hours is not None else None,
    }
