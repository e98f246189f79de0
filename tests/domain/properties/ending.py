"""People who work together bring an incident to its end, whatever happened before."""

from __future__ import annotations

from datetime import timedelta

from domain.incident import ACTIVE, Stage
from tests.domain.properties.happenings import DISMISS, RESOLVE, Alerts, LetOut
from tests.domain.properties.world import NOTHING, World

# Rounds of work within which every incident can be closed.
ENOUGH = 60
A_DAY = timedelta(days=1)


def bring_to_an_end(world: World) -> World:
    """Alerts stop, mistakes are mended, drafts approved, and what is over is said to be over."""
    Alerts(firing=0).happen(world)
    for _ in range(ENOUGH):
        if world.state.over:
            world.pass_time(A_DAY)
            break
        _work(world)
    return world


def _work(world: World) -> None:
    state = world.state
    if state.pending is not None:
        LetOut().happen(world)
    elif state.stage is Stage.SUSPECTED:
        world.command(DISMISS)
    elif state.drafting is not None or state.targeting:
        world.pass_time(max(world.pace.answers))
    elif state.stage in ACTIVE:
        world.command(RESOLVE)
    else:
        due = world.next_due()
        world.pass_time(max(due - world.now, NOTHING) if due else A_DAY)
