"""The plan in thousands of random stories: what must hold of every one of them.

Every story is judged by every invariant, and the stories are the same in every run. For a long
search with new stories each time, say how many:

    FOREWARN_STORIES=20000 pytest tests/domain/properties/test_properties.py -k every_story

A failure names the breach, tells the shortest story that shows it, and prints the `Story` itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import strategies as st

from domain.incident import ACTIVE, Stage
from tests.domain.properties import accounts, invariants
from tests.domain.properties.exploring import NEW_STORIES, SEARCH, explore, judged
from tests.domain.properties.happenings import Happening, RunLost
from tests.domain.properties.invariants import Check
from tests.domain.properties.stories import Story, prompt_stories, stories
from tests.domain.properties.world import World

# A failure takes its time to become a short story.
pytestmark = pytest.mark.timeout(0 if NEW_STORIES else 300)
STORIES = 600
CHECKS: tuple[Check, ...] = (
    invariants.nobody_hears_the_same_twice,
    invariants.whoever_heard_the_start_hears_the_end,
    invariants.no_message_contradicts_the_state,
    invariants.every_broadcast_carries_what_was_written,
    invariants.every_incident_can_be_ended,
    invariants.what_is_waited_for_will_come,
    invariants.what_is_written_is_read,
    invariants.the_end_that_was_asked_for_comes,
    invariants.severity_is_a_humans_once_set,
    invariants.timers_lie_ahead,
    invariants.what_is_refused_or_repeated_changes_nothing,
    accounts.every_promise_is_settled_once,
    accounts.a_missed_promise_is_admitted,
    accounts.a_promise_is_kept_where_it_was_made,
    accounts.what_is_said_is_promised,
    accounts.nothing_unapproved_goes_out,
    accounts.what_was_sent_stays_sent,
)


@dataclass
class Explored:
    """What many stories showed: the checks that one breaks, with that story, and what happened."""

    breached: dict[str, Story] = field(default_factory=dict)
    reached: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def explored() -> Explored:
    """Every story judged by every check."""
    found = Explored()

    def judge(story: Story) -> None:
        world = story.live()
        found.reached.update(_reached(world))
        for check in CHECKS:
            if check.__name__ not in found.breached and any(check(world)):
                found.breached[check.__name__] = story

    explore("every story", stories, judge, NEW_STORIES or STORIES, SEARCH)
    return found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_in_every_story(check: Check, explored: Explored) -> None:
    if check.__name__ in explored.breached:
        # Only now is it worth the time to look for a short story that shows it.
        explore("every story", stories, lambda s: judged(s.live(), check), NEW_STORIES or STORIES)
        raise AssertionError(f"{check.__name__} breaks in {explored.breached[check.__name__]}")


def test_stories_reach_what_the_invariants_speak_of(explored: Explored) -> None:
    """Without this, invariants could hold because nothing ever happened."""
    expected = {
        "initial", "update", "escalation", "resolution", "false_alarm", "post_mortem",
        "holding line", "promise missed", "promise kept", "promise superseded", "reopened",
        "refused", "lost", "opted out", "told twice", "closed", "dismissed",
    }  # fmt: skip
    missing = expected - set(explored.reached)
    assert not missing, f"never reached: {sorted(missing)}; reached: {explored.reached}"


def test_the_plan_is_a_function_of_what_is_stored() -> None:
    explore("function", stories, lambda s: judged(s.live(), accounts.the_plan_is_a_function), 60)


def test_a_run_lost_after_any_event_gives_the_same_guarantees() -> None:
    lost = st.builds(_with_a_loss, stories, st.integers(0, 30))
    explore("lost", lost, lambda story: judged(story.live(), *CHECKS), 100)


def _with_a_loss(story: Story, at: int) -> Story:
    then: list[Happening] = [*story.then[:at], RunLost(), *story.then[at:]]
    return replace(story, then=then)


def test_every_promise_is_kept_while_we_are_up() -> None:
    """Where words are ready in time and holding lines may go, silence never breaks a promise."""

    def judge(story: Story) -> None:
        world = story.live()
        judged(world, accounts.no_promise_is_missed)

    explore("prompt", prompt_stories, judge, 100)


def _reached(world: World) -> set[str]:
    found: set[str] = {world.state.stage.value}
    found |= {f"unknown {kind}" for kind in world.ignored}
    for taken in world.steps:
        found |= {sent.moment.value for sent in taken.to_customers}
        found |= {f"promise {entry.state}" for entry in taken.settled}
        if taken.event is None:
            found.add("lost")
        if taken.refused:
            found.add("refused")
        if taken.before.stage is Stage.RESOLVED and taken.after.stage in ACTIVE:
            found.add("reopened")
        for sent in taken.to_customers:
            draft = world.versions[sent.version].draft
            if draft is not None and draft.holding:
                found.add("holding line")
    if any(not row.sent for row in world.ledger.rows):
        found.add("opted out")
    results = Counter(
        taken.event.broadcast
        for taken in world.steps
        if taken.event is not None and taken.event.kind == "broadcast_done"
    )
    if any(times > 1 for times in results.values()):
        found.add("told twice")
    return found
