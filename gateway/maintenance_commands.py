"""What staff can do to planned work: the one way, for the API and the console alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog
from pydantic import BaseModel

from domain.errors import BadInput, FieldError, Refused
from domain.maintenance_advice import Advice, advise
from domain.maintenance_facts import MaintenanceWords
from domain.maintenance_policy import MaintenancePlan
from domain.maintenance_words import withheld
from domain.plan_maintenance import open_maintenance
from domain.policy_base import format_duration
from domain.roles import Role
from gateway.commands import Call
from gateway.deps import Deps
from gateway.maintenance_shapes import (
    CancelBody,
    CompleteBody,
    EscalateBody,
    EscalationAnswer,
    ExtendBody,
    MaintenanceAnswer,
    MaintenanceOut,
    ObjectionBody,
    RescheduleBody,
    ScheduleBody,
    Withheld,
    maintenance_out,
)
from gateway.staff_read import NAMESPACE
from gateway.staff_shapes import Keys, known_places
from gateway.staff_updates import command
from runtime.maintenances import (
    MaintenanceRelay,
    NewMaintenance,
    Objection,
    maintenance_id,
    maintenance_stores,
)
from runtime.relay import TemporalDown
from runtime.staff import staff_stores
from workflows.maintenance_messages import (
    ByInput,
    EndInput,
    EscalateInput,
    ExtendInput,
    MaintenanceResult,
    RescheduleInput,
)

_log = structlog.get_logger(__name__)


class MaintenanceCommands:
    """Checks a command, keeps its words in PostgreSQL and hands its facts to the workflow."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._staff = staff_stores(deps.engine)
        self._work = maintenance_stores(deps.engine)
        self._relay = MaintenanceRelay(deps.engine, deps.temporal, deps.now)

    @property
    def figures(self) -> MaintenancePlan:
        """The policy's section. Raises Refused where the policy plans no maintenance."""
        if self._deps.policy.maintenance is None:
            raise Refused("not_planned", "the policy has no section `maintenance`")
        return self._deps.policy.maintenance

    async def show(self, id_: str) -> MaintenanceOut:
        """One maintenance. Raises NotFound."""
        view = await self._work.store.detail(id_)
        out = maintenance_out(view, self._deps.public_url, self._deps.temporal_ui, NAMESPACE)
        words = MaintenanceWords(
            title=view.case.title, description=view.description, advice=view.advice
        )
        kept_back = tuple(
            Withheld(field=field, rule=f.rule, found=f.found, suggestion=f.suggestion)
            for field, f in withheld(words, self._deps.policy).items()
        )
        return out.model_copy(update={"withheld": kept_back})

    async def schedule(self, call: Call, body: ScheduleBody) -> MaintenanceOut:
        """Plan work; the same request again answers with the same maintenance."""
        call.actor.need(Role.RESPONDER)
        policy, now = self._deps.policy, self._deps.now()
        known_places(policy, body.components, body.regions)
        until = self._checked(body.starts_at, body.ends_at, body.objections_until)
        id_ = maintenance_id(call.request)
        state = open_maintenance(
            id_,
            starts_at=body.starts_at.astimezone(UTC),
            ends_at=body.ends_at.astimezone(UTC),
            impact=body.impact,
            components=tuple(dict.fromkeys(body.components)),
            regions=tuple(dict.fromkeys(body.regions)),
            objections_until=until,
            opened_at=now,
            dry_run=body.dry_run or self._deps.dry_run,
        )
        made = await self._work.store.create(
            NewMaintenance(
                state=state,
                title=body.title,
                description=body.description,
                advice=body.advice,
                by=call.actor.name,
                policy_hash=policy.hash,
                correlation_id=call.correlation_id,
                request=call.request,
            ),
            now,
        )
        if made:
            try:
                await self._relay.start(id_)
            except TemporalDown:
                # Stored for good: the relay loop tells Temporal when it is back.
                _log.warning("maintenance_waits_for_temporal", maintenance_id=id_)
        return await self.show(id_)

    async def begin(self, call: Call, id_: str) -> MaintenanceAnswer:
        """State that the work begins now."""
        return await self._command(call, id_, "begin", ByInput(by=call.actor.name))

    async def on_time(self, call: Call, id_: str) -> MaintenanceAnswer:
        """Answer that it will not overrun."""
        return await self._command(call, id_, "keep_time", ByInput(by=call.actor.name))

    async def reschedule(self, call: Call, id_: str, body: RescheduleBody) -> MaintenanceAnswer:
        """Move it; everybody who was told is told the old and the new times."""
        until = self._checked(body.starts_at, body.ends_at, body.objections_until)
        argument = RescheduleInput(
            by=call.actor.name,
            starts_at=body.starts_at.astimezone(UTC),
            ends_at=body.ends_at.astimezone(UTC),
            objections_until=until,
            note_id=await self._words(call, id_, body.reason),
        )
        return await self._command(call, id_, "reschedule", argument)

    async def extend(self, call: Call, id_: str, body: ExtendBody) -> MaintenanceAnswer:
        """State that it takes longer, until when and why."""
        view = await self._work.store.detail(id_)
        now = self._deps.now()
        known = view.told_end or view.ends_at
        latest = now + self.figures.longest
        if not max(now, known) < body.ends_at <= latest:
            allowed = f"after {_stamp(max(now, known))} and by {_stamp(latest)}"
            raise BadInput(
                "the revised end does not fit",
                [FieldError(field="ends_at", value=_stamp(body.ends_at), allowed=allowed)],
            )
        argument = ExtendInput(
            by=call.actor.name,
            ends_at=body.ends_at.astimezone(UTC),
            note_id=await self._words(call, id_, body.reason),
        )
        return await self._command(call, id_, "extend", argument)

    async def complete(self, call: Call, id_: str, body: CompleteBody) -> MaintenanceAnswer:
        """State that it is over; everybody who was told hears so."""
        note = await self._words(call, id_, body.message)
        return await self._command(
            call, id_, "complete", EndInput(by=call.actor.name, note_id=note)
        )

    async def cancel(self, call: Call, id_: str, body: CancelBody) -> MaintenanceAnswer:
        """Call it off; everybody who was told hears so."""
        note = await self._words(call, id_, body.reason)
        return await self._command(call, id_, "cancel", EndInput(by=call.actor.name, note_id=note))

    async def escalate(self, call: Call, id_: str, body: EscalateBody) -> EscalationAnswer:
        """Open an incident on its components, linked to it."""
        call.actor.need(Role.RESPONDER)
        view = await self._work.store.detail(id_)
        accepted = await self._deps.intake.start_by_human(
            self._deps.policy,
            key=f"{call.request}:{id_}",
            title=body.title or view.case.title,
            description=body.description,
            components=view.case.components,
            regions=view.case.regions,
            severity=body.severity,
            customer_impact=True,
            now=self._deps.now(),
            correlation_id=call.correlation_id,
            dry_run=view.case.dry_run,
            opened_by=call.actor.name,
        )
        if accepted.incident_id is None:
            raise Refused("not_open", "this report was taken as belonging to no incident")
        try:
            await self._deps.relay.relay_now(accepted.incident_id)
        except TemporalDown:
            _log.warning("report_waits_for_temporal", incident_id=accepted.incident_id)
        argument = EscalateInput(by=call.actor.name, incident_id=accepted.incident_id)
        await self._command(call, id_, "escalated", argument)
        return EscalationAnswer(
            id=id_, incident_id=accepted.incident_id, disposition=accepted.disposition
        )

    async def object(self, call: Call, id_: str, body: ObjectionBody) -> Objection:
        """Record an objection that reached a colleague, by reply or by phone."""
        call.actor.need(Role.RESPONDER)
        return await record_objection(
            self._deps, self._relay, id_, account_id=body.account_id, contact_id=None,
            reason=body.reason, source="staff", actor=call.actor.name,
        )  # fmt: skip

    async def advice(self, estimate: timedelta, components: Keys, regions: Keys) -> Advice:
        """Room for surprises, and the quietest hours of those whom it concerns."""
        figures, policy = self.figures, self._deps.policy
        known_places(policy, components, regions)
        now = self._deps.now()
        meant = policy.with_children(policy.customer_facing(tuple(components)))
        readings = await self._work.store.activity(
            meant, regions, timedelta(days=figures.quiet_days), now
        )
        return advise(figures, estimate, readings, now)

    # Helpers

    def _checked(
        self, starts_at: datetime, ends_at: datetime, until: datetime | None
    ) -> datetime | None:
        """Until when customers may object; raises BadInput for a window that does not fit."""
        figures, now, errors = self.figures, self._deps.now(), []
        furthest, latest = now + figures.furthest, starts_at + figures.longest
        if not now <= starts_at <= furthest:
            allowed = f"from now ({_stamp(now)}) to {_stamp(furthest)}"
            errors.append(FieldError(field="starts_at", value=_stamp(starts_at), allowed=allowed))
        if not starts_at < ends_at <= latest:
            longest = format_duration(figures.longest)
            allowed = f"after starts_at ({_stamp(starts_at)}), at most {longest} later"
            errors.append(FieldError(field="ends_at", value=_stamp(ends_at), allowed=allowed))
        if until is not None and not now < until <= starts_at:
            allowed = f"after now ({_stamp(now)}) and by starts_at ({_stamp(starts_at)})"
            errors.append(
                FieldError(field="objections_until", value=_stamp(until), allowed=allowed)
            )
        if errors:
            raise BadInput("these times do not fit", errors)
        if until is None:
            until = starts_at - figures.objections_before
        return until.astimezone(UTC) if until > now else None

    async def _words(self, call: Call, id_: str, text: str | None) -> str | None:
        """The id under which the words for customers are kept."""
        await self._work.store.detail(id_)
        if text is None:
            return None
        return await self._staff.notes.save(
            id_, text, call.actor.name, self._deps.now(), call.request
        )

    async def _command(
        self, call: Call, id_: str, name: str, argument: BaseModel
    ) -> MaintenanceAnswer:
        call.actor.need(Role.RESPONDER)
        view = await self._work.store.detail(id_)
        if not view.case.open and name != "escalated":
            raise Refused(
                "not_open",
                f"this maintenance is {view.case.stage}: nothing can be changed any more",
            )
        done = await command(self._deps, id_, name, argument, MaintenanceResult, call.request)
        await self._staff.audit.append(
            "command", call.actor.name, {"command": name, "stage": done.stage},
            self._deps.now(), id_,
        )  # fmt: skip
        return MaintenanceAnswer(id=id_, **done.model_dump())


async def record_objection(
    deps: Deps,
    relay: MaintenanceRelay,
    id_: str,
    *,
    account_id: str | None,
    contact_id: str | None,
    reason: str,
    source: str,
    actor: str,
) -> Objection:
    """Write an objection and tell its timeline; the same account's again changes nothing."""
    lead = deps.policy.people.roles.get("support_lead", ())
    found, new = await maintenance_stores(deps.engine).objections.object(
        id_,
        account_id=account_id,
        contact_id=contact_id,
        reason=reason,
        source=source,
        fallback=lead[0] if lead else None,
        now=deps.now(),
        actor=actor,
    )
    if new:
        try:
            await relay.tell(found)
        except TemporalDown:
            # Stored for good: the relay loop tells the timeline.
            _log.warning("objection_waits_for_temporal", maintenance_id=id_)
    return found


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
