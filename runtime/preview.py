"""What would be said of a real incident: the version that waits, or what would be written now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.notes import Notes
from adapters.db.staff_board import StaffBoard
from domain.card import Case
from domain.errors import BadInput, FieldError, Refused
from domain.facts import build_facts, story
from domain.incident import Draft, IncidentState, Stage
from domain.message import Facts, Moment, Recipient
from domain.step import Step
from runtime.gallery.shown import Printer, Shown

CONTENT = Path(__file__).resolve().parent.parent / "content"
# Drafted from the timeline, or of a maintenance: neither is written from an incident's state.
ELSEWHERE = frozenset(m for m in Moment if m.value.startswith("maintenance")) | {Moment.POST_MORTEM}
_STAGES = {Moment.RESOLUTION: Stage.RESOLVED, Moment.FALSE_ALARM: Stage.FALSE_ALARM}


@dataclass(frozen=True)
class Preview:
    """The texts of one moment; `version` is None where they are not kept."""

    facts: Facts
    version: int | None
    shown: Sequence[Shown]


async def preview(
    engine: AsyncEngine,
    incident_id: str,
    public_url: str,
    now: datetime,
    moment: Moment | None = None,
    message: str | None = None,
) -> Preview:
    """The waiting version, or with a moment or a human's message what would be written now.

    Nothing is kept and nobody is asked. Raises Refused where nothing would be sent.
    """
    case = await StaffBoard(engine).case(incident_id, frozenset())
    if case is None:
        raise Refused("not_started", f"nothing is recorded of {incident_id} yet: try again")
    printer = Printer(case.policy, CONTENT, public_url, now)
    readers = {
        locale: Recipient(delivery_id=1, contact_id="preview", locale=locale)
        for locale in case.policy.locales
    }
    if moment is None and message is None and case.draft is not None:
        draft = case.draft
        shown = printer.laid_out(draft.facts, draft.texts, readers)
        return Preview(draft.facts, draft.version, shown)
    if moment is None and case.state.over:
        raise Refused("over", f"{incident_id} is over and nothing comes next: name a moment")
    wanted = moment or (Moment.UPDATE if case.state.announced else Moment.INITIAL)
    asked = _asked(case, wanted, now)
    stated = await Notes(engine).texts(case.state.stated)
    facts = _facts(case, asked, stated, message, public_url, now)
    reading = [readers[locale] for locale in printer.languages(wanted)]
    return Preview(facts, None, await printer.show(facts, reading, asked.channels))


def _asked(case: Case, moment: Moment, now: datetime) -> Draft:
    """The request that the plan would make; it knows channels, number, promise and stage."""
    if moment in ELSEWHERE:
        known = ", ".join(m.value for m in Moment if m not in ELSEWHERE)
        raise BadInput(
            f"a {moment.value} is not written from an incident's state",
            [FieldError(field="moment", value=moment.value, allowed=known)],
        )
    state = case.state
    stage = Stage.INVESTIGATING if state.stage is Stage.SUSPECTED else state.stage
    step = Step(state.model_copy(update={"stage": stage}), now, case.policy)
    step.draft(moment, stage=_STAGES.get(moment))
    found = [action for action in step.actions if isinstance(action, Draft)]
    if not found:
        raise Refused(
            "no_channels", f"policy sends {moment.value} at {state.severity.value} nowhere"
        )
    return found[0]


def _facts(
    case: Case,
    asked: Draft,
    stated: dict[str, str],
    message: str | None,
    public_url: str,
    now: datetime,
) -> Facts:
    state, policy = _by_then(case.state, asked.moment, now), case.policy
    notes = stated if message is None else stated | {"message": message}
    if state.told_stage is not None:
        notes["previous_stage"] = state.told_stage.value
    return build_facts(
        state,
        asked.moment,
        asked.number,
        state.audience,
        policy,
        notes,
        public_url,
        stage=asked.stage,
        next_update_at=asked.next_update_at,
        story=story(state, asked.moment, now, asked.promised),
    )


def _by_then(state: IncidentState, moment: Moment, now: datetime) -> IncidentState:
    if moment is not Moment.RESOLUTION or state.resolved_at is not None:
        return state
    return state.model_copy(update={"resolved_at": state.quiet_since or now})
