"""Who was told, and whether everybody who was told heard the end (closure guarantee)."""

from __future__ import annotations

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

# Per incident: recipients whose last message before any end was not followed by an end.
GAPS = """
    WITH told AS (
        SELECT d.incident_id, d.channel, d.recipient, max(b.n) AS n
        FROM deliveries d JOIN broadcasts b ON b.id = d.broadcast_id
        WHERE (cast(:incident AS text) IS NULL OR d.incident_id = :incident)
          AND d.channel <> ALL(:staff)
          AND b.moment <> ALL(:closing) AND b.moment <> ALL(:aside)
          AND d.state IN ('sent', 'unknown')
        GROUP BY 1, 2, 3
    )
    SELECT t.incident_id, t.channel, count(*) AS missing
    FROM told t JOIN incidents i ON i.id = t.incident_id
    WHERE (:any_state OR (
            NOT i.open AND i.pending IS NULL AND i.stage <> 'dismissed'
            AND NOT EXISTS (SELECT 1 FROM broadcasts u
                            WHERE u.incident_id = i.id AND u.finished_at IS NULL)))
      AND NOT EXISTS (
        SELECT 1 FROM deliveries e JOIN broadcasts c ON c.id = e.broadcast_id
        WHERE e.broadcast_id IN (SELECT id FROM broadcasts
                                 WHERE incident_id = t.incident_id AND n > t.n
                                   AND moment = ANY(:closing))
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
