"""The door for alerts: stores each once and decides which incident it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db.gathered import Gathered
from adapters.db.ids import new_id
from adapters.db.inbox import Inbox
from adapters.db.models import IncidentRow, SignalRow
from adapters.db.placement import HUMAN, Arrival, Circumstances, MustLock
from adapters.db.placement_sql import LOCK, close_fingerprints, look, write
from adapters.db.signal_rows import Accepted, store, stored_deliveries
from domain.classification import classify_signal, map_regions
from domain.errors import BadInput, FieldError, Transient
from domain.grouping import reach
from domain.policy import Policy
from domain.signal import Severity, Signal, SignalStatus

ATTEMPTS = 5
# Alerts in one transaction: enough for a storm, few enough that the first does not wait long.
MAX_TOGETHER = 64
MAX_REMEMBERED = 10_000
# Unique violation, serialisation failure, deadlock: somebody else was faster.
FASTER = frozenset({"23505", "40001", "40P01"})
# Limits of PostgreSQL that one alert can exceed.
TOO_MUCH = "54"


class TryAgain(Exception):
    """Another transaction was faster with the same delivery or the same fingerprint."""


class Intake(Inbox):
    """Stores signals and decides about them; those that come at the same time in one go."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self._door = Gathered(self._receive_all, MAX_TOGETHER, _fault_of_one)
        self._policy: Policy | None = None
        self._reaches: dict[tuple[str, ...], frozenset[str]] = {}

    async def receive(
        self,
        signal: Signal,
        policy: Policy,
        *,
        now: datetime,
        correlation_id: str,
        dry_run: bool,
        policy_hash: str,
        separate: bool = False,
        opened_by: str = "monitoring",
    ) -> Accepted:
        """Store a signal and fold it, or open an incident; the same delivery again is `duplicate`.

        Once this returns the signal is committed. Raises Transient when it could not be decided.
        """
        about = Circumstances(
            policy, now, correlation_id, dry_run, policy_hash, separate, opened_by
        )
        return await self._door.do(self._arrival(signal, about))

    def _arrival(self, signal: Signal, about: Circumstances) -> Arrival:
        known = classify_signal(about.policy, signal)
        if about.policy is not self._policy or len(self._reaches) >= MAX_REMEMBERED:
            self._policy, self._reaches = about.policy, {}
        near = self._reaches.get(known.components)
        if near is None:
            near = self._reaches[known.components] = reach(about.policy, known.components)
        return Arrival(signal, known, near, about)

    async def _receive_all(self, arrivals: Sequence[Arrival]) -> list[Accepted]:
        """Decide about them in their order and store them, all or none."""
        for _ in range(ATTEMPTS):
            try:
                return await self._receive_once(arrivals)
            except TryAgain:
                continue
        raise Transient("the alert could not be stored at this moment", retry_after=1)

    async def _receive_once(self, arrivals: Sequence[Arrival]) -> list[Accepted]:
        try:
            async with self.engine.begin() as conn:
                try:
                    return await _settle(conn, arrivals, locked=False)
                except MustLock:
                    # Nothing is written yet: what is open is looked up again under the lock.
                    await conn.execute(LOCK)
                    return await _settle(conn, arrivals, locked=True)
        except DBAPIError as error:
            if error.connection_invalidated or _state(error) in FASTER:
                raise TryAgain from error
            raise

    async def start_by_human(
        self,
        policy: Policy,
        *,
        key: str,
        title: str,
        now: datetime,
        correlation_id: str,
        dry_run: bool,
        opened_by: str,
        description: str = "",
        components: tuple[str, ...] = (),
        regions: tuple[str, ...] = (),
        severity: Severity | None = None,
        customer_impact: bool | None = None,
        affected_share: float | None = None,
        separate: bool = False,
    ) -> Accepted:
        """A human's report through the same door; `key` makes its repetition a duplicate.

        Raises BadInput for a component or region that the policy does not know.
        """
        _refuse_unknown(policy, components, regions)
        signal = Signal(
            source=HUMAN,
            external_id=key,
            dedup_key=key,
            status=SignalStatus.FIRING,
            title=title,
            description=description,
            components=components,
            regions=regions,
            severity=severity,
            customer_impact=customer_impact,
            affected_share=affected_share,
            started_at=now,
        )
        return await self.receive(
            signal,
            policy,
            now=now,
            correlation_id=correlation_id,
            dry_run=dry_run,
            policy_hash=policy.hash,
            separate=separate,
            opened_by=opened_by,
        )

    async def release(self, incident_id: str, policy: Policy, *, now: datetime) -> list[str]:
        """Find another home for alerts that reached an incident after its end; returns the ids.

        What fires among its untold signals opens or joins another incident, the rest is told to
        nobody. The alert came between the last step of the workflow and the row that says so.
        """
        homes: set[str] = set()
        async with self.engine.begin() as conn:
            await conn.execute(LOCK)
            await conn.execute(
                update(IncidentRow).where(IncidentRow.id == incident_id).values(open=False)
            )
            await close_fingerprints(conn, [incident_id])
            untold = await conn.execute(
                select(SignalRow)
                .with_only_columns(SignalRow.seq, SignalRow.signal, SignalRow.correlation_id)
                .where(SignalRow.incident_id == incident_id, SignalRow.relayed_at.is_(None))
                .order_by(SignalRow.seq)
            )
            dry_run, policy_hash = (
                await conn.execute(
                    select(IncidentRow.dry_run, IncidentRow.policy_hash).where(
                        IncidentRow.id == incident_id
                    )
                )
            ).one()
            arrivals = {
                row.seq: self._arrival(
                    Signal.model_validate(row.signal),
                    Circumstances(
                        policy, now, row.correlation_id, dry_run, policy_hash, False, "monitoring"
                    ),
                )
                for row in untold.all()
            }
            scene = await look(conn, [*arrivals.values()], locked=True)
            for seq, arrival in arrivals.items():
                home = scene.place(arrival)
                values: dict[str, Any] = {"disposition": home.disposition}
                if home.incident_id is None:
                    values["relayed_at"] = now
                else:
                    values["incident_id"] = home.incident_id
                    homes.add(home.incident_id)
                await conn.execute(update(SignalRow).where(SignalRow.seq == seq).values(values))
            await write(conn, scene)
        return sorted(homes)


