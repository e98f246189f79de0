"""When alerts come and go: flapping, stability to the second, firing again, and silence."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.drafters.templates import TemplateDrafter
from domain.events import AlertsReceived, SeverityChanged, UpdatePosted
from domain.facts import build_facts
from domain.incident import Stage, TimerKind
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.ports import DraftRequest
from domain.signal import Severity
from runtime.wiring import CONTENT
from tests.adapters.db.intake_desk import Desk
from tests.domain.story import Story, batch

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def told(policy: Policy, now: datetime) -> Story:
    story = Story(policy, now)
    assert story.approve() is None
    return story


def fires(story: Story) -> None:
    story.tell(AlertsReceived(batch=batch(story.state.watermark + 1)))


def stops(story: Story) -> None:
    story.tell(AlertsReceived(batch=batch(story.state.watermark + 1, firing=0, severity=None)))


def test_flapping_alerts_tell_customers_nothing_new(policy: Policy, now: datetime) -> None:
    story = told(policy, now)
    for _ in range(6):
        stops(story)
        story.pass_time(4 * MINUTE)
        fires(story)
        story.pass_time(2 * MINUTE)
    assert story.moments() == ["initial"]
    assert story.notes().count("stability_broken") == 6
    stops(story)
    story.pass_time(10 * MINUTE)
    story.approve()
    assert story.moments() == ["initial", "resolution"]


def test_one_second_before_stability_an_alert_holds_back_the_all_clear(
    policy: Policy, now: datetime
) -> None:
    story = told(policy, now)
    stops(story)
    stable = policy.resolution.stable_for
    story.pass_time(stable - SECOND)
    fires(story)
    story.pass_time(5 * MINUTE)
    assert story.stage() is Stage.INVESTIGATING
    assert story.drafts()[-1].moment is Moment.INITIAL
    stops(story)
    story.pass_time(stable)
    assert story.state.pending is not None
    assert story.state.pending.moment is Moment.RESOLUTION


async def test_firing_again_reopens_to_the_second_and_opens_anew_after_it(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    desk = Desk(engine, policy, now)
    within = policy.grouping.reopen_within
    first = await desk.take("edge")
    await desk.change(first.incident_id, stage="resolved", resolved_at=now)
    again = await desk.take("edge", after=within)
    assert (again.disposition, again.incident_id) == ("folded", first.incident_id)

    other = await desk.take("late", components=("webhooks",))
    await desk.change(other.incident_id, stage="resolved", resolved_at=now)
    late = await desk.take("late", components=("webhooks",), after=within + SECOND)
    assert late.incident_id != other.incident_id
    assert late.disposition in ("started", "suspected")


def test_a_reopened_incident_says_so_and_goes_on(policy: Policy, now: datetime) -> None:
    story = told(policy, now)
    stops(story)
    story.pass_time(policy.resolution.stable_for)
    story.approve()
    assert story.stage() is Stage.RESOLVED
    story.pass_time(policy.grouping.reopen_within - SECOND)
    fires(story)
    assert story.stage() is Stage.INVESTIGATING
    assert "reopened" in story.notes()
    story.approve()
    assert story.moments() == ["initial", "resolution", "update"]


def test_what_nobody_confirms_ends_without_a_word(policy: Policy, now: datetime) -> None:
    story = Story(policy, now, batch(confirms=False))
    story.pass_time(3 * HOUR)
    assert story.broadcasts() == []
    story.tell(AlertsReceived(batch=batch(2, firing=0, confirms=False)))
    assert story.stage() is Stage.CLOSED
    assert story.broadcasts() == [] and story.broadcasts(customers=False) == []
    assert "closed_unconfirmed" in story.notes()


async def test_a_step_backward_is_told_plainly(policy: Policy, now: datetime) -> None:
    story = told(policy, now)
    stops(story)
    story.command(UpdatePosted(by="ada", note_id="n1"))
    story.approve()
    assert story.state.told_stage is Stage.MONITORING
    fires(story)
    story.command(UpdatePosted(by="ada", note_id="n2"))
    draft = story.drafts()[-1]
    assert (draft.stage, story.state.told_stage) == (Stage.INVESTIGATING, Stage.MONITORING)
    facts = build_facts(
        story.state, draft.moment, draft.number, story.state.audience, policy,
        {"previous_stage": "monitoring"}, "https://status.example", stage=draft.stage,
        next_update_at=draft.next_update_at,
    )  # fmt: skip
    asked = DraftRequest(facts=facts, channels=(Channel.EMAIL,), locales=("en", "de"))
    english, german = await TemplateDrafter(CONTENT).write(asked, policy)
    assert "are not over: the recovery has not held" in english.text
    assert "not over" not in german.text


def test_worse_is_told_at_once_and_better_keeps_what_was_promised(
    policy: Policy, now: datetime
) -> None:
    story = told(policy, now)
    story.pass_time(10 * MINUTE)
    story.command(SeverityChanged(by="ada", severity=Severity.P1))
    # A rise counts from the last message: 30 minutes after it, not after now.
    assert story.state.next_update_due == now + 30 * MINUTE
    story.approve()
    (escalation,) = [b for b in story.broadcasts() if b.moment is Moment.ESCALATION]
    assert Channel.SMS in escalation.channels
    due = story.state.next_update_due
    story.command(SeverityChanged(by="ada", severity=Severity.P3))
    assert story.state.next_update_due == due
    assert TimerKind.PROMISE in story.state.timers
    story.pass_time(HOUR)
    kept = story.broadcasts()[-1]
    # The promise was made by mail, so it is kept by mail, though P3 sends none.
    assert (kept.moment, Channel.EMAIL in kept.channels) == (Moment.UPDATE, True)
    assert story.promises("missed") == []


def test_larger_and_worse_at_once_is_a_turn_for_the_worse(policy: Policy, now: datetime) -> None:
    story = told(policy, now)
    story.tell(
        AlertsReceived(batch=batch(2, severity=Severity.P1, components=("payments", "webhooks")))
    )
    story.approve()
    assert story.moments() == ["initial", "escalation"]
    assert Channel.SMS in story.broadcasts()[-1].channels
