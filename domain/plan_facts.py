"""What a stated fact means: cause, workaround, expected end, share, start of the impact."""

from __future__ import annotations

from domain.classification import severity_for_share
from domain.events import FactsStated
from domain.incident import ACTIVE, Stage
from domain.message import CLOSING, Moment
from domain.plan_alerts import severity_rose
from domain.step import Step


def on_facts(step: Step, event: FactsStated) -> None:
    """Take in what is stated; a draft that waits is written anew, so that it says the same.

    Customers hear of it with the next message: a fact alone is no reason to write to them.
    """
    state = step.state
    if state.stage is Stage.RESOLVED:
        return  # refused, should the end have come while it was under way
    stated = {key: note for key, note in {**state.stated, **event.notes}.items() if note}
    step.set(
        stated=stated,
        eta=None if event.eta_unknown else event.eta or state.eta,
        started_at=event.started_at or state.started_at,
    )
    step.note("facts_stated", actor=event.by, what=", ".join(_named(event)))
    raised = event.affected_share is not None and _share(step, event.affected_share, event.by)
    if not raised:
        write_anew(step)


def _named(event: FactsStated) -> list[str]:
    """The facts spoken of; their words stay out of history."""
    named = [*event.notes]
    if event.eta is not None or event.eta_unknown:
        named.append("eta")
    if event.affected_share is not None:
        named.append("share")
    if event.started_at is not None:
        named.append("start")
    return [name.replace("_", " ") for name in named]


def _share(step: Step, share: float, by: str) -> bool:
    """The stated share counts from now on; True when it made the incident worse."""
    step.set(affected_share=share)
    state = step.state
    if state.severity_by_human:
        return False
    severity, reason = severity_for_share(step.policy, share)
    if severity is None or severity.rank >= state.severity.rank:
        return False
    step.worsen(severity, reason, by=by)
    severity_rose(step)
    return step.state.drafting is not None


def write_anew(step: Step) -> None:
    """An approval binds to the facts a text uses: what waits on older ones is superseded."""
    waiting = step.state.pending or step.state.drafting
    if waiting is None and step.state.suggesting is not None:
        step.suggest_update()
    if waiting is None or waiting.moment is Moment.POST_MORTEM or step.state.stage not in ACTIVE:
        return
    # The end is written anew as the end, with what a human said about it.
    note_id = waiting.note_id if waiting.moment in CLOSING else None
    if step.state.pending is not None and step.state.pending.suggested:
        step.drop_suggestion()
        step.suggest_update()
        return
    step.draft(waiting.moment, note_id=note_id, stage=waiting.stage, channels=waiting.channels)
