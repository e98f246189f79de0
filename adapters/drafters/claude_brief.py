"""What a model is told: the facts, each with its placeholder, and text from outside as quotes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from babel import Locale

from adapters.drafters.catalog import Catalog
from adapters.drafters.facts import LEVELS, FactWords, clean_note
from adapters.drafters.times import instant
from domain.message import Channel, Facts, Finding, Moment
from domain.policy import Policy
from domain.validation import sensitive_findings

# What the model writes for a channel; whoever passes a message on gets the same words.
FORMS: Mapping[Channel, str] = {
    Channel.EMAIL: "email",
    Channel.STATUS_PAGE: "status_page",
    Channel.SLACK: "chat",
    Channel.TEAMS: "chat",
    Channel.TICKET: "chat",
    Channel.IN_APP: "in_app",
    Channel.SMS: "sms",
    Channel.SOCIAL: "social",
}
LETTERS = frozenset({"email", "status_page", "chat"})
# The report after the end is a human's words already, and executives are told by colleagues.
MOMENTS = frozenset(
    {
        Moment.INITIAL, Moment.UPDATE, Moment.EXTENDED, Moment.ESCALATION, Moment.PARTIAL_RECOVERY,
        Moment.RESOLUTION, Moment.FALSE_ALARM, Moment.CORRECTION,
    }
)  # fmt: skip
_WITH_ETA = frozenset({Moment.UPDATE, Moment.ESCALATION, Moment.PARTIAL_RECOVERY})
_WITH_ADDRESS = frozenset({Moment.RESOLUTION, Moment.FALSE_ALARM, Moment.CORRECTION})
_NOTES = ("message", "cause", "workaround", "fixed", "prevention")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_LONGEST_TITLE = 300
# A title that holds one of these stays here: the model is another company's.
_NOT_TOLD = frozenset({"secret", "address"})
_SHOWN = {
    "impact_start": "since when",
    "restored_at": "when it was restored",
    "next_update": "when the next update comes",
    "promised": "that a promised update did not come, and that we are sorry for it",
    "share_percent": "the share of customers",
    "duration_minutes": "how long it lasted",
}


@dataclass(frozen=True)
class Brief:
    """One language's question: its parts, and per form the placeholders with what they stand for.

    A value of None is a placeholder that stays: it is filled in for each recipient.
    """

    locale: str
    system: tuple[str, ...]
    message: tuple[str, ...]
    values: Mapping[str, Mapping[str, str | None]]


class Briefing:
    """Writes the questions; the fixed part is `content/prompts/draft.md`."""

    def __init__(self, content_dir: Path) -> None:
        prompts = content_dir / "prompts"
        self._rules = (prompts / "draft.md").read_text("utf-8")
        self._again = (prompts / "again.md").read_text("utf-8")
        self._catalog = Catalog(content_dir)

    def brief(
        self,
        facts: Facts,
        policy: Policy,
        locale: str,
        rooms: Mapping[str, int | None],
        alerts: Sequence[str],
    ) -> Brief:
        """The question for one language; `rooms` are the forms, with the characters they have."""
        words = {form: self._words(facts, policy, locale, form) for form in rooms}
        values = {form: _placeholders(form, facts, policy, words[form]) for form in rooms}
        drafts = {
            form: {
                "uses": list(values[form]),
                **({"max_characters": room} if room is not None else {}),
            }
            for form, room in rooms.items()
        }
        fullest = next((words[f] for f in rooms if f in LETTERS), next(iter(words.values())))
        known = [_quoted(title) for title in alerts if _may_be_told(title, policy)]
        parts = [
            _data("facts", self._facts(facts, policy, fullest, values)),
            _data("drafts", drafts),
        ]
        if known:
            parts.append(_data("alerts", known))
        return Brief(
            locale=locale,
            system=(self._rules, _data("house", _house(policy, locale))),
            message=tuple(parts),
            values=values,
        )

    def again(self, drafts: object, findings: Sequence[Finding]) -> str:
        """What is added to a question when the first answer was refused."""
        told = [
            {"where": f.where, "rule": f.rule, "found": f.found, "right": f.suggestion}
            for f in findings
        ]
        return f"{self._again}\n{_data('previous', {'drafts': drafts, 'findings': told})}"

    def _words(self, facts: Facts, policy: Policy, locale: str, form: str) -> FactWords:
        brevity = LEVELS[0] if form in LETTERS else LEVELS[3]
        channel = next(c for c, f in FORMS.items() if f == form)
        return FactWords(facts, policy, self._catalog, locale, channel, brevity)

    def _facts(
        self,
        facts: Facts,
        policy: Policy,
        words: FactWords,
        values: Mapping[str, Mapping[str, str | None]],
    ) -> dict[str, object]:
        listed: list[dict[str, object]] = []
        used = {key: value for form in values.values() for key, value in form.items()}
        for key, value in used.items():
            shown = value if value is not None else _example(key, facts, words.locale)
            listed.append({"placeholder": key, "reads": shown})
        if facts.category == "security":
            listed.append({"fact": "category", "value": "security"})
        elif words.impacts():
            listed.append({"fact": "what customers may notice", "value": words.impacts()})
        for key in _NOTES:
            note = clean_note(facts.notes.get(key, ""))
            if note:
                listed.append({"fact": f"a colleague's note: {key}", "value": note})
        if words.variables()["went_back"]:
            listed.append({"fact": "went_back", "value": True})
        level = self._catalog.words(words.locale).impact_levels.get(facts.severity)
        if level:
            listed.append({"fact": "how serious, for the tone only", "value": level})
        return {
            "moment": facts.moment.value,
            "stage": facts.stage,
            "known": listed,
            "shown": [text for key, text in _SHOWN.items() if key in facts.times | facts.numbers],
        }


def schema(forms: Sequence[str]) -> dict[str, object]:
    """The JSON form of an answer."""
    text: dict[str, object] = {"type": "string"}
    letter = _object({"opening": text, "paragraphs": {"type": "array", "items": text}})
    line = _object({"text": text})
    return _object({form: letter if form in LETTERS else line for form in forms})


def _object(properties: dict[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _placeholders(
    form: str, facts: Facts, policy: Policy, words: FactWords
) -> dict[str, str | None]:
    """What every draft of this form uses, in each language the same; only what is known."""
    moment, letter = facts.moment, form in LETTERS
    found: dict[str, str | None] = {}
    if facts.components:
        found["[[components]]"] = words.affected()
    if words.regions():
        found["[[regions]]"] = words.regions()
    if letter and moment in _WITH_ETA and "eta" in facts.times:
        found["[[time:eta]]"] = None
    if moment is Moment.RESOLUTION and letter:
        if "report" in facts.links:
            found["[[link:report]]"] = None
        elif "report_due" in facts.times:
            found["[[time:report_due]]"] = None
        elif words.report_within():
            found["[[report_within]]"] = words.report_within()
    elif moment is Moment.RESOLUTION and words.duration():
        found["[[duration]]"] = words.duration()
    if moment in _WITH_ADDRESS and form in ("status_page", "chat"):
        found["[[support]]"] = policy.company.support_email
    return found


def _example(key: str, facts: Facts, locale: str) -> str:
    """How a placeholder reads that is filled in for each recipient."""
    kind, _, name = key.strip("[]").partition(":")
    if kind == "link":
        return facts.links[name]
    at = facts.times[name]
    return instant(at, locale, "UTC", at)


def _house(policy: Policy, locale: str) -> dict[str, object]:
    """Who speaks, in which language, and which words customers do not use."""
    jargon = policy.jargon.get("*", {}) | policy.jargon.get(locale, {})
    listed = jargon | policy.tone.avoid.get(locale, {})
    return {
        "company": policy.company.name,
        "language": Locale.parse(locale.replace("-", "_")).get_display_name("en"),
        # A phrase that begins with "-" is one that may be said.
        "avoid": {k: v for k, v in listed.items() if not k.startswith("-")},
    }


def _may_be_told(title: str, policy: Policy) -> bool:
    return not any(f.rule in _NOT_TOLD for f in sensitive_findings(title, policy))


def _quoted(title: str) -> str:
    """A title on one line, without characters that nobody sees, cut short."""
    line = " ".join(_UNSEEN.sub(" ", title).split())
    return line if len(line) <= _LONGEST_TITLE else f"{line[: _LONGEST_TITLE - 1]}…"


def _data(tag: str, value: object) -> str:
    """JSON between tags that nothing in it can close."""
    text = json.dumps(value, ensure_ascii=False)
    for sign in "<>":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f"<{tag}>\n{text}\n</{tag}>"
