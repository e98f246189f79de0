"""Where Temporal and PostgreSQL disagree: the comparison, free of either.

Temporal owns what happens next, PostgreSQL what was heard, said and to whom. Either may come back
empty or old; what is said to customers afterwards has to be true.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from adapters.db.reconcile import BroadcastRecord, IncidentRecord
from domain.incident import IncidentState, PostMortemState
from domain.ports import Model
from workflows.names import (
    broadcast_workflow_id,
    incident_workflow_id,
    post_mortem_workflow_id,
)

_REPORTING = (PostMortemState.DUE, PostMortemState.DRAFTED)


class Status(StrEnum):
    """What Temporal says of a workflow id; `broken` is terminated, timed out or failed."""

    NONE = "none"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"
    BROKEN = "terminated"


LOST = frozenset({Status.NONE, Status.BROKEN, Status.FAILED})


class Run(Model):
    """The newest run of a workflow id; `state` of an incident that answered."""

    status: Status = Status.NONE
    state: IncidentState | None = None


class Kind(StrEnum):
    """What is wrong; each has one repair."""

    RUN_LOST = "run_lost"
    RUN_BEHIND = "run_behind"
    RUN_CANCELLED = "run_cancelled"
    RUN_SILENT = "run_silent"
    STATE_UNREADABLE = "state_unreadable"
    ROW_OPEN = "row_open"
    BROADCAST_LOST = "broadcast_lost"
    BROADCAST_FAILED = "broadcast_failed"
    BROADCAST_UNKNOWN = "broadcast_unknown"
    LEDGER_BEHIND = "ledger_behind"
    POST_MORTEM_LOST = "post_mortem_lost"
    RECORDS_LOST = "records_lost"


class Finding(Model):
    """One disagreement. `person` says what is left for somebody to do; empty when nothing is."""

    kind: Kind
    incident_id: str
    n: int | None = None
    what: str
    person: str = ""

    @property
    def key(self) -> tuple[Kind, str, int | None]:
        return self.kind, self.incident_id, self.n


class Both(Model):
    """One look at the two stores; `runs` by workflow id."""

    records: tuple[IncidentRecord, ...]
    runs: dict[str, Run]


def lasting(first: Both, second: Both, now: datetime) -> tuple[Finding, ...]:
    """What differs in two looks: a step that was just being written is no disagreement."""
    before = {f.key for f in compare(first.records, first.runs, now)}
    # While an incident moves, its run is ahead of its record whenever one looks: records are lost
    # only where what the first look missed has not come by the second.
    missed = {f.key for f in compare(second.records, first.runs, now)}
    return tuple(
        f
        for f in compare(second.records, second.runs, now)
        if f.key in before and (f.kind is not Kind.RECORDS_LOST or f.key in missed)
    )


def compare(
    records: Iterable[IncidentRecord], runs: Mapping[str, Run], now: datetime
) -> tuple[Finding, ...]:
    """Everything that differs, in the order in which it has to be repaired.

    `runs` by workflow id; one that is not in it was looked for and not found. A running incident
    without a record has one with its `state` in `runs` alone.
    """
    known = {record.id: record for record in records}
    found: list[Finding] = []
    for record in known.values():
        found += _incident(record, runs)
    for workflow_id, run in runs.items():
        state = run.state
        if state is not None and workflow_id == incident_workflow_id(state.id):
            found += _records(known.get(state.id), run.status, state, runs)
    for record in known.values():
        found += _broadcasts(record, runs, now)
        found += _post_mortem(record, runs)
    return tuple(found)


def _incident(record: IncidentRecord, runs: Mapping[str, Run]) -> list[Finding]:
    """The run of an incident that PostgreSQL has as not over."""
    if not record.open:
        return []
    run = runs.get(incident_workflow_id(record.id), Run())
    if record.unreadable:
        return [
            Finding(
                kind=Kind.STATE_UNREADABLE,
                incident_id=record.id,
                what="the recorded state is not of this release",
                person="run `reconcile` of the release that wrote it",
            )
        ]
    if run.status in LOST:
        since = f"at step {record.steps}" if record.state else "before its first step"
        return [
            Finding(
                kind=Kind.RUN_LOST,
                incident_id=record.id,
                what=f"open, but its workflow is gone ({run.status}) {since}",
            )
        ]
    if run.status is Status.CANCELLED:
        return [
            Finding(
                kind=Kind.RUN_CANCELLED,
                incident_id=record.id,
                what="open, but somebody cancelled its workflow: no promise is kept",
                person="`starter.py reconcile --restart-cancelled` takes it up again",
            )
        ]
    if run.state is None:
        return [
            Finding(
                kind=Kind.RUN_SILENT,
                incident_id=record.id,
                what=f"its workflow ({run.status}) does not say where it stands",
                person="start a worker, then run `reconcile` again",
            )
        ]
    if run.state.steps < record.steps:
        return [
            Finding(
                kind=Kind.RUN_BEHIND,
                incident_id=record.id,
                what=f"its workflow is at step {run.state.steps}, step {record.steps} is recorded",
            )
        ]
    return []


def _records(
    record: IncidentRecord | None, status: Status, state: IncidentState, runs: Mapping[str, Run]
) -> list[Finding]:
    """What PostgreSQL lost of an incident that Temporal knows."""
    if status not in (Status.RUNNING, Status.COMPLETED):
        return []
    lost = lost_records(record, state, runs)
    if record is not None and state.steps < record.steps:
        return []
    if lost:
        return [
            Finding(
                kind=Kind.RECORDS_LOST,
                incident_id=state.id,
                what="PostgreSQL lost " + ", ".join(lost),
                person=_after_loss(state),
            )
        ]
    if status is Status.COMPLETED and record is not None and record.open:
        return [
            Finding(
                kind=Kind.ROW_OPEN,
                incident_id=state.id,
                what=f"open in PostgreSQL, but its workflow ended ({state.stage})",
            )
        ]
    return []


def lost_records(
    record: IncidentRecord | None, state: IncidentState, runs: Mapping[str, Run]
) -> list[str]:
    """In words, what of a running incident has no row."""
    if record is None:
        return [f"the incident (its workflow is at step {state.steps})"]
    lost = []
    if record.steps < state.steps:
        lost.append(f"its steps {record.steps + 1} to {state.steps}")
    gone = lost_broadcasts(record, state, runs)
    if gone:
        lost.append(f"whom messages {', '.join(map(str, gone))} went to")
    if state.pending and state.pending.draft not in record.drafts:
        lost.append(f"draft {state.pending.draft}, which waits for approval")
    if state.offer and state.offer.version not in record.drafts:
        lost.append(f"post-mortem {state.offer.version}, which is held back")
    if state.audience.audience_id and state.audience.audience_id not in record.audiences:
        lost.append("its audience")
    return lost


def lost_broadcasts(
    record: IncidentRecord | None, state: IncidentState, runs: Mapping[str, Run]
) -> list[int]:
    """Numbers of messages that were begun and that the ledger knows nothing of."""
    gone = []
    for n in range(1, state.broadcasts + 1):
        row = record.broadcast(n) if record else None
        run = runs.get(broadcast_workflow_id(state.id, n), Run())
        # One that is decided but not frozen can still begin, unless it came to its end before.
        ended = run.status is Status.COMPLETED and not (row and row.frozen)
        if row is None or ended:
            gone.append(n)
    return gone


def doubtful_broadcasts(record: IncidentRecord | None, runs: Mapping[str, Run]) -> list[int]:
    """Numbers of messages on their way whose rows are older than what was sent of them."""
    if record is None:
        return []
    return [
        b.n
        for b in record.broadcasts
        if b.frozen
        and not b.finished
        and runs.get(broadcast_workflow_id(record.id, b.n), Run()).status is Status.RUNNING
    ]


def _after_loss(state: IncidentState) -> str:
    checks = ["compare `audit verify --anchor` with the anchor kept elsewhere"]
    if not state.over:
        checks.append("alerts heard since the backup are gone: resolve it by hand when it is over")
    return "; ".join(checks)


def _broadcasts(record: IncidentRecord, runs: Mapping[str, Run], now: datetime) -> list[Finding]:
    return [
        finding
        for broadcast in record.broadcasts
        if not broadcast.finished
        for finding in _broadcast(
            record, broadcast, runs.get(broadcast_workflow_id(record.id, broadcast.n), Run()), now
        )
    ]


def _broadcast(
    record: IncidentRecord, broadcast: BroadcastRecord, run: Run, now: datetime
) -> list[Finding]:
    """One message that is not done by the ledger."""
    about = {"incident_id": record.id, "n": broadcast.n}
    if run.status is Status.RUNNING:
        return []
    if run.status is Status.COMPLETED:
        if not broadcast.frozen:
            return []  # its rows are lost: told with the incident's
        what = f"message {broadcast.n} was settled, but the ledger still has it open"
        return [Finding(kind=Kind.LEDGER_BEHIND, what=what, **about)]
    if run.status in (Status.FAILED, Status.CANCELLED):
        what = f"message {broadcast.n} {run.status} before everybody had it"
        person = "look at its workflow, then write an update: it goes to everybody affected"
        return [Finding(kind=Kind.BROADCAST_FAILED, what=what, person=person, **about)]
    if broadcast.spec is None:
        what = f"message {broadcast.n} has no run, and nothing says what it was"
        person = "write an update: it goes to everybody affected"
        return [Finding(kind=Kind.BROADCAST_UNKNOWN, what=what, person=person, **about)]
    what = f"message {broadcast.n} ({broadcast.spec.moment}) was begun, its run is gone"
    person = ""
    if broadcast.expires_at is not None and broadcast.expires_at <= now:
        what += "; it has expired, so that what is left of it is dropped"
        promised = record.state is not None and record.state.promise is not None
        if not promised and record.open:
            person = "no update is promised: write one for those who did not get it"
    return [Finding(kind=Kind.BROADCAST_LOST, what=what, person=person, **about)]


def _post_mortem(record: IncidentRecord, runs: Mapping[str, Run]) -> list[Finding]:
    state = record.state
    if not record.open or state is None or state.post_mortem not in _REPORTING:
        return []
    run = runs.get(post_mortem_workflow_id(record.id), Run())
    if run.status in (Status.RUNNING, Status.COMPLETED):
        return []
    return [
        Finding(
            kind=Kind.POST_MORTEM_LOST,
            incident_id=record.id,
            what=f"its post-mortem is {state.post_mortem}, but nobody writes it ({run.status})",
        )
    ]
