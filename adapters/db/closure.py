"""Who was told, and whether everybody who was told heard the end (closure guarantee)."""

from __future__ import annotations

from adapters.db.links import OWNER, OWNER_JOINS
from domain.message import CLOSING, Channel, Moment

# Staff read these; everybody else is a customer.
STAFF = (Channel.INTERNAL.value, Channel.TICKET.value)
CLOSING_MOMENTS = [m.value for m in CLOSING]
# Neither opens nor continues a customer's thread.
ASIDE = [Moment.EXECUTIVE.value, Moment.POST_MORTEM.value]
# Reasons with which somebody counts as closed: they did not want it, cannot get it, were erased,
# or got it through another row of the same address; `dry_run` stands for everything in a drill.
CLOSED_REASONS = [
    "preference",
    "unsubscribed",
    "bounced",
    "complained",
    "no_address",
    "duplicate",
    "erased",
    "dry_run",
]

# Per incident: recipients whose last message before any end was not followed by an end. An end
# counts that came from the incident which told them, or later from the one that answers for them
# since: what was merged is closed where it went on, and so is who went along in a split.
GAPS = f"""
    WITH told AS (
        SELECT {OWNER} AS incident_id, d.incident_id AS origin, d.channel, d.recipient,
               max(b.n) AS n, max(b.id) AS last
        FROM deliveries d JOIN broadcasts b ON b.id = d.broadcast_id {OWNER_JOINS}
        WHERE (cast(:incident AS text) IS NULL OR d.incident_id IN (
                SELECT cast(:incident AS text)
                UNION ALL SELECT of_id FROM incident_kin WHERE incident_id = :incident))
          AND d.channel <> ALL(:staff)
          AND b.moment <> ALL(:closing) AND b.moment <> ALL(:aside)
          AND d.state IN ('sent', 'unknown')
        GROUP BY 1, 2, 3, 4
    )
    SELECT t.incident_id, t.channel, count(DISTINCT t.recipient) AS missing
    FROM told t JOIN incidents i ON i.id = t.incident_id
    WHERE (cast(:incident AS text) IS NULL OR t.incident_id = :incident)
      AND (:any_state OR (
            NOT i.open AND i.pending IS NULL AND i.stage <> 'dismissed'
            AND NOT EXISTS (SELECT 1 FROM broadcasts u
                            WHERE u.incident_id = i.id AND u.finished_at IS NULL)))
      AND NOT EXISTS (
        SELECT 1 FROM deliveries e JOIN broadcasts c ON c.id = e.broadcast_id
        WHERE e.broadcast_id IN (SELECT id FROM broadcasts
                                 WHERE moment = ANY(:closing)
                                   AND (incident_id = t.origin AND n > t.n
                                        OR incident_id = t.incident_id
                                           AND t.incident_id <> t.origin AND id > t.last))
          AND e.channel = t.channel AND e.recipient = t.recipient
          AND (e.state IN ('sent', 'unknown')
               OR (e.state = 'failed' AND e.reason IS NOT NULL)
               OR (e.state = 'suppressed' AND e.reason = ANY(:closed_reasons))))
    GROUP BY 1, 2 ORDER BY 1, 2
"""


def gaps_parameters(incident_id: str | None, any_state: bool) -> dict[str, object]:
    """What `GAPS` needs; `any_state` looks at incidents that are still open too."""
    return {
        "incident": incident_id,
        "any_state": any_state,
        "staff": list(STAFF),
        "closing": CLOSING_MOMENTS,
        "aside": ASIDE,
        "closed_reasons": CLOSED_REASONS,
    }
