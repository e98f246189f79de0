"""Asking a model in all languages at once, within an incident's budget, and reading its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Protocol

import structlog
from pydantic import BaseModel, TypeAdapter, ValidationError

from adapters.drafters.claude import MAX_TOKENS, Claude, Reply, Usage
from adapters.drafters.claude_brief import LETTERS, Brief, schema
from adapters.drafters.claude_layout import Words
from domain.errors import Permanent, Transient, Unreachable
from domain.message import DraftText, Finding

log = structlog.get_logger(__name__)

WRITTEN = "written"
# No language has more tokens than half its bytes.
_BYTES_PER_TOKEN = 2
# The first that fits.
_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (Unreachable, "unreachable"),
    (Transient, "transient"),
    (Permanent, "permanent"),
)
_ENDS = {
    "refusal": "refused",
    "max_tokens": "truncated",
    "model_context_window_exceeded": "truncated",
}

Answers = dict[str, dict[str, Words]]


class Budget(Protocol):
    """What the drafts of an incident may cost, whichever worker writes them."""

    async def reserve(
        self, incident_id: str, request: str, model: str, tokens: int, limit: int, now: datetime
    ) -> bool: ...

    async def record(
        self,
        incident_id: str,
        request: str,
        model: str,
        *,
        outcome: str,
        attempts: int,
        unused: int,
        findings: Sequence[Finding],
        now: datetime,
    ) -> None: ...


@dataclass
class Call:
    """One question: what was set aside for it, how long it took, and the answer's cost or failure.

    Without either it was given up while it ran, and may have cost everything.
    """

    reserved: int
    seconds: float = 0.0
    usage: Usage | None = None
    failure: str | None = None

    @property
    def unused(self) -> int:
        """Tokens to give back."""
        if self.usage is not None:
            return self.reserved - self.usage.read - self.usage.written
        return self.reserved if self.failure else 0


@dataclass
class Writing:
    """How one draft went: `written`, or why the templates write it; and what it took.

    `findings` are those of the first attempt.
    """

    incident_id: str
    key: str
    outcome: str = WRITTEN
    texts: tuple[DraftText, ...] | None = None
    attempts: int = 0
    findings: tuple[Finding, ...] = ()
    calls: list[Call] = field(default_factory=list)


class GivenUp(Exception):
    """No draft of a model this time; the reason in one word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Form(BaseModel):
    """A letter, or a line, as the model answers; more than that is not looked at."""

    opening: str = ""
    paragraphs: tuple[str, ...] = ()
    text: str = ""

    def words(self, form: str) -> Words:
        if form in LETTERS:
            return Words(self.opening, self.paragraphs)
        return Words(self.text)


_ANSWER = TypeAdapter(dict[str, _Form])


class Asking:
    """Questions to Claude; raises GivenUp where there is no whole answer in every language."""

    def __init__(
        self, claude: Claude, budget: Budget, limit: int, clock: Callable[[], datetime]
    ) -> None:
        self._claude = claude
        self._budget = budget
        self._limit = limit
        self._clock = clock

    async def ask(
        self, asked: Mapping[str, tuple[Brief, tuple[str, ...]]], writing: Writing
    ) -> Answers:
        """One question per language, all at once; what it takes is written into `writing`."""
        calls = {
            locale: Call(MAX_TOKENS + _tokens((*brief.system, *message)))
            for locale, (brief, message) in asked.items()
        }
        fits = await self._budget.reserve(
            writing.incident_id,
            writing.key,
            self._claude.model,
            sum(call.reserved for call in calls.values()),
            self._limit,
            self._clock(),
        )
        if not fits:
            raise GivenUp("budget")
        writing.attempts += 1
        writing.calls += calls.values()
        # All are waited for: a call given up half-way may have been paid for.
        found = await asyncio.gather(
            *(self._one(brief, message, calls[loc]) for loc, (brief, message) in asked.items()),
            return_exceptions=True,
        )
        answers: Answers = {}
        for locale, answer in zip(asked, found, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            answers[locale] = answer
        return answers

    async def _one(self, brief: Brief, message: tuple[str, ...], call: Call) -> dict[str, Words]:
        began = monotonic()
        try:
            reply = await self._claude.ask(brief.system, message, schema(tuple(brief.values)))
        except (Permanent, Transient) as error:
            call.failure = next(word for kind, word in _KINDS if isinstance(error, kind))
            log.warning("model_call_failed", reason=error.reason)
            raise GivenUp(call.failure) from None
        finally:
            call.seconds = monotonic() - began
        call.usage = reply.usage
        return _words(reply, brief)

    async def record(self, writing: Writing) -> None:
        """Keep how a draft went."""
        try:
            await self._budget.record(
                writing.incident_id,
                writing.key,
                self._claude.model,
                outcome=writing.outcome,
                attempts=writing.attempts,
                unused=sum(call.unused for call in writing.calls),
                findings=writing.findings,
                now=self._clock(),
            )
        except Exception as error:
            # Nobody retries: what stays set aside makes the budget smaller, never larger.
            log.warning("model_draft_not_recorded", error=type(error).__name__)


def _words(reply: Reply, brief: Brief) -> dict[str, Words]:
    """The answer by form; gives up where it is not whole."""
    if reply.stop_reason != "end_turn":
        raise GivenUp(_ENDS.get(reply.stop_reason, "junk"))
    try:
        read = _ANSWER.validate_json(reply.text)
    except ValidationError:
        raise GivenUp("junk") from None
    words = {form: read[form].words(form) for form in brief.values if form in read}
    if len(words) < len(brief.values) or not all(w.opening.strip() for w in words.values()):
        raise GivenUp("junk")
    return words


def _tokens(texts: Iterable[str]) -> int:
    return sum(len(t.encode()) for t in texts) // _BYTES_PER_TOKEN
