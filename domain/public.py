"""What the public sees of incidents: the texts that were sent, and the states that follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.errors import Permanent
from domain.incident import Stage
from domain.message import CLOSING, Channel, Moment, OutboundMessage
from domain.policy import Policy
from domain.policy_sections import Component
from domain.signal import Severity


class ComponentState(StrEnum):
    """The Statuspage vocabulary, best first."""

    OPERATIONAL = "operational"
    MAINTENANCE = "under_maintenance"
    DEGRADED = "degraded_performance"
    PARTIAL = "partial_outage"
    MAJOR = "major_outage"


class PublicStatus(StrEnum):
    """Where an incident stands in the Statuspage vocabulary."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"
    POSTMORTEM = "postmortem"


_STATES = tuple(ComponentState)
_ENDED = frozenset({Stage.RESOLVED, Stage.CLOSED, Stage.DISMISSED, Stage.FALSE_ALARM})
_OPEN_STATUS = {
    Stage.IDENTIFIED: PublicStatus.IDENTIFIED,
    Stage.MONITORING: PublicStatus.MONITORING,
}


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class AnnouncementText(Model):
    """One language's words; `title` is empty where the channel has no subject.

    `html` is kept as it was sent; pages show `body`, so that no foreign markup reaches them.
    """

    title: str
    body: str
    html: str | None = None


class Announcement(Model):
    """One broadcast as it stands on the status page or in the banner, in every language."""

    broadcast_id: int
    channel: Channel
    moment: Moment
    stage: Stage
    severity: Severity
    components: tuple[str, ...] = ()
    posted_at: datetime
    next_update_at: datetime | None = None
    texts: dict[str, AnnouncementText] = Field(default_factory=dict)

    @property
    def ends(self) -> bool:
        """Whether customers were told that it is over."""
        return self.moment in CLOSING or self.stage in _ENDED

    @property
    def status(self) -> PublicStatus:
        if self.moment is Moment.POST_MORTEM:
            return PublicStatus.POSTMORTEM
        if self.ends:
            return PublicStatus.RESOLVED
        return _OPEN_STATUS.get(self.stage, PublicStatus.INVESTIGATING)

    def text(self, locale: str, fallback: str) -> AnnouncementText:
        """The words in `locale`, else in the fallback, else in whatever language there is."""
        first = next(iter(self.texts.values()), AnnouncementText(title="", body=""))
        return self.texts.get(locale) or self.texts.get(fallback) or first


class PublicIncident(Model):
    """An incident that the status page announced; `updates` and `banner` are oldest first.

    What it says is what was sent: stage, severity and components come from the announcements.
    `over` is the incident's own word that it ended, for when no closing text was announced.
    `continued_in` names the incident that it was merged into: once that one spoke, this one is
    over, and its readers are led there.
    """

    id: str
    started_at: datetime
    continued_in: str | None = None
    over: bool = False
    over_at: datetime | None = None
    updates: tuple[Announcement, ...]
    banner: tuple[Announcement, ...] = ()

    @property
    def thread(self) -> tuple[Announcement, ...]:
        """The updates without the post-mortem report."""
        return tuple(u for u in self.updates if u.moment is not Moment.POST_MORTEM)

    @property
    def report(self) -> Announcement | None:
        """The published post-mortem, the latest edition."""
        found = [u for u in self.updates if u.moment is Moment.POST_MORTEM]
        return found[-1] if found else None

    @property
    def latest(self) -> Announcement:
        """The word that counts: a report never changes where the incident stands."""
        return (self.thread or self.updates)[-1]

    @property
    def ended(self) -> bool:
        return self.over or self.latest.ends

    @property
    def status(self) -> PublicStatus:
        if not self.ended:
            return self.latest.status
        return PublicStatus.POSTMORTEM if self.report else PublicStatus.RESOLVED

    @property
    def ended_at(self) -> datetime | None:
        """When the all-clear was announced, the last time if it was re-opened."""
        if not self.ended:
            return None
        ends: datetime | None = None
        for update in self.thread:
            ends = (ends or update.posted_at) if update.ends else None
        return ends or self.over_at or self.latest.posted_at

    @property
    def monitoring_at(self) -> datetime | None:
        found = [u.posted_at for u in self.thread if u.status is PublicStatus.MONITORING]
        return found[-1] if found else None

    @property
    def created_at(self) -> datetime:
        return self.updates[0].posted_at

    @property
    def updated_at(self) -> datetime:
        """The last thing that changed on the page: a text, or the end without one."""
        last = self.updates[-1].posted_at
        return max(last, self.ended_at) if self.ended_at else last

    @property
    def severity(self) -> Severity:
        """What is announced now; once over, the worst that was announced."""
        if not self.ended:
            return self.latest.severity
        return min((u.severity for u in self.thread or self.updates), key=lambda s: s.rank)

    @property
    def components(self) -> tuple[str, ...]:
        """What is announced as affected now; once over, everything that was."""
        if not self.ended:
            return self.latest.components
        return tuple(
            dict.fromkeys(key for u in self.thread or self.updates for key in u.components)
        )


def worst(states: Iterable[ComponentState]) -> ComponentState:
    """The worst of some component states; operational for none."""
    return max(states, key=_STATES.index, default=ComponentState.OPERATIONAL)


