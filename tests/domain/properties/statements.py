"""What must hold of the facts that messages state; each check yields a sentence per breach."""

from __future__ import annotations

from collections.abc import Iterator

from domain.actions import ProposeCredits
from domain.credits import credit_numbers
from domain.events import CreditsApproved, CreditsProposed
from domain.message import Facts
from tests.domain.properties.world import World

CREDIT = "credit_"
APPLIED = "credit_applied"


def no_amount_is_stated_unapproved(world: World) -> Iterator[str]:
    """A credit stands in a message only as a named person approved it, with its very figure."""
    approved: dict[str, float] = {}
    for number, taken in enumerate(world.steps):
        event = taken.event
        if isinstance(event, CreditsApproved) and event.by and not taken.refused:
            approved = credit_numbers(event.percents)
        for sent in taken.to_customers:
            facts = world.versions[sent.version].facts
            name = f"step {number}: version {sent.version} ({sent.moment})"
            for key, figure in _amounts(facts).items():
                if approved.get(key) != figure:
                    yield f"{name} states {key} {figure:g}, approved is {approved.get(key)}"
            if facts is not None and APPLIED in facts.notes and not approved:
                yield f"{name} says when credits apply, and nobody approved any"


def _amounts(facts: Facts | None) -> dict[str, float]:
    numbers = facts.numbers if facts is not None else {}
    return {key: figure for key, figure in numbers.items() if key.startswith(CREDIT)}


def what_is_owed_is_proposed(world: World) -> Iterator[str]:
    """Credits that were to be worked out come before a person, whatever is lost in between."""
    asked = 0
    for number, taken in enumerate(world.steps):
        lost = asked if taken.event is None else 0
        if lost:
            asked = 0
        if isinstance(taken.event, CreditsProposed):
            asked -= 1
        asked += sum(isinstance(action, ProposeCredits) for action in taken.actions)
        if lost and not asked and not taken.after.over:
            yield f"step {number}: credits were being worked out, and nobody will propose them"


def what_is_said_is_as_stated(world: World) -> Iterator[str]:
    """Words, the expected end and the start that a message states are the latest ones stated."""
    for number, taken in enumerate(world.steps):
        for sent in taken.to_customers:
            version, state = world.versions[sent.version], taken.before
            facts, draft = version.facts, version.draft
            if facts is None or draft is None or draft.holding:
                continue
            name = f"step {number}: version {sent.version} ({sent.moment})"
            said = {key: facts.notes[key] for key in facts.notes if key != APPLIED}
            if said != state.stated:
                yield f"{name} says {said}, stated is {state.stated}"
            if facts.times["impact_start"] != state.started_at:
                yield f"{name} begins at {facts.times['impact_start']}, not {state.started_at}"
            eta = facts.times.get("eta")
            if eta is not None and eta != state.eta:
                yield f"{name} expects the end at {eta}, stated is {state.eta}"
