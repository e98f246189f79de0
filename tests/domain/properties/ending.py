"""People who work together bring an incident to its end, whatever happened before."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from domain.incident import ACTIVE, Stage
from domain.message import Moment
from tests.domain.properties.happenings import DISMISS, RESOLVE, Alerts, LetOut
from tests.domain.properties.world import World

Relapse = Literal["never", "before", "after"]
# Rounds of work within which every incident can be closed.
ENOUGH = 60
A_DAY = timedelta(days=1)


def bring_to_an_end(world: World, relapse: Relapse) -> World:
    """Alerts stop, mistakes are mended, drafts approved, and what is over is said to be over.

    With a relapse alerts fire once more when the end is near: before it is said, or after.
    """
    if world.state.stage is Stage.SUSPECTED:
        world.command(DISMISS)
    Alerts(firing=0).happen(world)
    for _ in range(ENOUGH):
        if world.state.over:
            world.pass_time(A_DAY)
            break
        if relapse != "never" and _is_near(world, relapse):
            relapse = "never"
            Alerts().happen(world)
            LetOut().happen(world)
            Alerts(firing=0).happen(world)
        _work(world)
    return world


def _is_near(world: World, relapse: Relapse) -> bool:
    pending = world.state.pending
    if relapse == "before":
        return pending is not None and pending.moment is Moment.RESOLUTION
    return world.state.stage is Stage.RESOLVED


def _work(world: World) -> None:
    state = world.state
    if state.pending is not None:
        LetOut().happen(world)
    elif state.drafting is not None or state.targeting:
        world.pass_time(max(world.pace.answers))
    elif state.stage in ACTIVE:
        world.command(RESOLVE)
    else:
        world.pass_time(max(*world.pace.answers, world.policy.grouping.reopen_within))