async def _settle(
    conn: AsyncConnection, arrivals: Sequence[Arrival], *, locked: bool
) -> list[Accepted]:
    """Read, decide, and only then write. Raises MustLock before anything is written."""
    known = await stored_deliveries(conn, arrivals)
    scene = await look(conn, arrivals, locked=locked)
    answers: list[Accepted] = []
    new: list[tuple[Arrival, Accepted]] = []
    for arrival in arrivals:
        first = known.get(arrival.delivery)
        if first is not None:
            answers.append(first.model_copy(update={"disposition": "duplicate"}))
            continue
        place = scene.place(arrival)
        answer = Accepted(
            signal_id=new_id("sig"),
            incident_id=place.incident_id,
            disposition=place.disposition,
            relates=place.relates,
        )
        known[arrival.delivery] = answer
        answers.append(answer)
        new.append((arrival, answer))
    if new:
        await write(conn, scene)
        await store(conn, new)
    return answers


def _fault_of_one(error: Exception) -> bool:
    """Whether it may be what one alert holds, so that each is to be tried without the others."""
    if isinstance(error, DataError | IntegrityError):
        return True
    if isinstance(error, DBAPIError):
        return (_state(error) or "").startswith(TOO_MUCH)
    return not isinstance(error, SQLAlchemyError | OSError | Transient)


def _state(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _refuse_unknown(policy: Policy, components: tuple[str, ...], regions: tuple[str, ...]) -> None:
    known = policy.component_keys()
    errors = [
        FieldError(field=f"components.{i}", value=name[:200], allowed=", ".join(sorted(known)))
        for i, name in enumerate(components)
        if policy.services.get(name, name) not in known
    ]
    strange = map_regions(policy, regions)[1]
    errors += [
        FieldError(field=f"regions.{i}", value=name[:200], allowed=", ".join(policy.regions))
        for i, name in enumerate(regions)
        if name in strange
    ]
    if errors:
        raise BadInput("the report names what the policy does not know", errors)
