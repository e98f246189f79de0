"""Where PostgreSQL and Temporal disagree, and what stays with a person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.db.reconcile import BroadcastRecord, IncidentRecord
from domain.incident import AudienceCount, IncidentState, Pending, PostMortemState, Promise, Stage
from domain.message import Channel, Moment
from domain.ports import BroadcastSpec
from domain.signal import Severity
from runtime.reconcile import (
    Both,
    Finding,
    Kind,
    Run,
    Status,
    compare,
    doubtful_broadcasts,
    lasting,
)

NOW = datetime(2026, 3, 10, 14, 0, tzinfo=UTC)
ID = "inc_1"
RUN = f"incident/{ID}"


def state(**changes: Any) -> IncidentState:
    base = IncidentState(
        id=ID,
        severity=Severity.P1,
        stage=Stage.INVESTIGATING,
        category="local_degradation",
        started_at=NOW,
        opened_at=NOW,
        steps=7,
    )
    return base.model_copy(update=changes)


def spec(n: int, **changes: Any) -> BroadcastSpec:
    base = BroadcastSpec(
        incident_id=ID,
        n=n,
        version=1,
        hash="h",
        moment=Moment.INITIAL,
        number=1,
        severity="P1",
        stage="investigating",
        category="local_degradation",
        channels=(Channel.EMAIL,),
        audience_id="aud",
        policy_hash="p",
        allowed_by="ann",
    )
    return base.model_copy(update=changes)


def sending(n: int, **changes: Any) -> BroadcastRecord:
    base = BroadcastRecord(n=n, frozen=True, finished=False, spec=spec(n))
    return base.model_copy(update=changes)


def record(recorded: IncidentState | None, **changes: Any) -> IncidentRecord:
    base = IncidentRecord(
        id=ID, open=True, policy_hash="p", dry_run=False, opened_at=NOW, state=recorded
    )
    return base.model_copy(update=changes)


def running(now: IncidentState) -> dict[str, Run]:
    return {RUN: Run(status=Status.RUNNING, state=now)}


def kinds(found: tuple[Finding, ...]) -> list[Kind]:
    return [finding.kind for finding in found]


def test_both_agree() -> None:
    same = state(broadcasts=1)
    done = sending(1, finished=True)
    assert compare([record(same, broadcasts=(done,))], running(same), NOW) == ()


@pytest.mark.parametrize("status", [Status.NONE, Status.BROKEN, Status.FAILED])
def test_a_lost_run_is_started_again_and_nobody_is_asked(status: Status) -> None:
    found = compare([record(state())], {RUN: Run(status=status)}, NOW)
    assert kinds(found) == [Kind.RUN_LOST]
    assert not found[0].person


def test_a_run_lost_before_its_first_step_is_found_too() -> None:
    assert kinds(compare([record(None)], {}, NOW)) == [Kind.RUN_LOST]


def test_what_somebody_cancelled_is_left_to_a_person() -> None:
    found = compare([record(state())], {RUN: Run(status=Status.CANCELLED)}, NOW)
    assert kinds(found) == [Kind.RUN_CANCELLED]
    assert found[0].person


def test_a_run_that_does_not_answer_is_not_taken_for_lost() -> None:
    # Started a second time, it would send everything twice.
    found = compare([record(state())], {RUN: Run(status=Status.RUNNING)}, NOW)
    assert kinds(found) == [Kind.RUN_SILENT]


def test_a_state_of_another_release_starts_nothing() -> None:
    assert kinds(compare([record(None, unreadable=True)], {}, NOW)) == [Kind.STATE_UNREADABLE]


def test_a_run_restored_from_an_old_backup_is_replaced() -> None:
    assert kinds(compare([record(state())], running(state(steps=3)), NOW)) == [Kind.RUN_BEHIND]


def test_an_ended_run_closes_its_row() -> None:
    over = state(stage=Stage.CLOSED, steps=7)
    runs = {RUN: Run(status=Status.COMPLETED, state=over)}
    assert kinds(compare([record(over)], runs, NOW)) == [Kind.ROW_OPEN]


def test_a_message_is_lost_with_its_run_before_or_after_its_audience_was_frozen() -> None:
    both = (sending(1), sending(2, frozen=False))
    here = record(state(broadcasts=2), broadcasts=both)
    found = compare([here], running(state(broadcasts=2)), NOW)
    assert [(f.kind, f.n) for f in found] == [(Kind.BROADCAST_LOST, 1), (Kind.BROADCAST_LOST, 2)]


def test_a_message_that_is_being_sent_is_left_alone() -> None:
    now = state(broadcasts=1)
    runs = running(now) | {f"{RUN}/broadcast/1": Run(status=Status.RUNNING)}
    assert compare([record(now, broadcasts=(sending(1, frozen=False),))], runs, NOW) == ()


def test_a_message_of_a_closed_incident_is_found() -> None:
    closed = record(state(stage=Stage.FALSE_ALARM), open=False, broadcasts=(sending(1),))
    assert kinds(compare([closed], {}, NOW)) == [Kind.BROADCAST_LOST]


def test_an_expired_message_needs_a_person_only_where_no_update_is_promised() -> None:
    late = sending(1, expires_at=NOW - timedelta(minutes=1))
    promise = Promise(number=1, made_at=NOW, due=NOW)
    for promised, person in ((None, True), (promise, False)):
        here = record(state(promise=promised, broadcasts=1), broadcasts=(late,))
        (found,) = compare([here], running(here.state), NOW)  # type: ignore[arg-type]  # is set
        assert bool(found.person) is person
        assert "expired" in found.what


def test_a_failed_message_is_not_sent_again_by_itself() -> None:
    now = state(broadcasts=1)
    runs = running(now) | {f"{RUN}/broadcast/1": Run(status=Status.FAILED)}
    found = compare([record(now, broadcasts=(sending(1),))], runs, NOW)
    assert kinds(found) == [Kind.BROADCAST_FAILED]
    assert found[0].person


def test_a_ledger_behind_a_settled_message_is_not_sent_from() -> None:
    # Its open rows went out in the part that is gone: sending them again would mail people twice.
    now = state(broadcasts=1)
    runs = running(now) | {f"{RUN}/broadcast/1": Run(status=Status.COMPLETED)}
    found = compare([record(now, broadcasts=(sending(1),))], runs, NOW)
    assert kinds(found) == [Kind.LEDGER_BEHIND]


@pytest.mark.parametrize(
    ("run", "found"),
    [(Status.NONE, [Kind.POST_MORTEM_LOST]), (Status.RUNNING, []), (Status.COMPLETED, [])],
)
def test_a_lost_post_mortem_is_found(run: Status, found: list[Kind]) -> None:
    now = state(stage=Stage.RESOLVED, post_mortem=PostMortemState.DUE)
    runs = running(now) | {f"{RUN}/post-mortem": Run(status=run)}
    assert kinds(compare([record(now)], runs, NOW)) == found


def test_a_lost_row_is_found_from_the_run() -> None:
    found = compare([], running(state()), NOW)
    assert kinds(found) == [Kind.RECORDS_LOST]
    assert "anchor" in found[0].person


def test_every_lost_record_is_named() -> None:
    pending = Pending(
        draft=4, moment=Moment.UPDATE, number=1, hash="h", channels=(Channel.EMAIL,),
        stage=Stage.INVESTIGATING, asked_at=NOW,
    )  # fmt: skip
    now = state(steps=9, broadcasts=2, pending=pending, audience=AudienceCount(audience_id="aud"))
    older = record(state(steps=5), broadcasts=(sending(1, finished=True),))
    runs = running(now) | {f"{RUN}/broadcast/2": Run(status=Status.COMPLETED)}
    (found,) = compare([older], runs, NOW)
    for lost in ("steps 6 to 9", "messages 2", "draft 4", "audience"):
        assert lost in found.what


def look(recorded: int, ran: int) -> Both:
    return Both(records=(record(state(steps=recorded)),), runs=running(state(steps=ran)))


def test_a_run_that_moves_on_while_one_looks_has_lost_nothing() -> None:
    # Ahead of its record in both looks, and each time by a step that is written a moment later.
    assert lasting(look(5, 6), look(8, 9), NOW) == ()


def test_records_that_do_not_come_are_lost() -> None:
    assert kinds(lasting(look(5, 9), look(5, 9), NOW)) == [Kind.RECORDS_LOST]
    assert kinds(lasting(look(5, 9), look(5, 11), NOW)) == [Kind.RECORDS_LOST]


def test_what_is_gone_by_the_second_look_is_not_reported() -> None:
    gone = Both(records=(record(state()),), runs={})
    assert lasting(gone, look(7, 7), NOW) == ()
    assert kinds(lasting(gone, gone, NOW)) == [Kind.RUN_LOST]


def test_an_incident_that_ran_and_ended_in_the_gap_is_found() -> None:
    over = state(stage=Stage.CLOSED)
    found = compare([], {RUN: Run(status=Status.COMPLETED, state=over)}, NOW)
    assert kinds(found) == [Kind.RECORDS_LOST]
    assert "resolve it by hand" not in found[0].person


def test_rows_of_a_running_message_are_doubtful_once_records_are_lost() -> None:
    both = (sending(1, finished=True), sending(2), sending(3), sending(4, frozen=False))
    child = {f"{RUN}/broadcast/{n}": Run(status=Status.RUNNING) for n in (2, 4)}
    assert doubtful_broadcasts(record(state(), broadcasts=both), child) == [2]