def visible_components(policy: Policy, keys: Iterable[str]) -> tuple[str, ...]:
    """Component keys as customers see them; keys the policy no longer has are left out."""
    known = policy.component_keys()
    return policy.customer_facing(tuple(k for k in keys if k in known))


def severity_state(policy: Policy, severity: Severity) -> ComponentState:
    return ComponentState(policy.severities[severity].component_status)


def component_states(
    policy: Policy, incidents: Iterable[PublicIncident], in_maintenance: Iterable[str] = ()
) -> dict[str, ComponentState]:
    """Component → the worst of its open incidents (PRODUCT 2), for every visible component.

    An incident on a parent counts for everything below it; a parent shows its worst child.
    `in_maintenance` are the components that planned work is going on at.
    """
    worked_on = policy.with_children(visible_components(policy, in_maintenance))
    hit = dict.fromkeys(worked_on, ComponentState.MAINTENANCE)
    for incident in incidents:
        if incident.ended:
            continue
        state = severity_state(policy, incident.severity)
        for key in policy.with_children(visible_components(policy, incident.components)):
            hit[key] = worst((hit.get(key, ComponentState.OPERATIONAL), state))

    states: dict[str, ComponentState] = {}

    def settle(component: Component) -> ComponentState:
        below = [settle(child) for child in component.children if child.visible]
        state = worst((hit.get(component.key, ComponentState.OPERATIONAL), *below))
        states[component.key] = state
        return state

    for component in policy.components:
        if component.visible:
            settle(component)
    return states


_IMPACTS = ("none", "minor", "major", "critical")


def indicator(policy: Policy, incidents: Iterable[PublicIncident]) -> str:
    """The page's overall indicator: none, minor, major or critical, the worst open impact."""
    impacts = (policy.severities[i.severity].statuspage_impact for i in incidents if not i.ended)
    return max(impacts, key=_IMPACTS.index, default=_IMPACTS[0])


class IncidentPage(Model):
    """Some incidents of the history, and the cursor of the next page."""

    incidents: tuple[PublicIncident, ...]
    next: str | None = None


def component_names(
    policy: Policy, keys: Iterable[str], locale: str, fallback: str
) -> dict[str, str]:
    """Visible key → what customers call it, in the order given."""
    return {
        key: name_of(policy.component(key), locale, fallback)
        for key in visible_components(policy, keys)
    }


def name_of(component: Component, locale: str, fallback: str) -> str:
    names: Mapping[str, str] = component.names
    return names.get(locale) or names.get(fallback) or component.key


class AnnouncementMetadata(Model):
    """What the delivery step puts beside a status page or banner message, for all languages.

    The texts are written for everybody: no recipient's name or zone is filled in.
    """

    class Text(Model):
        subject: str | None = None
        text: str
        html: str | None = None

    broadcast_id: int
    stage: Stage
    severity: Severity
    components: tuple[str, ...] = ()
    next_update_at: datetime | None = None
    texts: dict[str, Text] = Field(min_length=1)
    now: datetime | None = None


class Announcements(Protocol):
    """Where announcements are put up."""

    async def write(self, incident_id: str, announcement: Announcement) -> None:
        """Put up one broadcast's texts; the same broadcast again changes nothing."""
        ...


def announcement_of(message: OutboundMessage, now: datetime) -> Announcement:
    """The announcement that a message asks for. Raises Permanent, since metadata never heals."""
    try:
        meta = AnnouncementMetadata.model_validate(message.metadata)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, e["loc"])) for e in error.errors())
        raise Permanent(f"announcement metadata not usable: {fields}") from None
    return Announcement(
        broadcast_id=meta.broadcast_id,
        channel=message.channel,
        moment=message.moment,
        stage=meta.stage,
        severity=meta.severity,
        components=meta.components,
        posted_at=meta.now or now,
        next_update_at=meta.next_update_at,
        texts={
            locale: AnnouncementText(title=t.subject or "", body=t.text, html=t.html)
            for locale, t in meta.texts.items()
        },
    )


class PublicRecords(Protocol):
    """What the public pages and the banner read."""

    async def current(self, since: datetime) -> tuple[PublicIncident, ...]:
        """Incidents that are not over, and those over since then; newest first."""
        ...

    async def page(self, limit: int, cursor: str | None = None) -> IncidentPage:
        """`limit` incidents by the time of their first announcement, newest first.

        Raises BadInput for a cursor that is not a page's `next`.
        """
        ...

    async def incident(self, incident_id: str) -> PublicIncident | None:
        """One public incident; None for one that the page never announced."""
        ...

    async def heard(self, account_id: str, incident_ids: Iterable[str]) -> frozenset[str]:
        """Those of the incidents whose audience holds the account."""
        ...

    async def mark(self) -> tuple[int | None, datetime | None]:
        """A value that changes whenever the pages or the banner may have changed."""
        ...


class Unsubscribes(Protocol):
    """Where a person's wish to get no more mail is written."""

    async def unsubscribe(self, contact_id: str, at: datetime) -> bool:
        """Suppress mail to the contact's address; False where nothing was left to do."""
        ...
