"""Writes back what PostgreSQL lost of an incident that Temporal still knows.

Nothing is made up: who may have been told is written as unknown, texts that are gone as gone, and
the audit log says where it was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db import ledger_sql
from adapters.db.audit import append_in
from adapters.db.audit_verify import RECORDS_LOST
from adapters.db.freeze import freeze
from adapters.db.incidents import columns
from adapters.db.ledger import Ledger
from adapters.db.models import DraftRow, IncidentRow, NoteRow
from domain.incident import IncidentState
from domain.message import Channel, Facts, Moment
from domain.policy import Policy
from domain.ports import BroadcastSpec

# Whoever wrote to a customer with a lost number must not meet it again in another message.
LEAP = 1_000_000
LOST_HASH = "lost"
ACTOR = "reconcile"

_LEAP = """
    SELECT setval(pg_get_serial_sequence('{table}', '{column}'),
                  greatest(coalesce((SELECT max({column}) FROM {table}), 0), :floor,
                           (SELECT last_value FROM {sequence})) + :leap)
"""
_SEQUENCES = (("signals", "seq"), ("broadcasts", "id"), ("deliveries", "id"))
# Heard after the restore under numbers that the workflow believes it knows.
_RENUMBER = text(
    """
    UPDATE signals SET seq = nextval(pg_get_serial_sequence('signals', 'seq'))
    WHERE incident_id = :incident AND relayed_at IS NULL AND seq <= :watermark
    """
)
_DOUBT = text(
    """
    UPDATE deliveries SET state = 'unknown', reason = 'ledger_lost', lease_until = NULL,
        settled_at = cast(:now AS timestamptz)
    WHERE broadcast_id = :broadcast AND state IN ('pending', 'sending')
    """
)


class Mender:
    """Each call is one transaction; but for `leap` and `cut`, the same again changes nothing."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._ledger = Ledger(engine)

    async def leap(self, watermark: int) -> None:
        """Let numbers go on far above any that were given before the loss."""
        async with self._engine.begin() as conn:
            for table, column in _SEQUENCES:
                sequence = await conn.scalar(
                    text("SELECT pg_get_serial_sequence(:table, :column)"),
                    {"table": table, "column": column},
                )
                statement = _LEAP.format(table=table, column=column, sequence=sequence)
                floor = watermark if table == "signals" else 0
                await conn.execute(text(statement), {"floor": floor, "leap": LEAP})

    async def row(self, state: IncidentState, title: str, policy_hash: str, now: datetime) -> bool:
        """The incident's row where there is none; True when it was written."""
        values = columns(state, now) | {
            "id": state.id,
            "title": title,
            "dry_run": state.dry_run,
            "opened_at": state.opened_at,
            "last_alert_at": now,
            "policy_hash": policy_hash,
            "correlation_id": state.id,
        }
        # Written by the step that is recorded after this one.
        del values["state"]
        async with self._engine.begin() as conn:
            written = await conn.execute(
                insert(IncidentRow)
                .values(values)
                .on_conflict_do_nothing()
                .returning(IncidentRow.id)
            )
            return written.first() is not None

    async def renumber(self, incident_id: str, watermark: int) -> None:
        """Untold signals below the workflow's watermark get numbers above it."""
        async with self._engine.begin() as conn:
            await conn.execute(_RENUMBER, {"incident": incident_id, "watermark": watermark})

    async def note(self, note_id: str, incident_id: str, now: datetime) -> None:
        """A human's words that are gone: empty, so that the draft that wants them goes on."""
        values = {
            "id": note_id, "incident_id": incident_id, "text": "", "author": ACTOR,
            "created_at": now,
        }  # fmt: skip
        async with self._engine.begin() as conn:
            await conn.execute(insert(NoteRow).values(values).on_conflict_do_nothing())

    async def drafts(self, state: IncidentState, now: datetime) -> int:
        """Mark the numbers of lost versions as used; the number of versions marked."""
        async with self._engine.begin() as conn:
            known = select(func.coalesce(func.max(DraftRow.version), 0)).where(
                DraftRow.incident_id == state.id
            )
            newest = (await conn.execute(known)).scalar_one()
            lost = range(newest + 1, state.versions + 1)
            for version in lost:
                await conn.execute(
                    insert(DraftRow).values(_gone(state, version, now)).on_conflict_do_nothing()
                )
        return len(lost)

    async def unknown(self, spec: BroadcastSpec, policy: Policy, now: datetime) -> int:
        """A message whose ledger is gone: whoever may have got it stands there as unknown.

        They count as told, so that the next message and the end reach them.
        """
        values = spec.model_dump(mode="python", exclude={"category", "components"}) | {
            "moment": spec.moment.value,
            "channels": [c.value for c in spec.channels],
            "now": now,
            "correlation_id": spec.incident_id,
        }
        values.pop("audience_id")
        async with self._engine.begin() as conn:
            created = (await conn.execute(ledger_sql.OPEN, values)).scalar()
            if created is None:
                return 0
            await freeze(conn, created, spec, policy, frozenset(Channel), now)
            doubtful = await conn.execute(_DOUBT, {"broadcast": created, "now": now})
        await self._ledger.finish(created, now)
        return doubtful.rowcount

    async def settle(self, incident_id: str, n: int, now: datetime) -> int:
        """A message that was settled in the part that is gone: what stands open is unknown."""
        async with self._engine.begin() as conn:
            query = "SELECT id FROM broadcasts WHERE incident_id = :id AND n = :n FOR UPDATE"
            row = (await conn.execute(text(query), {"id": incident_id, "n": n})).first()
            if row is None:
                return 0
            doubtful = await conn.execute(_DOUBT, {"broadcast": row.id, "now": now})
        await self._ledger.finish(row.id, now)
        return doubtful.rowcount

    async def cut(
        self,
        incident_id: str,
        since: int,
        until: int,
        broadcasts: Sequence[int],
        now: datetime,
    ) -> None:
        """Say in the audit log that records before this entry are gone."""
        body: dict[str, object] = {"since": since, "until": until, "broadcasts": list(broadcasts)}
        async with self._engine.begin() as conn:
            await append_in(conn, RECORDS_LOST, ACTOR, body, now, incident_id)


def _gone(state: IncidentState, version: int, now: datetime) -> dict[str, object]:
    pending = state.pending if state.pending and state.pending.draft == version else None
    moment = pending.moment if pending else Moment.UPDATE
    facts = Facts(
        incident_id=state.id,
        moment=moment,
        severity=state.severity,
        stage=state.stage,
        category=state.category,
    )
    return {
        "incident_id": state.id,
        "version": version,
        "request": f"lost-{version}",
        "moment": moment.value,
        "number": pending.number if pending else 0,
        "facts": facts.model_dump(mode="json"),
        "audience_rule": "",
        "hash": LOST_HASH,
        "findings": [],
        "state": "superseded",
        "author": ACTOR,
        "created_at": now,
    }
