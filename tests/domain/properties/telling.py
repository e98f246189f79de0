"""What words may state and what is owed, by the same pure functions as in the real steps."""

from __future__ import annotations

from datetime import datetime

from domain.credits import band_for
from domain.facts import build_facts, story
from domain.incident import AudienceCount, Draft, IncidentState
from domain.message import Facts
from domain.policy import Policy


def facts_of(
    state: IncidentState, draft: Draft, audience: AudienceCount, policy: Policy, now: datetime
) -> Facts:
    """The facts handed to whoever writes; ids stand in place of sentences."""
    return build_facts(
        state,
        draft.moment,
        draft.number,
        audience,
        policy,
        state.stated,
        "https://status.example",
        stage=draft.stage,
        holding=draft.holding,
        next_update_at=draft.next_update_at,
        story=story(state, draft.moment, now, draft.promised),
    )


def owed(state: IncidentState, policy: Policy, now: datetime) -> dict[str, str]:
    """What an account of each plan is owed by now, in percent of its fee."""
    if policy.credits is None:
        return {}
    length = (state.resolved_at or now) - state.started_at
    bands = {name: band_for(policy.credits, name, length) for name in policy.credits.bands}
    return {name: f"{band.percent.normalize():f}" for name, band in bands.items() if band}
