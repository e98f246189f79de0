"""The facts a message may state, drawn from the incident's state: nothing else reaches a draft."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.credits import credit_numbers
from domain.incident import AudienceCount, IncidentState
from domain.message import CLOSING, DraftText, Facts, Moment
from domain.policy import Policy
from domain.ports import AudienceRule

NEXT_UPDATE = "[[time:next_update]]"
# What is approved is told with the end, and again in the report on it.
_TELL_OF_CREDITS = frozenset({Moment.RESOLUTION, Moment.POST_MORTEM})


def audience_rule(state: IncidentState, policy: Policy) -> AudienceRule:
    """Who is meant: customer-facing components with everything below them, and the regions."""
    known = tuple(c for c in state.components if c in policy.component_keys())
    facing = policy.with_children(policy.customer_facing(known))
    return AudienceRule(components=facing, regions=state.regions)


def rule_text(rule: AudienceRule) -> str:
    """The rule in one canonical line, for people and for the hash."""
    where = ",".join(sorted(rule.regions)) or "all"
    return f"components={','.join(sorted(rule.components)) or 'none'} regions={where}"


def story(
    state: IncidentState, moment: Moment, now: datetime, promised: datetime | None = None
) -> dict[str, datetime]:
    """Instants beside those that every message has: `promised` and missed, and the ETA, which is
    none once it has passed."""
    told = {} if promised is None else {"promised": promised}
    if state.eta is not None and state.eta > now and moment not in CLOSING:
        told["eta"] = state.eta
    return told


def build_facts(
    state: IncidentState,
    moment: Moment,
    number: int,
    audience: AudienceCount,
    policy: Policy,
    notes: Mapping[str, str],
    public_url: str,
    *,
    stage: str | None = None,
    holding: bool = False,
    next_update_at: datetime | None = None,
    story: Mapping[str, datetime] | None = None,
) -> Facts:
    """Facts for one moment; what is not known is simply not there. `story` adds instants by key."""
    known = tuple(c for c in state.components if c in policy.component_keys())
    components = policy.customer_facing(known)
    times = {"impact_start": state.started_at}
    numbers: dict[str, float] = {"update_number": number}
    if next_update_at is not None:
        times["next_update"] = next_update_at
    if state.resolved_at is not None:
        times["restored_at"] = state.resolved_at
        minutes = (state.resolved_at - state.started_at).total_seconds() / 60
        # 0 is told as "less than a minute".
        numbers["duration_minutes"] = int(minutes + 0.5)
    times |= story or {}
    stated = dict(notes)
    if moment in _TELL_OF_CREDITS and policy.credits is not None:
        numbers |= credit_numbers(state.credits)
        if state.credits:
            stated["credit_applied"] = policy.credits.applied
    if state.affected_share:
        percent = round(state.affected_share * 100, 1)
        # 100 is told as "all", which nearly all are not.
        numbers["share_percent"] = 99.9 if percent >= 100 > state.affected_share * 100 else percent
    if audience.accounts:
        numbers["accounts"] = audience.accounts
    return Facts(
        incident_id=state.id,
        moment=moment,
        number=number,
        severity=state.severity,
        stage=stage or state.stage,
        category=state.category,
        components=components,
        component_names={
            locale: tuple(
                policy.component(key).names.get(locale)
                or policy.component(key).names.get(policy.locales[0], key)
                for key in components
            )
            for locale in policy.locales
        },
        regions=state.regions,
        times=times,
        numbers=numbers,
        notes=stated,
        links={
            "status": public_url,
            "incident": f"{public_url}/incidents/{state.id}",
        },
        holding=holding,
    )


def draft_hash(texts: Sequence[DraftText], rule: str) -> str:
    """SHA-256 over texts and audience rule, 16 hex digits: what an approval binds to."""
    body = json.dumps(
        [
            rule,
            *sorted((t.channel, t.locale, t.subject or "", t.text, t.html or "") for t in texts),
        ],
        ensure_ascii=False,
    )
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def promise_is_literal(texts: Sequence[DraftText], next_update_at: datetime | None) -> bool:
    """Whether a human wrote the promised time out: then a late approval can't move it."""
    if next_update_at is None:
        return False
    return not any(NEXT_UPDATE in (t.text + (t.html or "")) for t in texts)
