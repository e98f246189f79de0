"""What every text of a language, or of an incident, is compared with: made ready once."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from domain.message import Channel, Facts
from domain.policy import Policy
from domain.policy_sections import Component
from domain.policy_tone import Span, Tone
from domain.rules.earlier import complete
from domain.rules.known import known_minutes, known_numbers, known_percentages
from domain.rules.lexicon import Lexicon
from domain.rules.phrases import key

T = TypeVar("T")
# The key of words that are jargon in any language.
EVERY_LANGUAGE = "*"


class Remembered(Generic[T]):
    """Makes a thing once for the same objects; it forgets the oldest."""

    def __init__(self, make: Callable[..., T], size: int) -> None:
        self._make, self._size = make, size
        self._made: dict[tuple[int | str, ...], tuple[tuple[object, ...], T]] = {}

    def __call__(self, *of: object) -> T:
        # By identity: a policy is large and holds what has no hash. Kept beside what was made
        # for it, so that no other object takes its identity.
        name = tuple(x if isinstance(x, str) else id(x) for x in of)
        known = self._made.get(name)
        if known is None:
            known = self._made[name] = (of, self._make(*of))
            for old in list(self._made)[: -self._size]:
                self._made.pop(old, None)
        return known[1]


class Words:
    """The words of a policy for texts in one language."""

    def __init__(self, policy: Policy, language: str) -> None:
        tone = complete(policy.tone)
        self.tone, self.language = tone, language
        self.jargon = {**policy.jargon.get(EVERY_LANGUAGE, {}), **policy.jargon.get(language, {})}
        self.avoid = tone.avoid.get(language, {})
        self.overclaim = tone.overclaim.get(language, {})
        self.minimise = tone.minimise.get(language, {})
        self.fractions = tone.fractions.get(language, {})
        self.span: Span | None = tone.spans.get(language)
        blame = tone.blame.get(language)
        self.anyone = frozenset(key(w) for listed in tone.anyone.values() for w in listed)
        self.anyone_written = tuple({w for listed in tone.anyone.values() for w in listed})
        places = _places(policy)
        self.places = tuple(f"place {k}" for k, v in places.items() if any("." in n for n in v))
        # What customers call a part of the service, whatever its name is.
        self.parts = _parts(policy, tone, language)
        services = [s for s in policy.services if re.search(r"[\d_-]", s)]
        self.lexicon = Lexicon(
            {
                "jargon": self.jargon,
                "avoid": self.avoid,
                "overclaim": self.overclaim,
                "minimise": self.minimise,
                "vendors": tone.vendors,
                "before": blame.before if blame else (),
                "after": blame.after if blame else (),
                "fix": tone.fix.get(language, ()),
                "soon": tone.soon.get(language, ()),
                "unsure": tone.unsure.get(language, ()),
                "unaffected": tone.unaffected.get(language, ()),
                "fractions": self.fractions,
                "warm": tone.warm,
                "fixed": tone.fixed,
                "numbered": (*tone.products, *tone.counted),
                "capitals": (*tone.products, *policy.regions),
                "residue": (*tone.residue.get("en", ()), *tone.residue.get(language, ())),
                "greetings": [g for listed in tone.greetings.values() for g in listed],
                "services": services,
                "repair": tone.repair.get(language, ()),
                "informs": tone.informs.get(language, ()),
                "today": tone.today,
                "suppliers": tone.suppliers,
                "partners": tone.partners,
                "disclaims": tone.disclaims,
                "causes": tone.causes.get(language, ()),
                "trouble": tone.trouble.get(language, ()),
                "crowds": tone.crowds,
                "yesterday": tone.yesterday,
                "since": tone.since,
                "hours": tone.hours,
                "roughly": tone.roughly,
                "callers": tone.callers,
                "belonging": tone.belonging,
                "advice": tone.advice.get(language, ()),
                "orders": tone.orders.get(language, ()),
                "limits": tone.limits.get(language, ()),
                "told": tone.told.get(language, ()),
                "failing": tone.failing.get(language, ()),
                "likewise": tone.likewise.get(language, ()),
                "things": tone.things.get(language, ()),
                **{f"part {key}": listed for key, listed in self.parts.items()},
            },
            {
                **{f"place {k}": v for k, v in places.items()},
                "title": tone.titles,
                "given": tone.given_names,
                "company": tone.companies,
            },
        )

    @cached_property
    def joins(self) -> re.Pattern[str]:
        """Where one clause of a folded sentence ends and the next begins."""
        words = "|".join(map(re.escape, self.tone.joins.get(self.language, ())))
        return re.compile(
            rf"[,;()\u2013\u2014、]|\s(?:{words})\s" if words else r"[,;()\u2013\u2014、]"
        )

    @cached_property
    def path(self) -> re.Pattern[str]:
        """What stands right before a supplier that customers use themselves."""
        words = "|".join(map(re.escape, self.tone.paths))
        return re.compile(rf"(?:^|\W)(?:{words or '(?!)'})\W*$")

    @cached_property
    def weekdays(self) -> dict[str, int]:
        """Days of the week by their names in any language; Monday is 0."""
        return {key(n): i for i, names in enumerate(self.tone.weekdays) for n in names}

    @cached_property
    def ordinals(self) -> frozenset[str]:
        """Days of the week that mean something else where they stand alone, as "segunda"."""
        names = [key(n) for listed in self.tone.weekdays for n in listed]
        return frozenset(n for n in names if any(other.startswith(f"{n}-") for other in names))

    @cached_property
    def scales(self) -> dict[str, float]:
        """What a figure is multiplied by, by the word after it."""
        return {key(word): scale for word, scale in self.tone.scales.items()}

    @cached_property
    def units(self) -> dict[str, float]:
        """Seconds by the word for a unit, in this language and in English."""
        listed = [s for s in (self.tone.spans.get("en"), self.span) if s is not None]
        return {key(u): d.total_seconds() for span in listed for u, d in span.units.items()}

    @cached_property
    def masks(self) -> dict[str, int]:
        """Small words, with one bit for each language that has them."""
        out: dict[str, int] = {}
        for bit, listed in enumerate(self.tone.stop_words.values()):
            for word in listed:
                out[word.lower()] = out.get(word.lower(), 0) | 1 << bit
        return out


class Known:
    """What the facts of an incident and its policy let a text say."""

    def __init__(self, facts: Facts, policy: Policy) -> None:
        self._facts, self._policy = facts, policy
        self.components: tuple[Component, ...] = tuple(policy.component_list())
        self.notes = tuple(n for n in facts.notes.values() if n)
        self.minutes = known_minutes(facts, policy)
        self.percentages = known_percentages(facts)
        self._figures: dict[bool, list[float]] = {}

    def figures(self, channel: Channel) -> list[float]:
        """Every figure that is neither a share nor a length of time."""
        internal = channel is Channel.INTERNAL
        if internal not in self._figures:
            self._figures[internal] = known_numbers(self._facts, self._policy, channel)
        return self._figures[internal]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names that a text may use."""
        names = [n for listed in self._facts.component_names.values() for n in listed]
        for component in self.components:
            if component.key in self._facts.components:
                names += [*component.names.values(), *component.impact.values()]
        company = self._policy.company
        ours = (*names, *self._facts.names, company.name, *company.signature.values())
        return tuple(dict.fromkeys(n for n in ours if n.strip()))

    @cached_property
    def blanked(self) -> tuple[str, ...]:
        """The same and the address for customers, the longest first."""
        return tuple(sorted({*self.names, self._policy.company.support_email}, key=len)[::-1])

    @cached_property
    def hosts(self) -> frozenset[str]:
        """Hosts that a link may lead to."""
        hosts = {urlsplit(u).hostname or "" for u in self._facts.links.values()}
        company = self._policy.company
        hosts |= {a.rpartition("@")[2].lower() for a in (company.support_email, company.from_email)}
        return frozenset(h for h in hosts if h)

    @cached_property
    def related(self) -> tuple[Component, ...]:
        """The affected components, those inside them and those around them."""
        keys = set(self._facts.components)
        below = {c.key: {d.key for d in _below(c)} for c in self.components}
        return tuple(
            c
            for c in self.components
            if c.key in keys or below[c.key] & keys or any(c.key in below.get(k, ()) for k in keys)
        )

    @cached_property
    def related_names(self) -> tuple[str, ...]:
        """What they are called, the longest first."""
        return tuple(sorted({n for c in self.related for n in c.names.values()}, key=len)[::-1])

    @cached_property
    def other_names(self) -> tuple[str, ...]:
        """What the other components are called, the longest first."""
        keys = {c.key for c in self.related}
        others = [c for c in self.components if c.key not in keys]
        return tuple(sorted({n for c in others for n in c.names.values()}, key=len)[::-1])


def _below(component: Component) -> list[Component]:
    return [d for c in component.children for d in (c, *_below(c))]


def _parts(policy: Policy, tone: Tone, language: str) -> dict[str, tuple[str, ...]]:
    """Names and common words for each component; nothing of policies that have no such words."""
    listed = tone.parts.get(language)
    if listed is None:
        return {}
    named = {c.key: c.names.get(language) for c in policy.component_list()}
    return {
        key: tuple(dict.fromkeys((*([name] if name else ()), *listed.get(key, ()))))
        for key, name in named.items()
        if name or key in listed
    }


def _places(policy: Policy) -> dict[str, tuple[str, ...]]:
    """What places are called, by region; of a region without a list, its key in capitals."""
    listed = policy.tone.places
    regions = {k: (*listed.get(k, ()), k.upper()) for k in policy.regions}
    return {**listed, **regions}


words_of: Remembered[Words] = Remembered(Words, 64)
known_of: Remembered[Known] = Remembered(Known, 16)
