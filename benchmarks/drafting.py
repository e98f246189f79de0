"""Milliseconds to write and validate one message with templates, per language.

The facts are the gallery's. The baseline is a bare Jinja2 render of a template of the same size:
the very text of each message, with its facts as variables, compiled before.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jinja2 import Environment, Template

from adapters.drafters.templates import TemplateDrafter
from benchmarks.harness import ROOT, Bench, Figure, median, percentile
from domain.message import Channel, DraftText, Facts, Moment
from domain.policy import Policy
from domain.ports import DraftRequest
from domain.validation import validate_text
from runtime.gallery.cases import PUBLIC_URL, load_cases
from runtime.policy_file import load_policy

CONTENT = ROOT / "content"
CASES = ("P1", "P2")
MOMENTS = (Moment.INITIAL, Moment.UPDATE, Moment.ESCALATION, Moment.RESOLUTION, Moment.POST_MORTEM)
ROUNDS, GOAL_MS = 5, 5.0
BASELINE = "bare Jinja2, same size"
_FACT = re.compile(r"\[\[[^\]]+\]\]|\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Took:
    """Milliseconds of one message: writing, validating, and the bare render beside it."""

    locale: str
    drafting: float
    validating: float
    bare: float

    @property
    def both(self) -> float:
        return self.drafting + self.validating


async def run(bench: Bench) -> list[Figure]:
    """Median and p95 per language, and how it divides into writing and validating."""
    policy = load_policy(CONTENT / "policy" / "default.yaml")
    told, drafter = list(_facts(policy, bench.quick)), TemplateDrafter(CONTENT)
    # A worker writes for months: its first message is not the one to measure.
    await _round(drafter, policy, told)
    found: list[Took] = []
    for number in range(bench.size(ROUNDS, 1)):
        found += await _round(drafter, policy, told)
        bench.say(f"round {number + 1}: {len(found)} messages")
    channels = len(Channel)
    note = f"{len(found)} messages: {len(told)} sets of facts, {channels} channels, warm, in turn"
    return [
        *_figures("one message written and validated", found, note),
        *(
            figure
            for locale in policy.locales
            for figure in _figures(f"in {locale}", [t for t in found if t.locale == locale], "")
        ),
        Figure("of it, writing, p50", median([t.drafting for t in found]), "ms"),
        Figure("of it, validating, p50", median([t.validating for t in found]), "ms"),
    ]


def _facts(policy: Policy, quick: bool) -> Iterator[Facts]:
    cases = load_cases(CONTENT)
    for name in CASES[:1] if quick else CASES:
        for moment in MOMENTS[:2] if quick else MOMENTS:
            yield cases.facts(name, moment, policy, PUBLIC_URL)


async def _round(drafter: TemplateDrafter, policy: Policy, told: Sequence[Facts]) -> list[Took]:
    found = []
    for facts in told:
        for locale in policy.locales:
            for channel in Channel:
                request = DraftRequest(facts=facts, channels=(channel,), locales=(locale,))
                began = time.perf_counter()
                [text] = await drafter.write(request, policy)
                written = time.perf_counter()
                validate_text(text, facts, policy)
                checked = time.perf_counter()
                drafting, validating = written - began, checked - written
                found.append(Took(locale, drafting * 1e3, validating * 1e3, _bare(text) * 1e3))
    return found


def _bare(text: DraftText) -> float:
    """Seconds that Jinja2 alone needs for a text, its HTML and its subject."""
    whole = "\n".join(part for part in (text.subject, text.text, text.html) if part)
    template, values = _as_template(whole)
    began = time.perf_counter()
    said = template.render(values)
    took = time.perf_counter() - began
    if said != whole:
        raise RuntimeError("the bare template does not say the same")
    return took


def _as_template(whole: str) -> tuple[Template, dict[str, str]]:
    values: dict[str, str] = {}

    def variable(m: re.Match[str]) -> str:
        values[f"f{len(values)}"] = m[0]
        return "{{ f" + str(len(values) - 1) + " }}"

    return _PLAIN.from_string(_FACT.sub(variable, whole)), values


_PLAIN = Environment(autoescape=False, keep_trailing_newline=True)


def _figures(name: str, found: Sequence[Took], note: str) -> list[Figure]:
    rows = []
    for label, part in (("p50", 0.5), ("p95", 0.95)):
        both = percentile([t.both for t in found], part)
        bare = percentile([t.bare for t in found], part)
        rows.append(
            Figure(
                f"{name}, {label}", both, "ms", BASELINE, bare, both / bare,
                f"under {GOAL_MS:g} ms", both < GOAL_MS, note,
            )
        )  # fmt: skip
    return rows
