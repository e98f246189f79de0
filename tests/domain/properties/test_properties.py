"""The plan in thousands of random stories: what must hold of every one of them.

Every story is judged by every invariant, and the stories are the same in every run. For a long
search with new stories each time, say how many:

    FOREWARN_STORIES=20000 pytest tests/domain/properties/test_properties.py -k every_story

A failure names the breach, tells the shortest story that shows it, and prints the `Story` itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st

from domain.actions import Note
from domain.events import BroadcastDone
from domain.incident import ACTIVE, Stage
from domain.resume import RecordsLost
from tests.domain.properties import accounts
from tests.domain.properties.checks import CHECKS
from tests.domain.properties.exploring import NEW_STORIES, SEARCH, explore, judged
from tests.domain.properties.invariants import Check
from tests.domain.properties.losses import RunLost
from tests.domain.properties.statements import APPLIED
from tests.domain.properties.stories import Story, losing, prompt_stories, restored, stories
from tests.domain.properties.world import World

# A failure takes its time to become a short story.
pytestmark = pytest.mark.timeout(0 if NEW_STORIES else 300)
STORIES = 600
# Lines of the timeline that show that something was reached.
NOTES = frozenset(
    {
        "records_lost", "draft_lost", "credits_proposed", "credits_approved", "facts_stated",
        "acknowledged", "war_room_opened",
    }
)  # fmt: skip


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
        "records_lost", "draft_lost", "audience lost", "credits_proposed", "credits_approved",
        "credit stated", "facts_stated", "acknowledged", "war_room_opened", "extended",
    }  # fmt: skip
    missing = expected - set(explored.reached)
    assert not missing, f"never reached: {sorted(missing)}; reached: {explored.reached}"


def test_the_plan_is_a_function_of_what_is_stored() -> None:
    explore("function", stories, lambda s: judged(s.live(), accounts.the_plan_is_a_function), 60)


def test_a_run_lost_after_any_event_gives_the_same_guarantees() -> None:
    lost = losing(st.just(RunLost()), 30)
    explore("lost", lost, lambda story: judged(story.live(), *CHECKS), 100)


def test_records_lost_after_any_event_give_the_same_guarantees() -> None:
    lost = losing(restored, 30)
    explore("records lost", lost, lambda story: judged(story.live(), *CHECKS), 100)


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
        found |= {action.key for action in taken.actions if isinstance(action, Note)} & NOTES
        if taken.event is None:
            found.add("lost")
        if isinstance(taken.event, RecordsLost) and taken.event.audience is not None:
            found.add("audience lost")
        if taken.refused:
            found.add("refused")
        if taken.before.stage is Stage.RESOLVED and taken.after.stage in ACTIVE:
            found.add("reopened")
        for sent in taken.to_customers:
            version = world.versions[sent.version]
            if version.draft is not None and version.draft.holding:
                found.add("holding line")
            if version.facts is not None and APPLIED in version.facts.notes:
                found.add("credit stated")
    if any(not row.sent for row in world.ledger.rows):
        found.add("opted out")
    results = Counter(
        taken.event.broadcast for taken in world.steps if isinstance(taken.event, BroadcastDone)
    )
    if any(times > 1 for times in results.values()):
        found.add("told twice")
    return found
