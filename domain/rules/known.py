"""Which figures the facts and the policy let a text state."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations
from math import ceil, floor, log10

from domain.message import CLOSING, Channel, Facts, Moment
from domain.policy import Policy

_TELL_OF_REPORT = CLOSING | {Moment.POST_MORTEM}
NUMBER = re.compile(
    r"(?<![0-9A-Za-zÀ-ɏ_.,])(?<![0-9A-Za-zÀ-ɏ_]-)\d+(?:[., \u00a0\u202f]\d{3})*(?:[.,]\d+)?"
    r"(?![0-9_])"
)


def known_minutes(facts: Facts, policy: Policy) -> tuple[float, ...]:
    """Lengths of time: stated, between two of the facts' instants, or promised by policy."""
    exact: list[float] = []
    for key, value in facts.numbers.items():
        if key.endswith("minutes") or key.startswith("minutes_"):
            exact.append(value)
        if key.endswith("hours"):
            exact.append(value * 60)
    known = noted(facts)
    for a, b in combinations(facts.times.values(), 2):
        between = abs((a - b).total_seconds()) / 60
        known += [float(floor(between)), float(ceil(between))]
        if facts.moment in _TELL_OF_REPORT:
            exact.append(between)
    for minutes in exact:
        hours = minutes / 60
        rounded = (floor(hours), ceil(hours), round(hours, 1), round(hours * 2) / 2)
        rest = minutes % 60
        known += [minutes, float(floor(minutes)), float(ceil(minutes)), 5.0 * round(minutes / 5)]
        known += [*(h * 60 for h in rounded), rest, float(floor(rest)), float(ceil(rest))]
        # "7 days 11 hours" is told in its parts.
        for whole in (floor(hours), ceil(hours)) if hours >= 24 else ():
            known += [whole // 24 * 1440.0, whole % 24 * 60.0]
        known += [float(floor(minutes) % 1440), float(ceil(minutes) % 1440)]
    plans = policy.severities
    own = [plan for severity, plan in plans.items() if severity == facts.severity]
    for plan in own or plans.values():
        # The report is announced at the end; before, "48 hours" would tell how long it lasts.
        report = plan.post_mortem.within if facts.moment in _TELL_OF_REPORT else None
        for span in (plan.update_every, report):
            known += [span.total_seconds() / 60] if span is not None else []
    return tuple(k for k in known if k > 0)


def known_percentages(facts: Facts) -> list[float]:
    """Shares, as percentages and as people round them."""
    known = noted(facts)
    for key, value in facts.numbers.items():
        if "percent" in key:
            known += [*_rounded(value), round(value, 1), round(value, 2)]
        elif "share" in key or "rate" in key:
            known += [*_rounded(value * 100), round(value * 100, 1)]
    return known


def known_numbers(facts: Facts, policy: Policy, channel: Channel) -> list[float]:
    """Every other figure: counts of things, of updates, and parts of a duration."""
    known = [float(facts.number), float(len(facts.components)), float(len(facts.regions))]
    # "… and 3 more" counts the rest of a list.
    known += [float(n) for n in range(1, max(map(len, facts.component_names.values()), default=0))]
    for key, value in facts.numbers.items():
        known += [*_rounded(value), round(value, 1), round(value, 2)]
        if key.endswith("minutes"):
            known += [value // 60, value % 60, int(value), int(value % 60), round(value / 60, 1)]
        if key.endswith("hours"):
            known += [value * 60]
    known += [float(at.year) for at in facts.times.values()]
    known += noted(facts)
    named = f"{policy.company.name} {facts.incident_id}"
    known += [float(n) for n in re.findall(r"\d+", named)]
    if channel is Channel.INTERNAL:
        known += [float(s.rank) for s in policy.severities]
    return known


def noted(facts: Facts) -> list[float]:
    """Figures in the sentences that a human wrote."""
    notes = (n for n in facts.notes.values() if n)
    return [v for note in notes for m in NUMBER.finditer(note) for v in readings(m[0])]


def _rounded(value: float) -> list[float]:
    """A figure as people round it: 1,247 is "about 1,200" or "1,250", 12.5 is 12 or 13."""
    out = [value, float(floor(value)), float(ceil(value))]
    if value >= 100:
        steps = (10.0 ** floor(log10(value)) / 10, 10.0, 50.0)
        out += [f(value / step) * step for step in steps for f in (floor, ceil)]
    return out


def readings(text: str) -> list[float]:
    """What a written number can mean: comma and point mean opposite things in en and de."""
    bare = re.sub(r"[ \u00a0\u202f]", "", text)
    candidates = {
        bare.replace(",", ""),
        bare.replace(".", "").replace(",", "."),
        bare.replace(",", "."),
    }
    out = []
    for c in candidates:
        try:
            out.append(float(c))
        except ValueError:
            continue
    return out


def close(value: float, known: Iterable[float]) -> bool:
    """Whether a figure is one of the known ones."""
    return any(abs(value - k) < 1e-6 for k in known)
