"""The statements of the ledger that claim, recover and finish rows."""

from __future__ import annotations

from sqlalchemy import text

from adapters.db.driver import for_driver
from adapters.db.freeze import SUPERSEDED
from domain.incident import OVER, Stage
from domain.message import CLOSING, Moment

# An incident in one of these stages has been ended: older words must not go out any more.
ENDED = [s.value for s in OVER | {Stage.RESOLVED}]
LASTING = [m.value for m in CLOSING | {Moment.POST_MORTEM}]

OPEN = text(
    """
    INSERT INTO broadcasts (incident_id, n, version, hash, moment, number, severity, stage,
        channels, dry_run, allowed_by, policy_hash, correlation_id, next_update_at, expires_at,
        created_at)
    VALUES (:incident_id, :n, :version, :hash, :moment, :number, :severity, :stage, :channels,
        :dry_run, :allowed_by, :policy_hash, :correlation_id, :next_update_at, :expires_at, :now)
    ON CONFLICT (incident_id, n) DO NOTHING RETURNING id
    """
)

# One statement, so that the kill switch and the staleness guard cost no round trip of their own.
_GATE = f"""
    gate AS MATERIALIZED (
        SELECT EXISTS (SELECT 1 FROM switches WHERE name = 'sends_paused' AND active) AS paused,
            CASE WHEN {SUPERSEDED} THEN 'superseded'
                 WHEN b.expires_at <= :now THEN 'expired'
                 WHEN i.stage = ANY(:ended) AND b.moment <> ALL(:lasting) THEN 'expired'
            END AS stale,
            clock_timestamp() + make_interval(secs => :lease) AS lease_until,
            EXISTS (SELECT 1 FROM broadcasts o
                    WHERE o.incident_id = b.incident_id AND o.id <> b.id) AS others,
            ARRAY(SELECT k.of_id FROM incident_kin k WHERE k.incident_id = b.incident_id) AS kin,
            (SELECT min(k.at) FROM incident_kin k WHERE k.incident_id = b.incident_id) AS kin_at
        FROM broadcasts b LEFT JOIN incidents i ON i.id = b.incident_id
        WHERE b.id = :broadcast
    )
"""


def _elsewhere(same: str) -> str:
    """The message of a merged or split incident that began a recipient's thread, if one did."""
    return f"""(
                    SELECT json_build_array(f.incident_id, fb.n)
                    FROM deliveries f JOIN broadcasts fb ON fb.id = f.broadcast_id
                    WHERE f.incident_id = ANY(g.kin) AND f.channel = c.channel AND {same}
                      AND f.state IN ('sent', 'unknown') AND fb.moment <> 'executive'
                      AND NOT EXISTS (
                        SELECT 1 FROM deliveries w JOIN broadcasts wb ON wb.id = w.broadcast_id
                        WHERE w.incident_id = c.incident_id AND w.channel = c.channel
                          AND w.recipient = c.recipient AND w.state IN ('sent', 'unknown')
                          AND wb.created_at < g.kin_at)
                    ORDER BY fb.id LIMIT 1)"""


def _claim(by_contact: bool) -> str:
    same = (
        "f.contact_id = c.contact_id"
        if by_contact
        else ("f.contact_id IS NULL AND f.recipient = c.recipient")
    )
    # One row whatever is claimed: the recipients are one JSON array, which Python reads in C.
    return for_driver(
        f"""
        WITH {_GATE},
        picked AS (
            SELECT d.id, (
                SELECT min(x.reason) FROM suppressions x WHERE x.channel = d.channel
                  AND x.address = lower(coalesce(d.address, d.recipient))) AS refused
            FROM deliveries d
            WHERE d.broadcast_id = :broadcast AND d.channel = :channel AND d.state = 'pending'
              AND (d.not_before IS NULL OR d.not_before <= :now)
              AND d.reason IS DISTINCT FROM 'in_doubt'
              AND (SELECT NOT paused AND stale IS NULL FROM gate)
            ORDER BY d.priority, d.id LIMIT :limit FOR UPDATE OF d SKIP LOCKED
        ),
        refused AS (
            -- Who opted out since the audience was frozen.
            UPDATE deliveries d SET state = 'suppressed', reason = p.refused,
                settled_at = cast(:now AS timestamptz)
            FROM picked p WHERE d.id = p.id AND p.refused IS NOT NULL
        ),
        claimed AS (
            UPDATE deliveries d SET state = 'sending', fence = d.fence + 1,
                lease_until = (SELECT lease_until FROM gate)
            FROM picked p WHERE d.id = p.id AND p.refused IS NULL RETURNING d.*
        )
        SELECT g.paused, g.stale, g.lease_until, (
            SELECT json_agg(json_build_array(c.id, c.fence, c.attempts, c.account_id, c.contact_id,
                c.name, c.address, c.locale, c.timezone, c.why,
                CASE WHEN g.others THEN (
                    SELECT min(fb.n) FROM deliveries f JOIN broadcasts fb ON fb.id = f.broadcast_id
                    WHERE f.incident_id = c.incident_id AND f.channel = c.channel AND {same}
                      AND f.state IN ('sent', 'unknown') AND f.broadcast_id <> c.broadcast_id) END,
                CASE WHEN g.kin_at IS NOT NULL THEN {_elsewhere(same)} END
                ) ORDER BY c.priority, c.id)
            FROM claimed c) AS found
        FROM gate g
        """
    )


