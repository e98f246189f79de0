"""Outages of ours that leave something behind: a run that is gone, records older than their run."""

from __future__ import annotations

from dataclasses import dataclass

from tests.domain.properties.happenings import SPANS, Wait
from tests.domain.properties.world import NOTHING, SECOND, World


@dataclass(frozen=True)
class RunLost:
    """Temporal lost the run, and nothing ran for a `down` span; the stored state is resumed."""

    down: str | None = None

    def happen(self, world: World) -> None:
        span = SPANS[self.down](world.policy, world) if self.down else NOTHING
        world.lose_run(SECOND if span is None else span)


@dataclass(frozen=True)
class Restored:
    """PostgreSQL came back as it was a span `back`, after being away as long where it is `down`.

    `unread`: just as something waits for a decision that nobody has taken.
    """

    back: str = "half a rhythm"
    down: bool = False
    unread: bool = False

    def happen(self, world: World) -> None:
        for _ in range(4 if self.unread else 0):
            if world.state.pending is None and world.awaited():
                Wait().happen(world)
        back = SPANS[self.back](world.policy, world) or SECOND
        if self.down:
            world.outage(back)
        world.lose_records(back)
