"""What staff can do to an incident: the one way, for the API and the console alike."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_hex
from typing import TypeVar

import structlog
from pydantic import BaseModel

from domain.classification import plausible_start
from domain.errors import BadInput, FieldError, NotFound, Refused
from domain.facts import build_facts, promise_is_literal, story
from domain.incident import STATED, IncidentState, Stage
from domain.message import DraftVersion, Facts, Finding, Moment
from domain.roles import Role
from gateway.auth import Actor
from gateway.deps import Deps
from gateway.differences import draft_changes
from gateway.editing import Editing, broken_rules
from gateway.staff_shapes import (
    CommandAnswer,
    ConfirmBody,
    DecisionAnswer,
    DecisionBody,
    FactsBody,
    HandOverBody,
    MessageBody,
    ReasonBody,
    SeverityBody,
    StartAnswer,
    StartBody,
    TextBody,
    UpdateBody,
    known_places,
)
from gateway.staff_updates import command
from runtime.relay import TemporalDown
from runtime.staff import IncidentView, staff_composer, staff_stores
from workflows.messages import (
    AcknowledgeInput,
    ChangeSeverityInput,
    CommandResult,
    ConfirmInput,
    DecideInput,
    DecideResult,
    DismissInput,
    FalseAlarmInput,
    HandOverInput,
    PostUpdateInput,
    ResolveInput,
    StateFactsInput,
)

_log = structlog.get_logger(__name__)
R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True)
class Call:
    """Who commands, under which request id; the same id is carried out once."""

    actor: Actor
    correlation_id: str
    key: str | None = None

    @property
    def request(self) -> str:
        """The id of this request, no other actor's."""
        return f"{self.actor.id}:{self.key}" if self.key else f"{self.actor.id}:{token_hex(16)}"


