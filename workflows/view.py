"""What an engineer sees of an incident in the Temporal UI, without reading code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

from domain.incident import IncidentState
from workflows import names
from workflows.messages import StatusView

_KEYS: dict[str, Callable[[str], SearchAttributeKey[Any]]] = {
    "Keyword": SearchAttributeKey.for_keyword,
    "KeywordList": SearchAttributeKey.for_keyword_list,
    "Bool": SearchAttributeKey.for_bool,
    "Datetime": SearchAttributeKey.for_datetime,
}


class View:
    """Keeps search attributes and current details in step with the state."""

    def __init__(self) -> None:
        self._shown: dict[names.SearchAttribute, object] = {}

    def show(self, state: IncidentState) -> None:
        """Upsert what changed: every upsert is an event of the history."""
        values: dict[names.SearchAttribute, object] = {
            names.SEVERITY: str(state.severity),
            names.STAGE: str(state.stage),
            names.CATEGORY: state.category,
            names.COMPONENTS: list(state.components),
            # A suggestion may lapse: nobody is waited for.
            names.AWAITING_APPROVAL: state.pending is not None and not state.pending.suggested,
            names.NEXT_UPDATE_DUE: state.next_update_due,
            names.DRY_RUN: state.dry_run,
        }
        changed = [
            _update(attribute, value)
            for attribute, value in values.items()
            if attribute not in self._shown or self._shown[attribute] != value
        ]
        if changed:
            workflow.upsert_search_attributes(changed)
            self._shown = values
        workflow.set_current_details(details(state))


def status_view(state: IncidentState) -> StatusView:
    """The answer of the query `status`."""
    return StatusView(
        incident_id=state.id,
        severity=state.severity,
        stage=state.stage,
        category=state.category,
        components=state.components,
        regions=state.regions,
        audience_accounts=state.audience.accounts,
        audience_recipients=state.audience.recipients,
        next_update_due=state.next_update_due,
        post_mortem=state.post_mortem,
        dry_run=state.dry_run,
        broadcasts=state.broadcasts,
    )


def scope(state: IncidentState) -> str:
    """Components and regions in a few words."""
    where = f" in {', '.join(state.regions)}" if state.regions else ""
    return (", ".join(state.components) or "no known component") + where


def details(state: IncidentState) -> str:
    """The Markdown an engineer reads first: severity, stage, audience, promise, what is open."""
    due = state.next_update_due
    waiting = (
        f"draft {state.pending.draft} ({state.pending.moment}) "
        + ("is suggested to the commander" if state.pending.suggested else "waits for approval")
        if state.pending
        else "nothing waits for approval"
    )
    dry = " · **dry run**" if state.dry_run else ""
    into = state.merged_into or (state.merging.into if state.merging else None)
    goes_on = f"- Goes on in: {into}\n" if into else ""
    return (
        f"**{state.severity} · {state.stage}** · {state.category}{dry}\n\n"
        f"{goes_on}- Components: {scope(state)}\n"
        f"- Audience: {state.audience.accounts} accounts, {state.audience.recipients} recipients\n"
        f"- Next update promised: {f'{due:%Y-%m-%d %H:%M:%S} UTC' if due else 'none'}\n"
        f"- Approval: {waiting}\n"
        f"- Response: {_response(state)}\n"
        f"- Broadcasts: {state.broadcasts}, alerts firing: {state.firing}\n"
        f"- Post-mortem: {state.post_mortem}"
    )


def _response(state: IncidentState) -> str:
    """Who reacts, what is late, and what is not known yet."""
    parts = []
    if state.acknowledged_at is not None:
        parts.append(f"acknowledged {state.acknowledged_at:%Y-%m-%d %H:%M:%S} UTC")
    else:
        parts.append("nobody has acted yet")
    if state.war_room:
        parts.append(f"war room {state.war_room}")
    if state.extended_since is not None:
        parts.append(f"extended since {state.extended_since:%Y-%m-%d %H:%M:%S} UTC")
    if state.eta is not None:
        parts.append(f"expected end {state.eta:%Y-%m-%d %H:%M} UTC")
    if state.missed:
        parts.append(f"missed targets: {', '.join(state.missed)}")
    return ", ".join(parts)


def _update(attribute: names.SearchAttribute, value: object) -> SearchAttributeUpdate[Any]:
    key = _KEYS[attribute.kind](attribute.name)
    return key.value_unset() if value is None else key.value_set(value)
