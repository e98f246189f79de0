"""Facts put into a language: what the templates may use, each thing in words or empty."""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass
from functools import cached_property

from adapters.drafters.amounts import about_share, counted, credit, figure, length, percent
from adapters.drafters.catalog import Catalog
from adapters.drafters.lists import listed
from adapters.drafters.named import named
from adapters.drafters.shorten import shorten
from domain.message import Channel, Facts
from domain.policy import Policy
from domain.rules.language import guess
from domain.signal import Severity

# A fact's label and value; the text gets a colon, the HTML a table row. Never in a human's words,
# because those lose their control characters.
SEPARATOR = "\x1f"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\u2028\u2029]")
_BRACKETS = re.compile(r"\[{2,}|\]{2,}")
_MANY_BREAKS = re.compile(r"\n{3,}")
# A sentence names no more than these; the list of facts below it names them all.
IN_A_SENTENCE = 4
# A human's words of this length and more are kept where there is room for what may be left out.
_ROOMY = 160
_STAGES = ("suspected", "investigating", "identified", "monitoring", "resolved")


@dataclass(frozen=True)
class Brevity:
    """How much is said: components named, sentences on impact, characters of each human note,
    and whether the regions are named."""

    components: int
    impacts: int
    note_chars: int
    regions: bool = True


# From everything to the bare minimum; a text takes the first that fits its channel. What a human
# wrote about this incident is kept longer than the sentences that are always the same.
LEVELS = (
    Brevity(12, 12, 100_000),
    Brevity(4, 4, 1200),
    Brevity(3, 2, 400),
    Brevity(2, 1, 160),
    Brevity(2, 0, 160),
    Brevity(2, 0, 80),
    Brevity(1, 1, 0),
    Brevity(1, 0, 0),
    Brevity(0, 0, 0),
    Brevity(0, 0, 0, regions=False),
)


