from __future__ import annotations

from datetime import UTC, datetime, timedelta

from domain.backtest_compare import beside_operator, changes, longest_silence
from domain.backtest_record import ActualMessage, Sent, Told
from domain.incident import Stage
from domain.message import Channel, Moment
from domain.signal import Severity

START = datetime(2026, 3, 10, 14, 0, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def sent(minutes: int, moment: Moment, *channels: Channel) -> Sent:
    listed = channels or (Channel.EMAIL,)
    return Sent(
        at=at(minutes), moment=moment, number=1, severity=Severity.P2, stage=Stage.INVESTIGATING,
        channels=listed, recipients=dict.fromkeys(listed, 1), gate="approved", by="ada",
        to_customers=Channel.INTERNAL not in listed, next_update_at=None,
    )  # fmt: skip


def told(*messages: Sent, rhythm: int | None = 3600) -> Told:
    return Told(
        key="1", title="t", recorded=("1",), signals=2, severity=Severity.P2,
        opened_as=Severity.P2, worst=Severity.P2, category="local_degradation", components=(),
        regions=(), stage=Stage.CLOSED, started_at=START, opened_at=START, confirmed_at=START,
        resolved_at=at(90), reasons=(), accounts=1, recipients=1, messages=messages, promises=(),
        asked=(), longest_silence_seconds=0, rhythm_seconds=rhythm, post_mortem_due=None,
        remarks=(),
    )  # fmt: skip


def said(*minutes: int) -> list[ActualMessage]:
    return [ActualMessage(incident="1", at=at(m), stage="update") for m in minutes]


def test_ours_beside_theirs_counts_pauses_and_promises_they_would_have_kept() -> None:
    ours = told(sent(3, Moment.INITIAL), sent(90, Moment.RESOLUTION))
    operator = beside_operator(ours, said(70, 10, 0, 150), shortest=1800).operator
    assert operator is not None
    assert operator.first_later_seconds == 180
    assert operator.longest_silence_seconds == 80 * 60
    # Pauses of 10, 60 and 80 minutes: exactly the rhythm is kept.
    assert (operator.gaps, operator.gaps_in_rhythm, operator.gaps_in_shortest) == (3, 2, 1)


def test_a_message_to_staff_alone_is_no_first_message() -> None:
    ours = told(sent(0, Moment.INITIAL, Channel.INTERNAL), sent(5, Moment.INITIAL))
    operator = beside_operator(ours, said(10), shortest=None).operator
    assert operator is not None and operator.first_later_seconds == -300
    silent = beside_operator(told(), said(10), shortest=None).operator
    assert silent is not None and silent.first_later_seconds is None


def test_without_a_rhythm_there_is_no_promise_to_keep() -> None:
    operator = beside_operator(told(rhythm=None), said(0, 60), shortest=None).operator
    assert operator is not None and operator.gaps_in_rhythm is None


def test_of_what_nobody_said_anything_nothing_is_compared() -> None:
    assert beside_operator(told(), [], shortest=1800).operator is None


def test_silence_is_between_messages_whatever_their_order() -> None:
    assert longest_silence([at(50), at(0), at(10)]) == 40 * 60
    assert longest_silence([at(0)]) == 0


def test_changes_name_what_is_added_left_out_moved_and_sent_elsewhere() -> None:
    here = [sent(3, Moment.INITIAL), sent(30, Moment.UPDATE), sent(60, Moment.RESOLUTION)]
    there = [
        sent(3, Moment.INITIAL, Channel.EMAIL, Channel.SMS), sent(20, Moment.UPDATE),
        sent(40, Moment.UPDATE),
    ]  # fmt: skip
    found = [(c.kind, c.moment, c.nth) for c in changes(here, there)]
    assert found == [
        ("channels", Moment.INITIAL, 1), ("moved", Moment.UPDATE, 1), ("added", Moment.UPDATE, 2),
        ("missing", Moment.RESOLUTION, 1),
    ]  # fmt: skip
    assert changes(here, here) == ()
