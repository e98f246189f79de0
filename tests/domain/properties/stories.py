"""Stories drawn by hypothesis: a policy, a pace, a first alert, and what happens then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import strategies as st

from domain.events import Event, ImpactConfirmed
from domain.incident import Stage, TimerKind
from domain.message import Channel
from domain.signal import Severity
from tests.domain.properties.ending import Relapse, bring_to_an_end
from tests.domain.properties.happenings import (
    ACKNOWLEDGE,
    CONFIRM,
    DISMISS,
    FALSE_ALARM,
    PEOPLE,
    POST_MORTEM_NUDGE,
    RESOLVE,
    SPANS,
    Alerts,
    Command,
    Decide,
    Edit,
    Happening,
    LetOut,
    OldButton,
    OptOut,
    Resolve,
    StrayTimer,
    ToldTwice,
    Wait,
    handed_over,
    severity,
    update,
)
from tests.domain.properties.knowing import ApproveCredits, Facts, ResolveOwing
from tests.domain.properties.listeners import CONTACTS
from tests.domain.properties.losses import Restored, RunLost
from tests.domain.properties.policies import GATES, Variant
from tests.domain.properties.world import SECOND, Pace, World


@dataclass(frozen=True)
class Story:
    """All that decides how a world goes: the same story always goes the same way."""

    variant: Variant
    pace: Pace
    first: Alerts
    then: Sequence[Happening]
    relapse: Relapse

    def begin(self) -> World:
        return World(self.variant.policy(), self.first.batch(1), self.pace)

    def live(self) -> World:
        """Play it, and have people bring the incident to its end."""
        world = self.begin()
        for happening in self.then:
            happening.happen(world)
        return bring_to_an_end(world, self.relapse)


severities = st.sampled_from(Severity)
_PLACES = [("payments",), ("dashboard",), ("payments", "dashboard"), ("payments",), ("dashboard",)]
places: st.SearchStrategy[tuple[str, ...]] = st.sampled_from([*_PLACES, ()])
alerts = st.builds(
    Alerts,
    firing=st.sampled_from([1, 0, 2]),
    severity=severities,
    stated=st.booleans(),
    confirms=st.sampled_from([True, True, False]),
    components=places,
    regions=st.sampled_from([(), ("eu",), ("us",)]),
    old=st.sampled_from([False, False, False, True]),
)
first_alerts = st.builds(
    Alerts,
    severity=severities,
    stated=st.booleans(),
    confirms=st.sampled_from([True, True, True, True, False]),
    components=st.sampled_from([*_PLACES, *_PLACES, ()]),
    regions=st.sampled_from([(), ("eu",)]),
    category=st.sampled_from(["local_degradation", "local_degradation", "security"]),
)
updates = st.sampled_from([None, Stage.IDENTIFIED, Stage.MONITORING, Stage.INVESTIGATING])
commands: st.SearchStrategy[Event] = st.one_of(
    updates.map(update),
    severities.map(severity),
    updates.map(update),
    st.sampled_from(
        [RESOLVE, RESOLVE, CONFIRM, CONFIRM, RESOLVE, DISMISS, FALSE_ALARM, POST_MORTEM_NUDGE]
    ),
    st.sampled_from([handed_over("approver"), handed_over("commander"), ACKNOWLEDGE]),
    st.builds(
        ImpactConfirmed,
        by=st.just("bob"),
        components=places,
        severity=st.one_of(st.none(), severities),
    ),
)
decisions: st.SearchStrategy[Happening] = st.one_of(
    st.builds(Decide, by=st.sampled_from(PEOPLE)),
    st.builds(
        Decide,
        decision=st.sampled_from(["approve", "approve", "reject"]),
        by=st.sampled_from(PEOPLE),
        role=st.sampled_from(["approver", "approver", "viewer"]),
        back=st.sampled_from([0, 0, 1, 2]),
        signalled=st.booleans(),
    ),
)
edits = st.builds(
    Edit,
    by=st.sampled_from(PEOPLE),
    back=st.sampled_from([0, 0, 0, 1]),
    invalid=st.booleans(),
    literal=st.booleans(),
    raced=st.booleans(),
)
spans = st.sampled_from([*SPANS, "until something is due", "a rhythm", "a rhythm"])
waits = st.builds(Wait, span=spans)
outages = st.builds(Wait, span=spans, down=st.just(True))
opt_outs = st.builds(
    OptOut,
    who=st.sampled_from([c.name for c in CONTACTS]),
    channel=st.sampled_from([Channel.EMAIL, Channel.IN_APP, Channel.SMS]),
)
facts = st.builds(
    Facts,
    words=st.sampled_from([("cause",), ("workaround",), ("cause", "workaround"), ()]),
    eta=st.sampled_from([None, timedelta(minutes=20), timedelta(hours=2)]),
    share=st.sampled_from([None, None, 0.05, 0.6]),
    began=st.sampled_from([None, None, timedelta(minutes=40), timedelta(hours=5)]),
    take_back=st.sampled_from([False, False, True]),
    raced=st.sampled_from([False, False, True]),
)
owing = st.builds(ResolveOwing, approve=st.sampled_from([True, True, False]), some=st.booleans())
credits: st.SearchStrategy[Happening] = st.one_of(
    owing, st.builds(ApproveCredits, some=st.booleans())
)
_BACK = ["a second", "half a rhythm", "a rhythm", "three rhythms", "past the re-open window"]
restored: st.SearchStrategy[Happening] = st.builds(
    Restored,
    back=st.sampled_from(_BACK),
    down=st.sampled_from([False, False, True]),
    unread=st.booleans(),
)
rare: st.SearchStrategy[Happening] = st.one_of(
    st.sampled_from(TimerKind).map(StrayTimer), opt_outs, st.just(ToldTwice()), st.just(RunLost())
)
losses: st.SearchStrategy[Happening] = st.one_of(
    st.builds(RunLost, down=st.sampled_from([None, "a rhythm", "until something is due"])),
    restored,
)
happenings: st.SearchStrategy[Happening] = st.one_of(
    waits,
    st.sampled_from([LetOut(), LetOut(), OldButton()]),
    alerts,
    st.builds(Command, event=commands, raced=st.sampled_from([False, False, True])),
    decisions,
    # What most stories turn on comes more often than chance would have it.
    st.sampled_from(
        [
            Command(RESOLVE),
            Command(update()),
            Command(severity(Severity.P4)),
            Alerts(firing=0),
            Alerts(),
        ]
    ),
    st.sampled_from([Resolve(), Wait("a rhythm"), Wait("until silence is noticed")]),
    edits,
    outages,
    rare,
    facts,
    credits,
    losses,
)
relapses: st.SearchStrategy[Relapse] = st.sampled_from(["never", "before", "after"])
variants = st.builds(
    Variant,
    base=st.sampled_from(["default", "default", "demo"]),
    gates=st.sampled_from(GATES),
    on_silence=st.sampled_from(["holding", "hold"]),
    four_eyes=st.sampled_from([False, False, True]),
    silent=st.sampled_from(
        [frozenset({Severity.P4}), frozenset({Severity.P3, Severity.P4}), frozenset()]
    ),
)
_DELAYS = st.sampled_from(
    [timedelta(0), SECOND, SECOND, 40 * SECOND, timedelta(minutes=11), timedelta(minutes=50)]
)
paces = st.builds(
    Pace,
    answers=st.one_of(st.just((SECOND,)), st.lists(_DELAYS, min_size=1, max_size=3).map(tuple)),
    invalid=st.sampled_from([(False,), (False, False, True), (True,)]),
    literal=st.sampled_from([(False,), (False, True)]),
    share=st.sampled_from([None, 0.02, 0.2, 0.5]),
)


def _told(then: st.SearchStrategy[Happening]) -> st.SearchStrategy[Sequence[Happening]]:
    """Most often customers hear the start; then enough happens to reach an end and go on behind."""
    opening = st.sampled_from([[LetOut()], [LetOut()], [], [LetOut(), Wait("a rhythm")]])
    rest = st.lists(then, min_size=10, max_size=36)
    return st.builds(lambda first, more: [*first, *more], opening, rest)


stories = st.builds(Story, variant=variants, pace=paces, first=first_alerts, then=_told(happenings))


def losing(loss: st.SearchStrategy[Happening], within: int) -> st.SearchStrategy[Story]:
    """Stories that have a loss among their first happenings."""

    def insert(story: Story, at: int, lost: Happening) -> Story:
        return replace(story, then=[*story.then[:at], lost, *story.then[at:]])

    return st.builds(insert, stories, st.integers(0, within), loss)


# Everything that happens while we are up, our words are ready in time and break no rule.
_UP = st.one_of(
    waits,
    decisions,
    alerts,
    st.builds(Command, event=commands),
    waits,
    st.just(LetOut()),
    st.builds(Edit, by=st.sampled_from(PEOPLE)),
    rare,
    st.just(Resolve()),
    facts,
    credits,
    st.builds(Restored, back=st.sampled_from(_BACK), unread=st.booleans()),
)
prompt_stories = st.builds(
    Story,
    variant=st.builds(
        Variant,
        base=st.sampled_from(["default", "demo"]),
        gates=st.sampled_from([name for name in GATES if name != "all_wait"]),
    ),
    pace=st.builds(Pace, answers=st.sampled_from([(SECOND,), (timedelta(0), SECOND)])),
    first=first_alerts,
    then=_told(_UP),
    relapse=relapses,
)
