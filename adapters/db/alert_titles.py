"""What the alerts of an incident were called: text from outside, to be quoted and never obeyed."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

# More say nothing new, and an alert storm must not fill a prompt.
MOST = 5
_LONGEST = 1000
_TITLES = text(
    """
    SELECT title FROM (
        SELECT left(signal ->> 'title', :longest) AS title, max(seq) AS last
        FROM (SELECT signal, seq FROM signals WHERE incident_id = :incident
              ORDER BY seq DESC LIMIT 200) latest
        WHERE signal ->> 'title' <> '' GROUP BY 1
    ) named ORDER BY last DESC LIMIT :most
    """
)


class AlertTitles:
    """Reads them from the inbox."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def of(self, incident_id: str) -> tuple[str, ...]:
        """The titles of the latest alerts, each once, the newest first."""
        values = {"incident": incident_id, "longest": _LONGEST, "most": MOST}
        async with self._engine.connect() as conn:
            return tuple((await conn.scalars(_TITLES, values)).all())
