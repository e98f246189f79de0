"""Nothing was wrong after all: said to those who were told otherwise, and to nobody else."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.events import AlertsReceived, Decided, FalseAlarmMarked, ResolveRequested
from domain.incident import Stage
from domain.message import Channel
from domain.policy import Policy
from domain.policy_sections import Resolution
from tests.domain.story import Story, batch

MINUTE = timedelta(minutes=1)


def resolved(policy: Policy, now: datetime) -> Story:
    """Told, and told the end."""
    story = Story(policy, now)
    story.approve()
    story.command(ResolveRequested(by="ada"))
    story.approve()
    assert story.stage() is Stage.RESOLVED
    return story


def test_nobody_was_told_so_nobody_hears_of_it(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.command(FalseAlarmMarked(by="ada"))
    assert story.stage() is Stage.FALSE_ALARM
    assert story.broadcasts() == []


def test_those_who_were_told_get_an_apology_where_they_were_told(
    policy: Policy, now: datetime
) -> None:
    story = Story(policy, now)
    story.approve()
    story.pass_time(20 * MINUTE)
    story.command(FalseAlarmMarked(by="ada"))
    story.approve()
    assert story.moments() == ["initial", "false_alarm"]
    start, end = story.broadcasts()
    customers = set(start.channels) - {Channel.INTERNAL, Channel.TICKET}
    assert customers <= set(end.channels)
    assert story.stage() is Stage.FALSE_ALARM
    assert story.state.promise is None


def test_found_after_the_all_clear_it_is_corrected(policy: Policy, now: datetime) -> None:
    story = resolved(policy, now)
    story.pass_time(10 * MINUTE)
    story.command(FalseAlarmMarked(by="ada"))
    story.pass_time(60 * MINUTE)  # the approver takes longer than a re-fire would have time
    assert story.stage() is Stage.RESOLVED
    story.approve()
    assert story.moments() == ["initial", "resolution", "correction"]
    assert story.stage() is Stage.FALSE_ALARM


def test_a_correction_that_is_turned_down_leaves_the_end_as_it_was(
    policy: Policy, now: datetime
) -> None:
    story = resolved(policy, now)
    story.command(FalseAlarmMarked(by="ada"))
    assert story.state.pending is not None
    story.command(Decided(draft=story.state.pending.draft, decision="reject", by="bob"))
    story.pass_time(MINUTE)
    assert story.moments() == ["initial", "resolution"]
    assert story.stage() is Stage.RESOLVED  # until its post-mortem is done
    assert story.state.timers == {}


def test_a_correction_gives_way_to_an_alert_that_fires(policy: Policy, now: datetime) -> None:
    story = resolved(policy, now)
    story.command(FalseAlarmMarked(by="ada"))
    story.tell(AlertsReceived(batch=batch(2)))
    assert story.stage() is Stage.INVESTIGATING
    story.approve()
    assert story.moments() == ["initial", "resolution", "update"]


def test_a_policy_from_before_closes_it_silently(policy: Policy, now: datetime) -> None:
    before = Resolution(stable_for=policy.resolution.stable_for)
    story = resolved(policy.model_copy(update={"resolution": before}), now)
    story.command(FalseAlarmMarked(by="ada"))
    assert story.stage() is Stage.FALSE_ALARM
    assert story.moments() == ["initial", "resolution"]