class Commands:
    """Checks a command, keeps its words in PostgreSQL and hands its facts to the workflow."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._staff = staff_stores(deps.engine)
        composer = staff_composer(
            deps.policy, deps.public_url, deps.secret_key.get_secret_value(), deps.now
        )
        self._editing = Editing(self._staff, composer, deps.policy)
        deps.follow(composer.adopt)
        deps.follow(self._editing.adopt)

    async def start(self, call: Call, body: StartBody) -> StartAnswer:
        """Report an incident; it may fold into an open one unless `separate`."""
        known_places(self._deps.policy, body.components, body.regions)
        accepted = await self._deps.intake.start_by_human(
            self._deps.policy,
            key=call.request,
            now=self._deps.now(),
            correlation_id=call.correlation_id,
            dry_run=self._deps.dry_run or body.dry_run,
            opened_by=call.actor.name,
            **body.model_dump(exclude={"dry_run"}),
        )
        if accepted.incident_id is None:
            raise Refused("not_open", "this report was taken as belonging to no incident")
        try:
            await self._deps.relay.relay_now(accepted.incident_id)
        except TemporalDown:
            # Stored for good: the relay loop tells Temporal when it is back.
            _log.warning("report_waits_for_temporal", incident_id=accepted.incident_id)
        if accepted.disposition != "duplicate":
            await self._note(call, accepted.incident_id, "start", disposition=accepted.disposition)
        return StartAnswer(
            id=accepted.incident_id,
            incident_id=accepted.incident_id,
            signal_id=accepted.signal_id,
            disposition=accepted.disposition,
        )

    async def decide(self, call: Call, incident_id: str, body: DecisionBody) -> DecisionAnswer:
        """Approve, reject or edit the version that waits; binds to exactly that version."""
        call.actor.need(Role.APPROVER)
        role = Role.ADMIN if call.actor.has(Role.ADMIN) else Role.APPROVER
        if (body.decision == "edit") != bool(body.edits):
            raise BadInput(
                "texts are needed to edit, and only then",
                [FieldError(field="edits", value=len(body.edits), allowed="texts with `edit`")],
            )
        # Names an unknown incident or version before anything is written.
        view = await self._staff.incidents.draft(incident_id, body.draft)
        decision = DecideInput(
            draft=body.draft,
            decision=body.decision,
            by=call.actor.name,
            role=role,
            reason=body.reason,
        )
        request = call.request
        if body.decision == "edit":
            return await self._edit(request, view.draft, decision, body.edits)
        if body.decision == "approve" and view.state == "pending":
            named = await self._editing.names_of_others(view.draft)
            if named:
                raise broken_rules(f"draft {body.draft} names a customer; edit it first", named)
        done = await self._update(request, incident_id, "decide", decision, DecideResult)
        return DecisionAnswer(
            incident_id=incident_id, draft=body.draft, state=done.state, version=body.draft
        )

    async def post_update(self, call: Call, incident_id: str, body: UpdateBody) -> CommandAnswer:
        """Tell customers something, and where the work stands."""
        request, note = await self._words(call, incident_id, body.message)
        argument = PostUpdateInput(by=call.actor.name, note_id=note or "", stage=body.stage)
        return await self._command(call, request, incident_id, "post_update", argument)

    async def facts(self, call: Call, incident_id: str, body: FactsBody) -> CommandAnswer:
        """State what is known by now; the words are kept in PostgreSQL, history has their ids."""
        view = await self._staff.incidents.detail(incident_id)
        self._plausible(body, view)
        request, given = call.request, body.model_fields_set
        notes = {key: getattr(body, key) or "" for key in STATED if key in given}
        for key, words in notes.items():
            if words:
                notes[key] = await self._staff.notes.save(
                    incident_id, words, call.actor.name, self._deps.now(), f"{request}:{key}"
                )
        argument = StateFactsInput(
            by=call.actor.name,
            notes=notes,
            eta=body.eta,
            eta_unknown="eta" in given and body.eta is None,
            affected_share=body.affected_share,
            started_at=body.started_at,
        )
        return await self._command(call, request, incident_id, "state_facts", argument)

    def _plausible(self, body: FactsBody, view: IncidentView) -> None:
        """Raise BadInput for a body that states nothing, or times that cannot be."""
        now, errors = self._deps.now(), []
        if not body.model_fields_set:
            allowed = ", ".join(FactsBody.model_fields)
            raise BadInput("nothing is stated", [FieldError(field="body", allowed=allowed)])
        if body.eta is not None and body.eta <= now:
            errors.append(
                FieldError(field="eta", value=body.eta.isoformat(), allowed="a time to come")
            )
        start = body.started_at
        if start is not None and plausible_start(start, now) != start:
            errors.append(
                FieldError(
                    field="started_at",
                    value=start.isoformat(),
                    allowed="a time of the last seven days",
                )
            )
        if errors:
            raise BadInput("these times cannot be", errors)

    async def severity(self, call: Call, incident_id: str, body: SeverityBody) -> CommandAnswer:
        """Change how bad it is; the rhythm and the channels follow at once."""
        argument = ChangeSeverityInput(
            by=call.actor.name, severity=body.severity, reason=body.reason
        )
        return await self._command(call, call.request, incident_id, "change_severity", argument)

    async def confirm(self, call: Call, incident_id: str, body: ConfirmBody) -> CommandAnswer:
        """State that customers feel it; may name what monitoring could not."""
        known_places(self._deps.policy, body.components, body.regions)
        argument = ConfirmInput(
            by=call.actor.name,
            components=body.components,
            regions=body.regions,
            severity=body.severity,
        )
        return await self._command(call, call.request, incident_id, "confirm_impact", argument)

    async def dismiss(self, call: Call, incident_id: str, body: ReasonBody) -> CommandAnswer:
        """Close a suspected incident that no customer felt."""
        argument = DismissInput(by=call.actor.name, reason=body.reason)
        return await self._command(call, call.request, incident_id, "dismiss", argument)

    async def resolve(self, call: Call, incident_id: str, body: MessageBody) -> CommandAnswer:
        """State that it is over; the all-clear follows."""
        request, note = await self._words(call, incident_id, body.message)
        argument = ResolveInput(by=call.actor.name, note_id=note)
        return await self._command(call, request, incident_id, "resolve", argument)

    async def false_alarm(self, call: Call, incident_id: str, body: MessageBody) -> CommandAnswer:
        """State that nothing was wrong; whoever was told otherwise is told so."""
        request, note = await self._words(call, incident_id, body.message)
        argument = FalseAlarmInput(by=call.actor.name, note_id=note)
        return await self._command(call, request, incident_id, "mark_false_alarm", argument)

    async def hand_over(self, call: Call, incident_id: str, body: HandOverBody) -> CommandAnswer:
        """Let somebody else be asked: who approves, or who commands."""
        if body.role == "approver":
            call.actor.need(Role.APPROVER)
        argument = HandOverInput(by=call.actor.name, role=body.role, to=body.to)
        return await self._command(call, call.request, incident_id, "hand_over", argument)

    async def acknowledge(self, call: Call, incident_id: str) -> CommandAnswer:
        """State that somebody is on it."""
        argument = AcknowledgeInput(by=call.actor.name)
        return await self._command(call, call.request, incident_id, "acknowledge", argument)

    async def check(self, incident_id: str, body: TextBody) -> tuple[Finding, ...]:
        """The rules a text breaks in place of the pending draft, or else as the next update."""
        view = await self._staff.incidents.detail(incident_id)
        if view.pending is not None:
            facts = (await self._staff.incidents.draft(incident_id, view.pending.draft)).draft.facts
        else:
            facts = await self._next_facts(view)
        return await self._editing.findings(body.as_draft(), facts)

    async def sends(self, call: Call, paused: bool) -> bool:
        """Pause or resume everything that leaves; says whether anything changed."""
        switches = self._staff.switches
        change = switches.pause if paused else switches.resume
        return await change(call.actor.name, self._deps.now())

    # Helpers

    async def _edit(
        self,
        request: str,
        base: DraftVersion,
        decision: DecideInput,
        edits: tuple[TextBody, ...],
    ) -> DecisionAnswer:
        draft = await self._editing.edited(base, edits, decision.by, self._deps.now())
        saved = await self._staff.drafts.save(draft, f"edit:{request}", supersede=False)
        argument = decision.model_copy(
            update={
                "edited_version": saved.version,
                "edited_hash": saved.hash,
                "invalid": bool(saved.findings),
                "promise_is_literal": promise_is_literal(
                    saved.texts, base.facts.times.get("next_update")
                ),
            }
        )
        try:
            done = await self._update(request, base.incident_id, "decide", argument, DecideResult)
        except (Refused, NotFound):
            await self._staff.drafts.discard(base.incident_id, saved.version)
            raise
        return DecisionAnswer(
            incident_id=base.incident_id,
            draft=base.version,
            state=done.state,
            version=saved.version,
            changes=draft_changes(base, saved).changes,
        )

    async def _words(
        self, call: Call, incident_id: str, message: str | None
    ) -> tuple[str, str | None]:
        """The request id, and the id under which the words are kept."""
        await self._staff.incidents.detail(incident_id)
        request = call.request
        if message is None:
            return request, None
        note = await self._staff.notes.save(
            incident_id, message, call.actor.name, self._deps.now(), request
        )
        return request, note

    async def _command(
        self, call: Call, request: str, incident_id: str, name: str, argument: BaseModel
    ) -> CommandAnswer:
        await self._staff.incidents.detail(incident_id)
        done = await self._update(request, incident_id, name, argument, CommandResult)
        await self._note(call, incident_id, name, stage=done.stage, severity=done.severity)
        return CommandAnswer(incident_id=incident_id, stage=done.stage, severity=done.severity)

    async def _update(
        self, request: str, incident_id: str, name: str, argument: BaseModel, result: type[R]
    ) -> R:
        return await command(self._deps, incident_id, name, argument, result, request)

    async def _note(self, call: Call, incident_id: str, name: str, **facts: str) -> None:
        """Put the command in the audit log."""
        await self._staff.audit.append(
            "command", call.actor.name, {"command": name, **facts}, self._deps.now(), incident_id
        )
        _log.info(
            "staff_command",
            command=name,
            incident_id=incident_id,
            correlation_id=call.correlation_id,
        )

    async def _next_facts(self, view: IncidentView) -> Facts:
        """What the next update may state: as the workflow recorded it, or as it was reported."""
        policy, now = self._deps.policy, self._deps.now()
        case = await self._staff.board.case(view.id, frozenset())
        state = case.state if case is not None else self._reported(view)
        if state.stage is Stage.SUSPECTED:
            state = state.model_copy(update={"stage": Stage.INVESTIGATING})
        due = state.next_update_due
        every = policy.severities[state.severity].update_every
        if due is None and every is not None:
            due = now + every
        notes = await self._staff.notes.texts(state.stated)
        return build_facts(
            state, Moment.UPDATE, state.updates + 1, state.audience, policy, notes,
            self._deps.public_url,
            next_update_at=due, story=story(state, Moment.UPDATE, now),
        )  # fmt: skip

    @staticmethod
    def _reported(view: IncidentView) -> IncidentState:
        return IncidentState(
            id=view.id,
            severity=view.severity,
            stage=Stage.INVESTIGATING,
            category=view.category,
            components=view.components,
            regions=view.regions,
            affected_share=view.affected_share,
            started_at=view.started_at,
            opened_at=view.opened_at,
        )
