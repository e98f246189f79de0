"""How many a back-tested message would reach: counted in a customers file, or assumed.

Mirrors the database's rules of audiences (`adapters/db/audience_sql.py`); a test holds both
against each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from domain.audience import Reach, reach
from domain.backtest_record import Crowd
from domain.customers import DEFAULT_CHANNELS, CustomerRow
from domain.facts import audience_rule
from domain.incident import AudienceCount, IncidentState
from domain.message import PER_ACCOUNT, PER_CONTACT, Channel
from domain.policy import Policy


@dataclass
class _Account:
    """What the contacts of an account say of it; the last non-empty cell rules."""

    plan: str | None = None
    segment: str | None = None
    region: str | None = None
    features: frozenset[str] = frozenset()
    activity: dict[str, datetime] = field(default_factory=dict)
    last_active_at: datetime | None = None
    slack_channel: str | None = None
    teams_webhook: str | None = None
    reachable: list[frozenset[Channel]] = field(default_factory=list)


class Assumed:
    """A made-up base of `accounts` with a contact each; without a share all are affected.

    Chat and SMS depend on who has them, which nobody knows here.
    """

    def __init__(self, accounts: int) -> None:
        self._accounts = accounts

    def __call__(self, state: IncidentState, policy: Policy) -> Crowd:
        share = state.affected_share
        told = round(self._accounts * (1.0 if share is None else share)) if state.components else 0
        count = AudienceCount(
            accounts=told,
            recipients=told,
            active_accounts=self._accounts,
            share_of_customers=share,
        )
        known = {Channel.EMAIL: told, Channel.IN_APP: told}
        return Crowd(audience=count, channels={c: known.get(c) for c in PER_CONTACT | PER_ACCOUNT})


class Counted:
    """Counts in a customers file; the same question again costs nothing."""

    def __init__(self, rows: Iterable[CustomerRow]) -> None:
        accounts: dict[str, _Account] = defaultdict(_Account)
        for row in rows:
            _add(accounts[row.account_id], row)
        self._accounts = tuple(accounts.values())
        self._known: dict[object, Crowd] = {}

    def __call__(self, state: IncidentState, policy: Policy) -> Crowd:
        rule = audience_rule(state, policy)
        # Activity is counted back from the incident, so that an old file still says something.
        window = policy.audience.active_within
        since = state.opened_at - window if window else None
        key = (id(policy), rule.components, rule.regions, since)
        if key not in self._known:
            self._known[key] = self._count(reach(rule, policy), rule.regions, since, policy)
        return self._known[key]

    def _count(
        self, meant: Reach, regions: tuple[str, ...], since: datetime | None, policy: Policy
    ) -> Crowd:
        choice, users, affected, told, recipients = policy.audience, 0, 0, 0, 0
        numbers = dict.fromkeys(PER_CONTACT | PER_ACCOUNT, 0)
        for account in self._accounts:
            if not meant.components or not _uses(account, meant):
                continue
            active = _is_active(account, meant, since, choice.unknown_activity == "include")
            within = _is_within(account, regions, choice.unknown_region == "include")
            users += active
            affected += active and within
            if not (active and within) or account.plan in choice.exclude_plans:
                continue
            told += 1
            recipients += len(account.reachable)
            for channel in _ways(account, policy):
                numbers[channel] += 1
        # Without a region nothing tells the affected from the other users: the share is unknown.
        share = affected / users if users and regions else None
        customers = len(self._accounts)
        count = AudienceCount(
            accounts=told,
            recipients=recipients,
            active_accounts=users,
            share=share,
            share_of_customers=told / customers if customers else None,
        )
        return Crowd(audience=count, channels=dict(numbers))


def _add(account: _Account, row: CustomerRow) -> None:
    for name in ("plan", "segment", "region", "last_active_at", "slack_channel", "teams_webhook"):
        value = getattr(row, name)
        if value is not None:
            setattr(account, name, value)
    if row.features is not None:
        account.features = frozenset(row.features)
    if row.activity is not None:
        account.activity = row.activity
    wanted = frozenset(Channel(name) for name in row.channels or DEFAULT_CHANNELS)
    account.reachable.append(wanted if row.phone else wanted - {Channel.SMS})


def _uses(account: _Account, meant: Reach) -> bool:
    """An account that lists no features uses everything."""
    if not account.features or account.features & set(meant.components):
        return True
    return any(
        c.key in account.features and not account.features & set(c.inside) for c in meant.containers
    )


def _is_active(account: _Account, meant: Reach, since: datetime | None, unknown: bool) -> bool:
    if since is None:
        return True
    seen = [at for key, at in account.activity.items() if key in meant.components]
    last = max(seen, default=account.last_active_at)
    return unknown if last is None else last >= since


def _is_within(account: _Account, regions: tuple[str, ...], unknown: bool) -> bool:
    if not regions:
        return True
    return unknown if account.region is None else account.region in regions


def _ways(account: _Account, policy: Policy) -> Iterable[Channel]:
    """A channel for each recipient that it reaches."""
    sms = account.segment in policy.audience.sms_segments
    for wanted in account.reachable:
        yield from (c for c in wanted & PER_CONTACT if c is not Channel.SMS or sms)
    if account.segment in policy.audience.chat_segments:
        if account.slack_channel:
            yield Channel.SLACK
        if account.teams_webhook:
            yield Channel.TEAMS
