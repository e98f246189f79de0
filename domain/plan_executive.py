"""Notes to executives: at a fixed rhythm while customers feel it, short when nothing changed."""

from __future__ import annotations

from domain.actions import Decide
from domain.events import Drafted
from domain.incident import ACTIVE, Draft, Pending, TimerKind
from domain.step import Step, audience_or


def keep_executives(step: Step) -> None:
    """Keep the clock of the next note running, from the confirmation until it is resolved."""
    duties = step.policy.severities[step.state.severity].duties
    every = duties.executive_every if duties is not None else None
    if every is None or step.state.stage not in ACTIVE:
        step.disarm(TimerKind.EXECUTIVE)
    elif TimerKind.EXECUTIVE not in step.state.timers:
        step.arm(TimerKind.EXECUTIVE, step.now + every)


def executive_due(step: Step) -> None:
    """Write the next note, unless one is being written."""
    state = step.state
    if state.stage not in ACTIVE or state.executive is not None:
        return
    last, changed = state.executive_at, state.changed_at
    quiet = last is not None and (changed is None or changed <= last)
    step.executive_note("unchanged" if quiet else None)


def executive_written(step: Step, draft: Draft, event: Drafted) -> None:
    """Send it where the gate allows; where it waits for a decision it takes no other's place."""
    step.set(executive=None, versions=max(step.state.versions, event.version))
    note = Pending(
        draft=event.version,
        moment=event.moment,
        number=event.number,
        hash=event.hash,
        channels=draft.channels,
        audience=audience_or(step.state, event.audience),
        invalid=event.invalid,
        stage=draft.stage,
        asked_at=step.now,
    )
    auto, gated = step.split(event.moment, draft.channels, holding=False)
    if event.invalid:
        step.note("draft_invalid", version=event.version, moment=event.moment)
    elif auto:
        step.broadcast(note, auto, by="policy")
        step.actions.append(Decide(version=event.version, state="sent", by="policy"))
        return
    if gated and step.state.pending is None and step.state.drafting is None:
        step.put_before_approvers(note.model_copy(update={"channels": gated}))
    else:
        step.actions.append(Decide(version=event.version, state="superseded"))
