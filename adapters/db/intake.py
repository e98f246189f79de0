"""The door for alerts: stores each once and decides which incident it belongs to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.db.ids import new_id
from adapters.db.inbox import Inbox
from adapters.db.models import IncidentRow, SignalRow
from adapters.db.placement import (
    LOCK,
    Circumstances,
    Decision,
    TryAgain,
    apply,
    close_fingerprints,
    decide,
    seen_lately,
)
from domain.classification import SignalClass, classify_signal, map_regions
from domain.errors import BadInput, FieldError, Transient
from domain.policy import Policy
from domain.signal import Severity, Signal, SignalStatus

HUMAN = "human"
ATTEMPTS = 5

# Built once: in a storm, building it anew costs more than running it.
_STORE = (
    upsert(SignalRow.__table__)  # type: ignore[arg-type]  # declared as FromClause, is a Table
    .on_conflict_do_nothing(index_elements=["source", "external_id"])
    .returning(SignalRow.id)
)


class Accepted(BaseModel):
    """What became of a signal, as the bridge is told (INTERFACES, HTTP)."""

    model_config = ConfigDict(frozen=True)

    signal_id: str
    incident_id: str | None
    disposition: str


class Intake(Inbox):
    """Stores signals and decides about them, each in one transaction."""

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
        known = classify_signal(policy, signal)
        about = Circumstances(
            policy, now, correlation_id, dry_run, policy_hash, separate, opened_by
        )
        folded = await self._fold(signal, known, about)
        if folded is not None:
            return folded
        for _ in range(ATTEMPTS):
            try:
                async with self.engine.begin() as conn:
                    return await _receive(conn, signal, known, about)
            except TryAgain:
                continue
        raise Transient("too many alerts with one dedup key at the same instant", retry_after=1)

    async def _fold(
        self, signal: Signal, known: SignalClass, about: Circumstances
    ) -> Accepted | None:
        """The storm's way in: one read and one write, where nothing but the inbox row is new.

        A transaction around them would protect nothing more, and cost as many round trips again.
        None where more has to be written, or the connection turned out to be dead.
        """
        try:
            async with self.engine.connect() as conn:
                await conn.execution_options(isolation_level="AUTOCOMMIT")
                decision = await seen_lately(conn, signal, about)
                return await _store(conn, signal, known, about, decision) if decision else None
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return None

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
            await close_fingerprints(conn, incident_id)
            rows = await conn.execute(
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
            for row in rows.all():
                signal = Signal.model_validate(row.signal)
                known = classify_signal(policy, signal)
                about = Circumstances(
                    policy, now, row.correlation_id, dry_run, policy_hash, False, "monitoring"
                )
                home = await decide(conn, signal, known, about, locked=True)
                values: dict[str, Any] = {"disposition": home.disposition}
                if home.incident is None:
                    values["relayed_at"] = now
                else:
                    values["incident_id"] = home.incident.id
                    homes.add(home.incident.id)
                await conn.execute(update(SignalRow).where(SignalRow.seq == row.seq).values(values))
                await apply(conn, signal, known, about, home)
        return sorted(homes)


async def _receive(
    conn: AsyncConnection, signal: Signal, known: SignalClass, about: Circumstances
) -> Accepted:
    """The whole of one transaction: read, decide, and only then write, the inbox row first."""
    decision = await decide(conn, signal, known, about, locked=False)
    accepted = await _store(conn, signal, known, about, decision)
    if accepted.disposition != "duplicate":
        await apply(conn, signal, known, about, decision)
    return accepted


async def _store(
    conn: AsyncConnection,
    signal: Signal,
    known: SignalClass,
    about: Circumstances,
    decision: Decision,
) -> Accepted:
    incident_id = decision.incident.id if decision.incident else None
    row = {
        "id": new_id("sig"),
        "source": signal.source,
        "external_id": signal.external_id,
        "dedup_key": signal.dedup_key,
        "status": signal.status.value,
        "signal": signal.model_dump(mode="json"),
        "category": known.category,
        "severity": known.severity.value,
        "severity_stated": known.severity_stated,
        "confirms": known.confirms,
        "components": list(known.components),
        "regions": list(known.regions),
        "affected_share": signal.affected_share,
        "reasons": list(known.reasons),
        "correlation_id": about.correlation_id,
        "incident_id": incident_id,
        "disposition": decision.disposition,
        "received_at": about.now,
    }
    stored = await conn.execute(_STORE, row)
    signal_id = stored.scalar_one_or_none()
    if signal_id is None:
        return await _first_answer(conn, signal)
    return Accepted(signal_id=signal_id, incident_id=incident_id, disposition=decision.disposition)


async def _first_answer(conn: AsyncConnection, signal: Signal) -> Accepted:
    row = (
        await conn.execute(
            select(SignalRow.id, SignalRow.incident_id).where(
                SignalRow.source == signal.source, SignalRow.external_id == signal.external_id
            )
        )
    ).one()
    return Accepted(signal_id=row.id, incident_id=row.incident_id, disposition="duplicate")


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
