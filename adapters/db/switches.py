"""The kill switch: one row that every claim looks at."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.chain import append_in
from adapters.db.models import Switch

SENDS_PAUSED = "sends_paused"


class Switches:
    """Pauses and resumes everything that leaves; timers go on and nothing is lost."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def paused(self) -> bool:
        """Whether sends are paused."""
        async with self.engine.connect() as conn:
            query = select(Switch.active).where(Switch.name == SENDS_PAUSED)
            return bool((await conn.execute(query)).scalar())

    async def pause(self, by: str, now: datetime) -> bool:
        """Let nothing leave any more; False when sends were paused already."""
        return await self._set(True, by, now)

    async def resume(self, by: str, now: datetime) -> bool:
        """Let messages leave again; False when sends were not paused."""
        return await self._set(False, by, now)

    async def _set(self, active: bool, by: str, now: datetime) -> bool:
        row = {"name": SENDS_PAUSED, "active": active, "changed_by": by, "changed_at": now}
        async with self.engine.begin() as conn:
            # Made first, so that two hands on the switch at once wait for each other.
            first = {**row, "active": False}
            await conn.execute(insert(Switch).values(first).on_conflict_do_nothing())
            query = select(Switch.active).where(Switch.name == SENDS_PAUSED).with_for_update()
            if (await conn.execute(query)).scalar_one() is active:
                return False
            await conn.execute(
                insert(Switch)
                .values(row)
                .on_conflict_do_update(
                    index_elements=["name"],
                    set_={"active": active, "changed_by": by, "changed_at": now},
                )
            )
            await append_in(conn, "switch", by, {"name": SENDS_PAUSED, "active": active}, now)
            return True
