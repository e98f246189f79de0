"""Claude writes the drafts: asked once per language, checked, asked once more, or not at all.

An incident never waits on a model (PRODUCT 4): whatever goes wrong, the templates' texts go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Protocol

import structlog

from adapters.drafters.claude import Claude, ClaudeSettings
from adapters.drafters.claude_asking import Answers, Asking, Budget, GivenUp, Writing
from adapters.drafters.claude_brief import FORMS, MOMENTS, Brief, Briefing
from adapters.drafters.claude_layout import Layout
from adapters.drafters.frozen import frozen
from domain.message import DraftText, Facts, Finding
from domain.policy import Policy
from domain.ports import DraftRequest

log = structlog.get_logger(__name__)

# A promise is not put at risk: a model gets this part of the time until the next update is due.
_PART_OF_PROMISE = 4
# In fewer characters only the templates know what to leave out.
_LEAST = 60

Judge = Callable[[DraftText, Facts, Policy], Sequence[Finding]]


class Titles(Protocol):
    """What the alerts of an incident were called."""

    async def of(self, incident_id: str) -> tuple[str, ...]: ...


class ClaudeDrafter:
    """Puts a model's words in place of the templates' where they pass every check."""

    name = "claude"

    def __init__(
        self,
        claude: Claude,
        settings: ClaudeSettings,
        briefing: Briefing,
        layout: Layout,
        budget: Budget,
        titles: Titles,
        judge: Judge,
        clock: Callable[[], datetime],
    ) -> None:
        self._claude = claude
        self._timeout = settings.timeout
        self._asking = Asking(claude, budget, settings.budget_per_incident, clock)
        self._briefing = briefing
        self._layout = layout
        self._titles = titles
        self._judge = judge
        self._clock = clock

    async def write(
        self, request: DraftRequest, policy: Policy, base: Sequence[DraftText], key: str
    ) -> Writing | None:
        """The drafts in place of `base`, the templates'; None for what a model does not write.

        Never raises. `key` names the request among those of the incident.
        """
        facts = request.facts
        mine = [t for t in base if t.channel in FORMS]
        if facts.holding or facts.moment not in MOMENTS or not mine:
            return None
        writing, began = Writing(facts.incident_id, key), monotonic()
        try:
            async with asyncio.timeout(self._seconds(facts)):
                written = await self._written(facts, policy, mine, writing)
            texts = {(t.channel, t.locale): t for t in (*base, *written)}
            writing.texts = tuple(texts.values())
        except TimeoutError:
            writing.outcome = "timeout"
        except GivenUp as given_up:
            writing.outcome = given_up.reason
        except Exception as error:
            # Nobody retries: the templates write. Without its traceback, whose variables may hold
            # the key.
            writing.outcome = "fault"
            log.warning("model_draft_failed", error=type(error).__name__)
        log.info(
            "model_draft",
            incident_id=facts.incident_id,
            moment=facts.moment.value,
            model=self._claude.model,
            outcome=writing.outcome,
            attempts=writing.attempts,
            seconds=round(monotonic() - began, 2),
        )
        await self._asking.record(writing)
        return writing

    async def aclose(self) -> None:
        """Close the connections to the model."""
        await self._claude.aclose()

    def _seconds(self, facts: Facts) -> float:
        due = facts.times.get("next_update")
        if due is None:
            return self._timeout
        left = (due - self._clock()).total_seconds() / _PART_OF_PROMISE
        return max(min(self._timeout, left), 0.0)

    async def _written(
        self, facts: Facts, policy: Policy, mine: Sequence[DraftText], writing: Writing
    ) -> tuple[DraftText, ...]:
        rooms = [(text, self._layout.room(facts, policy, text)) for text in mine]
        rooms = [(text, room) for text, room in rooms if room is None or room >= _LEAST]
        mine = [text for text, _ in rooms]
        if not mine:
            raise GivenUp("no_room")
        titles = await self._titles.of(facts.incident_id)
        briefs = self._briefs(facts, policy, rooms, titles)
        asked = {locale: (brief, brief.message) for locale, brief in briefs.items()}
        answers = await self._asking.ask(asked, writing)
        texts, found = self._judged(facts, policy, mine, briefs, answers)
        if not found:
            return texts
        writing.findings = tuple(f for listed in found.values() for f in listed)
        again = {}
        for locale, listed in found.items():
            former = {form: words.told for form, words in answers[locale].items()}
            brief = briefs[locale]
            again[locale] = (brief, (*brief.message, self._briefing.again(former, listed)))
        answers |= await self._asking.ask(again, writing)
        texts, found = self._judged(facts, policy, mine, briefs, answers)
        if found:
            raise GivenUp("invalid")
        return texts

    def _briefs(
        self,
        facts: Facts,
        policy: Policy,
        rooms: Sequence[tuple[DraftText, int | None]],
        titles: Sequence[str],
    ) -> dict[str, Brief]:
        forms: dict[str, dict[str, int | None]] = {}
        for text, room in rooms:
            listed, form = forms.setdefault(text.locale, {}), FORMS[text.channel]
            # Of the channels that share a form, the narrowest decides.
            limits = [r for r in (listed.get(form), room) if r is not None]
            listed[form] = min(limits, default=None)
        return {
            locale: self._briefing.brief(facts, policy, locale, listed, titles)
            for locale, listed in forms.items()
        }

    def _judged(
        self,
        facts: Facts,
        policy: Policy,
        mine: Sequence[DraftText],
        briefs: Mapping[str, Brief],
        answers: Answers,
    ) -> tuple[tuple[DraftText, ...], dict[str, tuple[Finding, ...]]]:
        """The drafts laid out, and what is wrong with them by language."""
        found: dict[str, list[Finding]] = {}
        for locale, brief in briefs.items():
            for form, values in brief.values.items():
                words, where = answers[locale][form].all, f"{form}/{locale}/text"
                listed = frozen(words, where, locale, values, facts, policy)
                found.setdefault(locale, []).extend(listed)
        texts = []
        for base in mine:
            form = FORMS[base.channel]
            values = briefs[base.locale].values[form]
            text = self._layout.draft(facts, policy, base, answers[base.locale][form], values)
            texts.append(text)
            found[base.locale] += [*self._broken(text, base, facts, policy)]
        return tuple(texts), {loc: _once(listed) for loc, listed in found.items() if listed}

    def _broken(
        self, text: DraftText, base: DraftText, facts: Facts, policy: Policy
    ) -> Iterator[Finding]:
        """Rules that a draft breaks and the template's does not, so that words can heal them."""
        found = [f for f in self._judge(text, facts, policy) if "/subject:" not in f.where]
        if found:
            same = {(f.rule, f.found) for f in self._judge(base, facts, policy)}
            yield from (f for f in found if (f.rule, f.found) not in same)


def _once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, though it stands in the HTML as well and in several channels."""
    first: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        first.setdefault((finding.rule, finding.found), finding)
    return tuple(first.values())
