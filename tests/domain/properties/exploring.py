"""Has stories judged by the dozen: the same ones in every run, or new ones where asked for."""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.domain.properties.invariants import Check
from tests.domain.properties.records import Violation, narrate
from tests.domain.properties.stories import Story
from tests.domain.properties.world import World

# So many new stories instead of the known ones; 0 in every ordinary run.
NEW_STORIES = int(os.environ.get("FOREWARN_STORIES", "0"))
SEED = random.randrange(2**32) if NEW_STORIES else 0
SEARCH = (Phase.generate,)
SHORTEN = (Phase.generate, Phase.shrink)


def explore(
    name: str,
    drawn: st.SearchStrategy[Story],
    judge: Callable[[Story], None],
    stories: int,
    phases: tuple[Phase, ...] = SHORTEN,
) -> None:
    """Judge so many stories, drawn from a seed that the name gives; a failure is made shorter."""

    @settings(
        max_examples=stories,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(drawn)
    def each(story: Story) -> None:
        judge(story)

    seed(SEED ^ zlib.crc32(name.encode()))(each)()


def judged(world: World, *checks: Check) -> None:
    """Raise for the first breach, with the story that led to it."""
    for check in checks:
        for breach in check(world):
            raise Violation(f"{check.__name__}: {breach}\n{narrate(world.steps)}")
