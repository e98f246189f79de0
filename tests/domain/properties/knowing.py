"""What people come to know: facts that they state, credits that they grant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from domain.credits import EVERYBODY
from domain.events import CreditsApproved, FactsStated
from tests.domain.properties.happenings import RESOLVE, LetOut, Wait
from tests.domain.properties.world import World


@dataclass(frozen=True)
class Facts:
    """Somebody states what is known by now; `take_back` takes back the words and the end.

    `eta` and `began` are counted from the present, forwards and backwards; `raced` past the
    validator, because the state changed behind it.
    """

    words: tuple[str, ...] = ()
    eta: timedelta | None = None
    share: float | None = None
    began: timedelta | None = None
    take_back: bool = False
    raced: bool = False

    def happen(self, world: World) -> None:
        said = len(world.steps)
        stated = FactsStated(
            by="ada",
            notes={key: "" if self.take_back else f"{key}_{said}" for key in self.words},
            eta=None if self.eta is None or self.take_back else world.now + self.eta,
            eta_unknown=self.take_back,
            affected_share=self.share,
            started_at=None if self.began is None else world.now - self.began,
        )
        if self.raced:
            world.tell(stated)
        else:
            world.command(stated)


@dataclass(frozen=True)
class ApproveCredits:
    """Somebody approves what is proposed, or only what the first plan is owed."""

    some: bool = False

    def happen(self, world: World) -> None:
        proposed = dict(list(world.proposed.items())[:1] if self.some else world.proposed)
        if not proposed or world.state.over:
            return
        world.proposed = {k: v for k, v in world.proposed.items() if k not in proposed}
        world.approved |= proposed
        percents = dict(world.approved)
        if not world.proposed and len({*percents.values()}) == 1:
            percents = {EVERYBODY: next(iter(percents.values()))}
        world.command(
            CreditsApproved(
                by="ada", accounts=len(proposed), total=f"{len(proposed)}.00 USD", percents=percents
            )
        )


@dataclass(frozen=True)
class ResolveOwing:
    """It has lasted for hours; somebody ends it and, or not, approves the credits with it."""

    approve: bool = True
    some: bool = False

    def happen(self, world: World) -> None:
        if world.state.pending is not None:
            LetOut().happen(world)
        Facts(began=timedelta(hours=9)).happen(world)
        world.command(RESOLVE)
        for _ in range(2):
            if world.awaited():
                Wait().happen(world)
        if self.approve:
            ApproveCredits(self.some).happen(world)
        LetOut().happen(world)
