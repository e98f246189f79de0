"""PostgreSQL came back older than Temporal: write back what is known, and admit what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.db.audiences import AudienceStore
from adapters.db.incidents import IncidentStore
from adapters.db.maintenances import MaintenanceStore
from adapters.db.mend import LOST_HASH, Mender
from adapters.db.policies import PolicyStore
from adapters.db.reconcile import IncidentRecord
from domain.events import BroadcastDone
from domain.facts import audience_rule
from domain.incident import AudienceCount, IncidentState
from domain.maintenance import MaintenanceState
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.ports import BroadcastSpec, Decision, PromiseChange, TimelineEntry
from domain.resume import RecordsLost
from domain.step import STAFF_CHANNELS
from runtime.reconcile import (
    Both,
    Finding,
    Run,
    Status,
    doubtful_broadcasts,
    lost_broadcasts,
)
from runtime.reconcile_look import Look
from workflows.messages import TimelineLine
from workflows.names import broadcast_workflow_id, incident_workflow_id

STARTED = "broadcast_started"
PROMISE_ENDS = {"promise_kept": "kept", "promise_missed": "missed"}
REASON = "reconcile: the ledger of this message is lost"


class Words(Protocol):
    """Turns a timeline key and its figures into a sentence."""

    def line(self, key: str, data: dict[str, str], locale: str = "en") -> str: ...


class RecordsRepair:
    """Rebuilds rows from runs."""

    def __init__(
        self,
        client: Client,
        look: Look,
        mender: Mender,
        incidents: IncidentStore,
        audiences: AudienceStore,
        policies: PolicyStore,
        maintenances: MaintenanceStore,
        words: Words,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._look = look
        self._mender = mender
        self._incidents = incidents
        self._audiences = audiences
        self._policies = policies
        self._maintenances = maintenances
        self._words = words
        self._clock = clock
        self._leapt = False

    async def close(self, finding: Finding, both: Both) -> str:
        """The run came to its end, and the row does not say so."""
        state = _state(finding, both)
        await self._incidents.record(state, self._clock(), (), (), ())
        return f"closed as {state.stage}"

    async def settle(self, finding: Finding, both: Both) -> str:
        """The message was settled in the part of the ledger that is gone."""
        n = finding.n or 0
        doubtful = await self._mender.settle(finding.incident_id, n, self._clock())
        await self._mender.cut(finding.incident_id, 0, 0, [n], self._clock())
        return f"{doubtful} recipients set to unknown: they count as told"

    async def records(self, finding: Finding, both: Both) -> str:
        """Write an incident back as its run knows it, and let the run go on from there."""
        state, now = _state(finding, both), self._clock()
        record = next((r for r in both.records if r.id == state.id), None)
        since = record.steps if record else 0
        if not self._leapt:
            await self._mender.leap(max((w.watermark for w in _states(both)), default=0))
            self._leapt = True
        began_with, policy = await self._look.beginning(state.id)
        await self._policies.save(policy, "reconcile", now)
        title = _title(state, policy)
        # Another one than it was started with, where it took up a policy since.
        policy_hash = state.policy_hash or began_with
        await self._mender.row(state, title, policy_hash, now)
        if isinstance(state, MaintenanceState):
            await self._maintenances.restore(state, now)
        lines = await self._look.lines(state.id)
        await self._record(state, record, lines, now)
        await self._mender.renumber(state.id, state.watermark)
        for note_id in _notes(state):
            await self._mender.note(note_id, state.id, now)
        audience = await self._audience(state, record, policy, now)
        gone = lost_broadcasts(record, state, both.runs)
        doubtful = 0
        for n in gone:
            spec = _spec(state, n, lines, audience, policy_hash)
            await self._end_broadcast(spec, both.runs)
            doubtful += await self._mender.unknown(spec, policy, now)
        # Its run finds nothing left to send: what stood open may have gone out after the backup.
        behind = doubtful_broadcasts(record, both.runs)
        for n in behind:
            doubtful += await self._mender.settle(state.id, n, now)
        pending = state.pending is not None and (
            record is None or state.pending.draft not in record.drafts
        )
        offer = state.offer is not None and (
            record is None or state.offer.version not in record.drafts
        )
        await self._mender.drafts(state, now)
        await self._mender.cut(state.id, since, state.steps, [*gone, *behind], now)
        if not state.over:
            await self._tell(
                state.id,
                "records_lost",
                RecordsLost(
                    since=since,
                    audience=audience if _is_new(state, audience) else None,
                    pending=pending,
                    offer=offer,
                ),
            )
        done = [f"written back as of step {state.steps}"]
        if gone or behind:
            done.append(f"{doubtful} recipients set to unknown, who count as told")
        if pending and state.pending:
            done.append(f"draft {state.pending.draft} is taken back and written anew")
        if offer and state.offer:
            done.append(f"post-mortem {state.offer.version}, held back, is taken back")
        return "; ".join(done)

    async def _record(
        self,
        state: IncidentState,
        record: IncidentRecord | None,
        lines: Sequence[TimelineLine],
        now: datetime,
    ) -> None:
        kept = await self._look.newest_line(state.id)
        entries = [
            TimelineEntry(
                key=key,
                at=line.at,
                kind=line.key,
                text=self._words.line(line.key, line.data),
                actor=line.actor,
                customer_visible=line.key == STARTED and bool(_customers(line)),
                data=line.data,
            )
            for key, line in _keyed(state, lines)
            if kept is None or line.at > kept
        ]
        decisions = [
            Decision(version=version, state="sent", at=now)
            for version in (state.sent if record else ())
        ]
        await self._incidents.record(
            state, now, entries, _promises(state, record, lines), decisions
        )

    async def _audience(
        self,
        state: IncidentState,
        record: IncidentRecord | None,
        policy: Policy,
        now: datetime,
    ) -> AudienceCount:
        """The audience as saved, or taken anew: a snapshot only ever grows."""
        if state.audience.audience_id is None:
            return state.audience
        rule = audience_rule(state, policy)
        return await self._audiences.snapshot(state.id, rule, policy, now)

    async def _end_broadcast(self, spec: BroadcastSpec, runs: dict[str, Run]) -> None:
        """A run whose rows are gone may meet the rows of another message: it must not go on."""
        workflow_id = broadcast_workflow_id(spec.incident_id, spec.n)
        if runs.get(workflow_id, Run()).status is not Status.RUNNING:
            return
        try:
            await self._client.get_workflow_handle(workflow_id).terminate(reason=REASON)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        await self._tell(
            spec.incident_id, "broadcast_done", BroadcastDone(broadcast=spec.n, moment=spec.moment)
        )

    async def _tell(self, incident_id: str, signal: str, message: object) -> None:
        handle = self._client.get_workflow_handle(incident_workflow_id(incident_id))
        await handle.signal(signal, message)


def _title(state: IncidentState, policy: Policy) -> str:
    """What stands for a lost title; that of planned work is read by customers."""
    if isinstance(state, MaintenanceState):
        return ", ".join(policy.component(key).names.get("en", key) for key in state.components)
    return f"(title lost) {', '.join(state.components) or 'unknown component'}"


def _notes(state: IncidentState) -> set[str]:
    """The rows of humans' words that its next drafts will ask for."""
    drafts = (state.pending, state.drafting, state.holding, state.suggesting, state.executive)
    said = {draft.note_id for draft in drafts if draft is not None}
    return {note_id for note_id in (*said, *state.stated.values()) if note_id is not None}