CLAIM_CONTACT = _claim(by_contact=True)
CLAIM_OTHER = _claim(by_contact=False)

DROP = text(
    """
    UPDATE deliveries SET state = 'suppressed', reason = :reason,
        settled_at = cast(:now AS timestamptz)
    WHERE broadcast_id = :broadcast AND channel = :channel AND state = 'pending'
    """
)

# A lease that ran out: its worker died or stalls, and nobody knows what the provider did. What has
# been overtaken by a newer message is not sent again.
RECOVER = text(
    f"""
    WITH {_GATE},
    lost AS (
        SELECT d.id FROM deliveries d
        WHERE d.broadcast_id = :broadcast AND d.channel = :channel AND d.state = 'sending'
          AND d.lease_until < clock_timestamp()
        ORDER BY d.id FOR UPDATE SKIP LOCKED
    )
    UPDATE deliveries d SET lease_until = NULL, attempts = d.attempts + 1,
        state = CASE WHEN t.again THEN 'pending' ELSE 'unknown' END,
        reason = CASE WHEN t.again THEN NULL ELSE 'lease_expired' END,
        resent = d.resent + CASE WHEN t.again THEN 1 ELSE 0 END,
        settled_at = CASE WHEN t.again THEN NULL ELSE cast(:now AS timestamptz) END
    FROM lost l, gate g, LATERAL (SELECT :resend AND g.stale IS NULL AS again) t
    WHERE d.id = l.id RETURNING d.id, d.state
    """
)

# Rows of an end whose start was still on its way: decided once that is known.
DOUBTS = text(
    """
    UPDATE deliveries d SET
        state = CASE WHEN p.told THEN 'pending' ELSE 'suppressed' END,
        reason = CASE WHEN p.told THEN NULL ELSE 'not_told' END,
        settled_at = CASE WHEN p.told THEN NULL ELSE cast(:now AS timestamptz) END
    FROM (
        SELECT q.id, bool_or(e.state IN ('sent', 'unknown')) AS told
        FROM deliveries q
        JOIN broadcasts b ON b.id = q.broadcast_id
        JOIN broadcasts o ON o.incident_id = b.incident_id AND o.n < b.n
                          OR o.incident_id IN (SELECT k.of_id FROM incident_kin k
                                               WHERE k.incident_id = b.incident_id)
        JOIN deliveries e ON e.broadcast_id = o.id AND e.channel = q.channel
                         AND e.recipient = q.recipient
        WHERE q.broadcast_id = :broadcast AND q.channel = :channel AND q.state = 'pending'
          AND q.reason = 'in_doubt'
        GROUP BY q.id HAVING NOT bool_or(e.state = 'sending')
    ) p WHERE d.id = p.id AND d.state = 'pending'
    """
)
OLDER = text(
    """
    SELECT DISTINCT e.broadcast_id FROM broadcasts b
    JOIN deliveries e ON e.incident_id = ANY(ARRAY(
        SELECT b.incident_id
        UNION ALL SELECT k.of_id FROM incident_kin k WHERE k.incident_id = b.incident_id))
        AND e.broadcast_id <> b.id
    WHERE b.id = :broadcast AND e.channel = :channel AND e.state = 'sending'
      AND e.lease_until < clock_timestamp()
      AND EXISTS (SELECT 1 FROM deliveries q WHERE q.broadcast_id = b.id AND q.channel = :channel
                  AND q.state = 'pending' AND q.reason = 'in_doubt')
    """
)

FINISH = text(
    """
    UPDATE broadcasts b SET finished_at = :now WHERE b.id = :broadcast AND b.finished_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.broadcast_id = b.id
                      AND d.state IN ('pending', 'sending'))
    """
)
