"""Which cards and replies staff should see, given an incident as it stands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from pydantic import Field

from domain.card import (
    CONFIRM,
    MAINTENANCE_NUDGES,
    Card,
    Case,
    DraftCard,
    Ended,
    Model,
    Nudge,
    Outcome,
    Reply,
    decide_key,
)
from domain.incident import ACTIVE, IncidentState, Pending, Stage
from domain.maintenance import is_maintenance
from domain.message import CLOSING, Channel, DraftText, DraftVersion, Moment
from domain.plan_assessment import missing_facts
from domain.policy import Policy
from domain.step import Step

Preview = Callable[[DraftVersion, Channel, str], DraftText]


class Response(Model):
    """How colleagues react: `missing` are facts that nobody has stated, `missed` are targets."""

    acknowledged_at: datetime | None
    missing: tuple[str, ...]
    eta: datetime | None
    extended_since: datetime | None
    war_room: str | None
    missed: tuple[str, ...]


class Asked(Model):
    """Who decides on drafts and who leads, by name; None where the policy names nobody."""

    approver: str | None
    commander: str | None
    response: Response | None = Field(default=None, exclude=True)
    """Stands beside it wherever it is shown."""


def asked(state: IncidentState, policy: Policy) -> Asked:
    """Who is asked now, with hand-overs and escalations counted."""
    step = Step(state, state.opened_at, policy)
    level = state.pending.escalation_level if state.pending else 0
    active = state.stage in ACTIVE
    return Asked(
        approver=step.approver(level),
        commander=step.commander() or None,
        response=_response(state) if active or state.acknowledged_at is not None else None,
    )


def _response(state: IncidentState) -> Response:
    # Whoever reads it sees by `eta` whether the expected end has passed.
    active = state.stage in ACTIVE
    return Response(
        acknowledged_at=state.acknowledged_at,
        missing=missing_facts(state, state.opened_at) if active else (),
        eta=state.eta,
        extended_since=state.extended_since if active else None,
        war_room=state.war_room or None,
        missed=state.missed,
    )


def cards(case: Case, public_url: str, users: Policy, preview: Preview) -> list[Card | Reply]:
    """What staff should be shown now, questions before what is said under them.

    A question that was never shown is not shown once it is over. `users` is the policy that maps
    names to the chat's ids.
    """
    desk = _Desk(case, public_url, users, preview)
    return [*desk.questions(), *desk.replies()]


class _Desk:
    """Makes the cards of one case."""

    def __init__(self, case: Case, public_url: str, users: Policy, preview: Preview) -> None:
        self._case, self._state = case, case.state
        self._people = users.people
        self._preview = preview
        place = "maintenances" if is_maintenance(case.incident_id) else "incidents"
        self._url = f"{public_url.rstrip('/')}/console/{place}/{case.incident_id}"
        self._asked = asked(case.state, case.policy)

    def questions(self) -> list[Card]:
        case, state = self._case, self._state
        found: list[Card] = []
        if state.stage is Stage.SUSPECTED:
            found.append(self._card(CONFIRM, "confirm", asked=self._asked.commander))
        elif CONFIRM in case.shown:
            found.append(self._card(CONFIRM, "confirm", outcome=self._suspicion()))
        for ended in case.ended:
            key = decide_key(ended.version)
            over = self._card(key, "decide", outcome=_outcome(ended, state))
            about = {"version": ended.version, "moment": ended.moment}
            found.append(over.model_copy(update=about))
        if state.pending is not None and case.draft is not None:
            draft = self._draft(state.pending, case.draft)
            key = decide_key(draft.version)
            suggested = state.pending.suggested
            who = self._asked.commander if suggested else self._asked.approver
            found.append(self._card(key, "decide", who, draft))
        return found

    def replies(self) -> list[Reply]:
        """What still holds of the reminders: nobody is reminded of what is over."""
        state = self._state
        pending = state.pending.draft if state.pending else None
        due = state.promise.due if state.promise else None
        found = []
        for nudge in self._case.nudges:
            about_draft = nudge.kind in ("reminded", "escalated")
            if nudge.kind == "promise_reminder":
                holds = due is not None and nudge.due == due
            elif about_draft:
                holds = nudge.version == pending
            elif nudge.kind in MAINTENANCE_NUDGES:
                holds = not state.over
            else:
                holds = _still_holds(nudge, state, self._case.shown)
            if not holds:
                continue
            found.append(
                Reply(
                    key=f"note/{nudge.key}",
                    under=decide_key(pending) if about_draft and pending is not None else None,
                    kind=nudge.kind,
                    incident_id=self._case.incident_id,
                    title=self._case.title,
                    url=self._url,
                    version=nudge.version,
                    due=nudge.due,
                    asked=nudge.who,
                    mentions=self._mentions(nudge.who),
                    words=nudge.words,
                )
            )
        return found

    def _card(
        self,
        key: str,
        question: Literal["confirm", "decide"],
        asked: str | None = None,
        draft: DraftCard | None = None,
        outcome: Outcome | None = None,
    ) -> Card:
        state = self._state
        return Card(
            key=key,
            question=question,
            incident_id=self._case.incident_id,
            title=self._case.title,
            severity=state.severity,
            stage=state.stage,
            category=state.category,
            components=state.components,
            regions=state.regions,
            reasons=state.reasons,
            affected_share=state.affected_share,
            started_at=state.started_at,
            dry_run=state.dry_run,
            url=self._url,
            asked=asked or None,
            mentions=self._mentions(asked),
            version=draft.version if draft else None,
            moment=draft.moment if draft else None,
            draft=draft,
            outcome=outcome,
        )

    def _draft(self, pending: Pending, draft: DraftVersion) -> DraftCard:
        # Texts of channels that need no approval are out already.
        fallbacks = self._case.policy.delivery.fallbacks(pending.channels)
        shown = (*pending.channels, *fallbacks)
        texts = [t for t in draft.texts if t.channel in shown]
        order = list(Channel)
        locales = self._case.policy.locales
        texts.sort(
            key=lambda t: (
                order.index(t.channel),
                locales.index(t.locale) if t.locale in locales else len(locales),
            )
        )
        return DraftCard(
            version=draft.version,
            hash=draft.hash,
            moment=draft.moment,
            number=draft.number,
            author=draft.author,
            audience_rule=draft.audience_rule,
            channels=pending.channels,
            next_update_at=pending.next_update_at,
            asked_at=pending.asked_at,
            approvals=pending.approvals,
            approvals_needed=pending.approvals_needed,
            findings=draft.findings,
            texts=tuple(self._preview(draft, t.channel, t.locale) for t in texts),
            radius=self._case.radius,
            covers_holding_lines=draft.moment is Moment.INITIAL,
            only_those_told=draft.moment in CLOSING,
            suggested_until=self._state.next_update_due if pending.suggested else None,
            over_cap=self._over_cap(pending),
        )

    def _over_cap(self, pending: Pending) -> float | None:
        step = Step(self._state, self._state.opened_at, self._case.policy)
        over = pending.approvals_needed > 1 and step.over_cap(pending.audience)
        return pending.audience.share_of_customers if over else None

    def _suspicion(self) -> Outcome:
        closing = self._case.suspicion_ended
        if closing is None:
            return Outcome(kind="over")
        if closing.kind == "closed_unconfirmed":
            return Outcome(kind="closed_unconfirmed")
        kind: Literal["confirmed", "dismissed"] = (
            "confirmed" if closing.kind == "confirmed" else "dismissed"
        )
        return Outcome(kind=kind, by=closing.actor, reason=closing.reason)

    def _mentions(self, who: str | None) -> tuple[str, ...]:
        names = [name.strip() for name in (who or "").split(",")]
        return tuple(user for name in names for user in self._people.slack_users(name))


def _still_holds(nudge: Nudge, state: IncidentState, shown: frozenset[str]) -> bool:
    """Whether what a line asks for is still wanted; a line already shown stays as it is."""
    if f"note/{nudge.key}" in shown:
        return True
    if state.stage not in ACTIVE:
        return False
    match nudge.kind:
        case "not_engaged":
            return state.acknowledged_at is None
        case "assessment_missing":
            # Whether an end has passed is another line's concern.
            asked_for = nudge.words.get("missing", "").split(", ")
            return bool({*asked_for} & {*missing_facts(state, state.opened_at)})
        case "extended_entered":
            return state.extended_since is not None
        case "credits_proposed":
            return not state.credits
        case "workaround_wanted":
            return "workaround" not in state.stated
    return True


def _outcome(ended: Ended, state: IncidentState) -> Outcome:
    """What became of a version that was shown."""
    if ended.state == "rejected":
        return Outcome(kind="rejected", by=ended.decided_by, reason=ended.reason or None)
    if ended.state == "approved":
        return Outcome(kind="approved", by=ended.decided_by)
    if ended.state == "sent":
        return Outcome(kind="sent", by=ended.decided_by or ended.allowed_by)
    if ended.newer is not None:
        return Outcome(kind="superseded", version=ended.newer)
    return Outcome(kind="over" if state.over else "withdrawn")


def is_final(shown: Card | Reply) -> bool:
    """Whether it will never change again; a withdrawn version may yet get a successor."""
    if isinstance(shown, Reply):
        return True
    return shown.outcome is not None and shown.outcome.kind != "withdrawn"