def _state(finding: Finding, both: Both) -> IncidentState:
    return next(state for state in _states(both) if state.id == finding.incident_id)


def _states(both: Both) -> list[IncidentState]:
    return [run.state for run in both.runs.values() if run.state is not None]


def _keyed(
    state: IncidentState, lines: Sequence[TimelineLine]
) -> Iterator[tuple[str, TimelineLine]]:
    """Lines with their names; the last step's as it will name them if it is still to be written."""
    newest = max((line.at for line in lines), default=None)
    last = 0
    for index, line in enumerate(lines):
        if line.at == newest:
            yield f"{state.steps}.{last}", line
            last += 1
        else:
            yield f"found.{line.at.isoformat()}.{index}", line


def _promises(
    state: IncidentState, record: IncidentRecord | None, lines: Sequence[TimelineLine]
) -> list[PromiseChange]:
    """The promise that is open, and what the run's lines say of those that stand open."""
    ends = {line.data.get("due"): line for line in lines if line.key in PROMISE_ENDS}
    changes = []
    for old in record.promises if record else ():
        if state.promise is not None and old.number == state.promise.number:
            continue
        end = ends.get(old.due.isoformat())
        changes.append(
            old.model_copy(
                update={
                    "state": PROMISE_ENDS[end.key] if end else "superseded",
                    "kept_at": end.at if end else None,
                }
            )
        )
    now = state.promise
    if now is not None:
        changes.append(PromiseChange(number=now.number, made_at=now.made_at, due=now.due))
    return changes


def _is_new(state: IncidentState, audience: AudienceCount) -> bool:
    return audience.audience_id != state.audience.audience_id


def _customers(line: TimelineLine) -> tuple[Channel, ...]:
    return tuple(c for c in _channels(line) if c not in STAFF_CHANNELS)


def _channels(line: TimelineLine) -> tuple[Channel, ...]:
    return tuple(Channel(c) for c in line.data.get("channels", "").split(", ") if c)


def _spec(
    state: IncidentState,
    n: int,
    lines: Sequence[TimelineLine],
    audience: AudienceCount,
    policy_hash: str,
) -> BroadcastSpec:
    """What a lost message was, as far as the run's own lines still say it."""
    line = next((x for x in lines if x.key == STARTED and x.data.get("n") == str(n)), None)
    data = line.data if line else {}
    moment = Moment(data.get("moment", Moment.UPDATE))
    return BroadcastSpec(
        incident_id=state.id,
        n=n,
        version=int(data.get("version", 0)),
        hash=LOST_HASH,
        moment=moment,
        number=int(data.get("number", 0)),
        severity=state.severity,
        stage=state.stage,
        category=state.category,
        components=state.components,
        channels=_channels(line) if line else state.told,
        audience_id=audience.audience_id,
        policy_hash=policy_hash,
        allowed_by=data.get("by", "unknown"),
        dry_run=state.dry_run,
    )
