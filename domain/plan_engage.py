"""Who responds: told at the confirmation, asked one after the other until a human acts.

The first act of a human acknowledges, whatever it is; `Acknowledged` is one that does nothing else.
"""

from __future__ import annotations

from domain.actions import OpenWarRoom
from domain.duties import Duties
from domain.events import (
    Acknowledged,
    Decided,
    Edited,
    Event,
    FactsStated,
    FalseAlarmMarked,
    HandedOver,
    ImpactConfirmed,
    ResolveRequested,
    SeverityChanged,
    UpdatePosted,
    WarRoomOpened,
)
from domain.incident import ACTIVE, IncidentState, TimerKind
from domain.refusals import refusal
from domain.step import Step

_BY_HUMANS = (
    Acknowledged, Decided, Edited, FactsStated, FalseAlarmMarked, HandedOver, ImpactConfirmed,
    ResolveRequested, SeverityChanged, UpdatePosted,
)  # fmt: skip
RESPONSE = "response"


def duties_of(step: Step) -> Duties | None:
    """What the present severity asks of colleagues; None where the policy says nothing of it."""
    return step.policy.severities[step.state.severity].duties


def on_acknowledged(step: Step, event: Acknowledged) -> None:
    """It says no more than that a human acted, which the duties note of every act; where there
    are none it is noted here."""
    if duties_of(step) is None and step.state.acknowledged_at is None:
        _acknowledge(step, event.by)


def keep_response(step: Step, before: IncidentState, event: Event) -> None:
    """Tell those who respond, count the time until one does, and write down who did."""
    duties = duties_of(step)
    if duties is None:
        return
    acted = isinstance(event, _BY_HUMANS) and refusal(before, event, step.now) is None
    confirmed = before.confirmed_at is None and step.state.confirmed_at is not None
    if step.state.stage in ACTIVE:
        if confirmed:
            step.note("notified", who=step.commander())
        if confirmed or before.severity is not step.state.severity:
            _tell_roles(step, duties)
            _count(step, duties, before)
    if isinstance(event, _BY_HUMANS) and acted and step.state.acknowledged_at is None:
        _acknowledge(step, event.by)
    early = confirmed and before.acknowledged_at is not None
    if early and duties.engage_within is not None:
        step.note("target_met", target=RESPONSE)
        step.disarm(TimerKind.ENGAGE)
    if step.state.stage not in ACTIVE:
        step.disarm(TimerKind.ENGAGE)
    elif duties.war_room and step.state.war_room is None and not step.state.dry_run:
        # A dry run shows what would happen; it calls nobody together.
        _open_room(step)
    elif isinstance(event, HandedOver) and acted and step.state.war_room:
        # Whoever takes over is invited too.
        step.actions.append(war_room(step))


def nobody_engaged(step: Step) -> None:
    """Nobody has acted: the target is missed, and the next person is asked until one does."""
    state, chain = step.state, step.responders()
    if state.acknowledged_at is not None or state.stage not in ACTIVE:
        return
    if RESPONSE not in state.missed:
        step.set(missed=(*state.missed, RESPONSE))
        step.note("target_missed", target=RESPONSE, due=step.now.isoformat())
    level = min(state.engage_level + 1, max(0, len(chain) - 1))
    again = step.policy.approval.escalate_after
    if level == state.engage_level:
        again = step.policy.approval.remind_every or again
    step.set(engage_level=level)
    step.note("not_engaged", who=chain[level] if chain else None)
    step.arm(TimerKind.ENGAGE, step.now + again)


def on_war_room(step: Step, event: WarRoomOpened) -> None:
    """Say where responders meet, once; or that somebody has to open a place by hand."""
    state = step.state
    if event.name is None and not state.war_room:
        step.note("war_room_by_hand", who=step.commander(), reason=event.reason)
    elif event.name is not None and event.name != state.war_room:
        step.set(war_room=event.name)
        step.note("war_room_opened", room=event.name, url=event.url, who=step.commander())


def _acknowledge(step: Step, by: str) -> None:
    state, duties = step.state, duties_of(step)
    due = state.timers.get(TimerKind.ENGAGE)
    step.disarm(TimerKind.ENGAGE)
    step.set(acknowledged_at=step.now)
    step.note("acknowledged", actor=by, by=by)
    counts = duties is not None and duties.engage_within is not None
    # Who acts while impact is only suspected has met the target once it is confirmed.
    if counts and due is not None and RESPONSE not in state.missed:
        step.note("target_met", target=RESPONSE, due=due.isoformat())


def _count(step: Step, duties: Duties, before: IncidentState) -> None:
    """Time to respond counts from the confirmation; what grows worse later leaves at most its own
    time from then on."""
    state, within = step.state, duties.engage_within
    if state.acknowledged_at is not None or RESPONSE in state.missed:
        return
    if within is None or state.confirmed_at is None:
        step.disarm(TimerKind.ENGAGE)
        return
    due = state.confirmed_at + within
    running = state.timers.get(TimerKind.ENGAGE)
    if before.confirmed_at is not None and state.severity.rank < before.severity.rank:
        due = step.now + within if running is None else min(running, step.now + within)
    step.arm(TimerKind.ENGAGE, max(step.now, due))


def _tell_roles(step: Step, duties: Duties) -> None:
    """Name those whom the severity tells, each role once per incident."""
    roles = tuple(role for role in duties.tell if role not in step.state.told_roles)
    if not roles:
        return
    step.set(told_roles=(*step.state.told_roles, *roles))
    known = step.policy.people.roles
    names = dict.fromkeys(name for role in roles for name in known.get(role, ()))
    step.note("told", roles=", ".join(roles), who=", ".join(names))


def _open_room(step: Step) -> None:
    step.set(war_room="")
    step.actions.append(war_room(step))


def war_room(step: Step) -> OpenWarRoom:
    """Named after the incident, so that asking twice opens one."""
    people = (step.commander(), step.approver(0) or "")
    named = tuple(dict.fromkeys(person for person in people if person))
    return OpenWarRoom(name=f"inc-{step.state.id.removeprefix('inc_')}".lower(), people=named)
