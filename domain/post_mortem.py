"""What humans state for a post-mortem, what of it customers may read, and what may not be told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from domain.message import DraftVersion, Finding
from domain.policy import Policy
from domain.rules.language import guess
from domain.step import STAFF_CHANNELS
from domain.validation import sensitive_findings, validate_draft


def _no_control_characters(text: str) -> str:
    if any((ord(c) < 32 and c not in "\n\r\t") or c == "\x7f" for c in text):
        raise ValueError("allowed: text without control characters")
    return text


_Clean = AfterValidator(_no_control_characters)
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000), _Clean]
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000), _Clean
]
Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), _Clean]
MOST_ACTIONS = 50
# Findings of these rules are no matter of style: a published report cannot be taken back.
SENSITIVE_RULES = frozenset(
    {"address", "customer_name", "internal", "link", "secret", "stack_trace", "ticket_id"}
)
# Past its deadline a post-mortem is asked for so many times; after that it is known to be late.
MOST_ESCALATIONS = 20


class PreventionAction(BaseModel):
    """One step against a repetition; customers read `text` where it is `visible`, nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Line
    owner: Name = ""
    due: date | None = None
    visible: bool = False


class Statement(BaseModel):
    """What a human states; an empty field is not known yet and makes the report shorter.

    `root_cause` is for colleagues only. `error_rate_percent` is the worst share of failed requests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: Words = ""
    cause: Words = ""
    fixed: Words = ""
    root_cause: Words = ""
    error_rate_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    prevention: Annotated[tuple[PreventionAction, ...], Field(max_length=MOST_ACTIONS)] = ()

    def for_customers(self) -> dict[str, str]:
        """The customers' words by key of a fact; nothing that is for colleagues only."""
        steps = " ".join(_sentence(a.text) for a in self.prevention if a.visible)
        words = {
            "summary": self.summary, "cause": self.cause, "fixed": self.fixed, "prevention": steps,
        }  # fmt: skip
        return {key: text for key, text in words.items() if text}

    def for_colleagues(self) -> dict[str, str]:
        """The whole of it: the root cause as it is, every step with its owner and date."""
        steps = "\n".join(_step(action) for action in self.prevention)
        words = self.for_customers()
        words |= {"cause": self.root_cause or self.cause, "prevention": steps}
        return {key: text for key, text in words.items() if text}

    def published_words(self) -> Iterable[tuple[str, str]]:
        """Where each text stands that customers will read."""
        for field in ("summary", "cause", "fixed"):
            yield field, getattr(self, field)
        for index, action in enumerate(self.prevention):
            if action.visible:
                yield f"prevention.{index}.text", action.text


def statement_findings(
    statement: Statement, policy: Policy, customers: Iterable[str]
) -> tuple[Finding, ...]:
    """What customers must not read in the parts that they would; `where` is field and offset."""
    named = tuple(customers)
    return tuple(
        finding.model_copy(update={"where": f"{field}:{finding.where.rpartition(':')[2]}"})
        for field, text in statement.published_words()
        if text
        for finding in _sensitive(text, policy, named)
    )


def redacted(
    notes: Sequence[str], policy: Policy, customers: Iterable[str]
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The earlier words to customers that may stand in a report, and why paragraphs were left out.

    A paragraph with something sensitive in it is left out as a whole; `where` says which it was.
    """
    named, kept, findings = tuple(customers), [], []
    for number, note in enumerate(notes, start=1):
        paragraphs = [p.strip() for p in note.replace("\r\n", "\n").split("\n\n")]
        fit = []
        for index, paragraph in enumerate((p for p in paragraphs if p), start=1):
            found = _sensitive(paragraph, policy, named)
            where = f"update {number}, paragraph {index}"
            findings += [f.model_copy(update={"where": where}) for f in found]
            if not found:
                fit.append(paragraph)
        if fit:
            kept.append("\n\n".join(fit))
    return tuple(kept), tuple(findings)


def unpublishable(
    draft: DraftVersion, policy: Policy, customers: Iterable[str]
) -> tuple[Finding, ...]:
    """What keeps an approved report from being published, whoever let it through until here."""
    read = tuple(text for text in draft.texts if text.channel not in STAFF_CHANNELS)
    found = validate_draft(draft.model_copy(update={"texts": read}), policy, customers)
    return tuple(finding for finding in found if finding.rule in SENSITIVE_RULES)


def nudges(
    due: datetime | None, remind_before: Iterable[timedelta], escalate_every: timedelta | None
) -> tuple[datetime, ...]:
    """When somebody is asked for a post-mortem: before its deadline, at it, and after it."""
    if due is None:
        return ()
    before = (due - lead for lead in remind_before)
    late: tuple[datetime, ...] = ()
    if escalate_every:
        late = tuple(due + n * escalate_every for n in range(MOST_ESCALATIONS))
    return tuple(sorted({*before, *late}))


def _sensitive(text: str, policy: Policy, customers: tuple[str, ...]) -> tuple[Finding, ...]:
    locale = guess(text, policy.tone.stop_words) or policy.locales[0]
    return sensitive_findings(text, policy, customers, locale)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "。", "\uff01", "\uff1f")) else f"{text}."


def _step(action: PreventionAction) -> str:
    about = (action.owner, f"{action.due:%Y-%m-%d}" if action.due else "")
    known = "; ".join(part for part in about if part)
    return f"- {action.text}" + (f" ({known})" if known else "")