def clean_note(text: str) -> str:
    """A human's words as plain text: no control characters, no placeholder brackets."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    text = _CONTROL.sub("", text)
    text = _BRACKETS.sub(lambda m: ("(" if m[0][0] == "[" else ")") * len(m[0]), text)
    lines = (line.rstrip() for line in text.split("\n"))
    return _MANY_BREAKS.sub("\n\n", "\n".join(lines)).strip()


class FactWords:
    """The facts of one moment in one language, at one brevity, for one channel."""

    def __init__(
        self,
        facts: Facts,
        policy: Policy,
        catalog: Catalog,
        locale: str,
        channel: Channel,
        brevity: Brevity,
    ) -> None:
        self._facts = facts
        self._policy = policy
        self._catalog = catalog
        self.locale = locale
        self.channel = channel.value
        self._brevity = brevity
        self._notes: dict[tuple[str, int], str] = {}

    def at(self, brevity: Brevity, channel: Channel | None = None) -> FactWords:
        """The same facts at another brevity; what depends on the language only is kept."""
        # The copy takes along what was worked out before it.
        _ = self._names, self._noticed, self._steady
        other = copy(self)
        other._brevity = brevity
        other.channel = channel.value if channel else self.channel
        return other

    @property
    def names_components(self) -> bool:
        """Whether this brevity has room for the name of a component."""
        return self._brevity.components > 0

    def said(self) -> tuple[object, ...]:
        """All that depends on the brevity: where two are equal, so are their texts."""
        notes = tuple(self.note(key) for key in self._facts.notes)
        parts = (self.names_components, self.components(), self.affected(), self.regions())
        room = self._spare and self._brevity.note_chars >= _ROOMY
        return (parts, notes, room, *self.impacts())

    def variables(self) -> dict[str, object]:
        """Everything a template may name; unknown facts are empty, never undefined."""
        roomy = self._brevity.note_chars >= _ROOMY
        return self._steady | {
            "channel": self.channel,
            "components": self.components(),
            "components_named": self.names_components and bool(self._names),
            "affected": self.affected(),
            "regions": self.regions(),
            "impacts": self.impacts(),
            "room": roomy,
            "note": self.note,
            # What to expect of a maintenance outlasts everything but the times in a short text; a
            # post on social media has the least room.
            "says_impact": roomy or (self.names_components and self.channel != "social"),
            "whole": self.whole,
            "told": self.told,
            "time": self.time,
            "link": self.link,
            "fact": self.fact,
            "number_of": self.number,
        }

    @cached_property
    def _steady(self) -> dict[str, object]:
        facts, company = self._facts, self._policy.company
        return {
            "f": facts,
            "holding": facts.holding,
            "number": facts.number,
            "severity": facts.severity,
            "impact_level": self._catalog.words(self.locale).impact_levels.get(facts.severity, ""),
            "stage": facts.stage,
            "stage_name": self._catalog.stage(facts.stage, self.locale),
            "went_back": self._went_back(),
            "category": facts.category,
            "several": len(self._names) > 1,
            "share": self.share_of("share_percent"),
            "about_share": about_share(facts, self._catalog, self.locale),
            "credit": credit(facts, self._catalog, self.locale),
            "error_rate": self.share_of("error_rate_percent"),
            "accounts": self.number("accounts"),
            "recipients": self.number("recipients"),
            "duration": self.duration(),
            "over": self.length("minutes_over")
            if facts.numbers.get("minutes_over", 0) >= 1
            else "",
            # A short text says when it will be over only where nothing better is to be said. Every
            # language must come to the same answer, so that all state the same facts.
            "spare": facts.notes.keys().isdisjoint(("message", "workaround"))
            and "promised" not in facts.times,
            "moved": facts.notes.get("rescheduled") == "yes",
            "expected": facts.notes.get("impact", ""),
            "report_within": self.report_within(),
            "company": company.name,
            "support": company.support_email,
            "signature": company.signature.get(self.locale) or company.name,
        }

    # What the templates call

    def note(self, key: str) -> str:
        """A human's words, marked as the original wording where they are in another language."""
        asked = (key, self._brevity.note_chars)
        if asked not in self._notes:
            self._notes[asked] = self._noted(*asked)
        return self._notes[asked]

    def _noted(self, key: str, most: int) -> str:
        text = shorten(clean_note(self._facts.notes.get(key, "")), most)
        if not text:
            return ""
        written_in = self._facts.notes.get("locale") or guess(text, self._policy.tone.stop_words)
        if written_in and self._catalog.resolve(written_in) != self._catalog.resolve(self.locale):
            return self._catalog.phrase("original_wording", locale=self.locale, text=text)
        return text

    def whole(self, key: str) -> str:
        """A human's words where they fit uncut: half a piece of advice is worse than none."""
        most = self._brevity.note_chars
        return self.note(key) if len(self._facts.notes.get(key, "")) <= most else ""

    def told(self, label: str, *keys: str) -> str:
        """The first of a human's words behind their label; a list begins below it."""
        text = next(filter(None, map(self.note, keys)), "")
        if text.startswith("- "):
            return f"{label.rstrip()}\n\n{text}"
        return f"{label}{text}" if text else ""

    def time(self, *keys: str) -> str:
        """The first of the times that there is."""
        return next((f"[[time:{k}]]" for k in keys if k in self._facts.times), "")

    def link(self, *keys: str) -> str:
        """The first of the links that there is."""
        return next((f"[[link:{k}]]" for k in keys if k in self._facts.links), "")

    @staticmethod
    def fact(label: str, value: str) -> str:
        """A labelled line; nothing where the value is not known."""
        return f"{label.rstrip()}{SEPARATOR}{value}\n" if value else ""

    def number(self, key: str) -> str:
        value = self._facts.numbers.get(key)
        return "" if value is None else figure(value, self.locale)

    def share_of(self, key: str) -> str:
        value = self._facts.numbers.get(key)
        return "" if value is None else percent(value, self._catalog, self.locale)

    # In words

    @cached_property
    def _names(self) -> tuple[str, ...]:
        names = self._facts.component_names
        chosen = names.get(self.locale) or names.get(self._catalog.resolve(self.locale))
        return chosen or next(iter(names.values()), ())

    def components(self) -> str:
        """Customer-facing names as a list that stands alone, cut to what fits."""
        return self._named(self._brevity.components, "")

    def affected(self) -> str:
        """The names as they stand in a sentence, where a long list would bury the verb."""
        most = self._brevity.components
        # "And one more" would be no shorter than its name.
        if len(self._names) > IN_A_SENTENCE + 1:
            most = min(most, IN_A_SENTENCE)
        return self._named(most, "_affected")

    def _named(self, most: int, form: str) -> str:
        names = self._names
        if not names or most == 0:
            phrase = "several_services" if len(names) > 1 else "our_service"
            return self._catalog.phrase(phrase, locale=self.locale)
        return named(names, most, self._catalog, self.locale, form)

    def regions(self) -> str:
        keys = self._facts.regions if self._brevity.regions else ()
        names = [self._catalog.region(key, self.locale) for key in keys]
        return listed(names, self.locale)

    def impacts(self) -> list[str]:
        """What customers notice, one sentence per component, without repeats."""
        return self._noticed[: self._brevity.impacts]

    @cached_property
    def _noticed(self) -> list[str]:
        by_key = {c.key: c for c in self._policy.component_list()}
        affected = [by_key[k] for k in self._facts.components if k in by_key]
        # What is said of a component holds for its parts.
        parts = {part.key for whole in affected for part in whole.children}
        found = (c.impact.get(self.locale, "") for c in affected if c.key not in parts)
        return list(dict.fromkeys(s for s in found if s))

    def duration(self) -> str:
        """How long it lasted, in words."""
        return self.length("duration_minutes")

    def length(self, key: str) -> str:
        """A number of minutes in words."""
        minutes = self._facts.numbers.get(key)
        return "" if minutes is None else length(minutes, self._catalog, self.locale)

    def report_within(self) -> str:
        """How long the public report may take by policy; empty where none is published."""
        plan = self._policy.severities.get(Severity(self._facts.severity))
        duty = plan.post_mortem if plan else None
        if duty is None or duty.kind != "public" or duty.within is None:
            return ""
        hours = round(duty.within.total_seconds() / 3600)
        return counted("hour", hours, self._catalog, self.locale)

    @property
    def _spare(self) -> bool:
        """Whether a short text says more where there is room than it must."""
        return not self._facts.notes.keys().isdisjoint(("impact", "cause"))

    def _went_back(self) -> bool:
        """Whether the incident stands at an earlier stage than customers were last told."""
        before = self._facts.notes.get("previous_stage", "")
        now = self._facts.stage
        return before in _STAGES and now in _STAGES and _STAGES.index(now) < _STAGES.index(before)
