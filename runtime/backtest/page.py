"""The back-test's report as one page: totals, and a timeline for each incident."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from domain.backtest_record import Change, Sent, Told
from domain.message import Moment
from runtime.backtest.report import Report, Total
from runtime.backtest.rows import minutes, share

Words = Mapping[str, Any]
LANE = 40
TIME = "%Y-%m-%d %H:%M"
CLOCK = "%Y-%m-%d %H:%M:%S"


def page(report: Report, content_dir: Path) -> str:
    """The whole report as HTML that needs nothing else."""
    folder = content_dir / "backtest"
    words: Words = yaml.safe_load((folder / "words.yaml").read_text("utf-8"))
    env = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    ignored = {"ignored": report.ignored_signals} if report.ignored_signals else {}
    shortest = minutes(report.shortest_rhythm_seconds) or ""
    tables = [(words["policy_here"], [_total(t, words) for t in report.totals])]
    if report.against is not None:
        tables.append((words["policy_there"], [_total(t, words) for t in report.against_totals]))
    return env.get_template("report.html.j2").render(
        words=words,
        report=report,
        remarks=report.remarks | ignored,
        heads=[head.format(shortest=shortest) for head in words["total"].values()],
        totals=tables,
        incidents=[_incident(told, words) for told in report.incidents],
    )


def _total(total: Total, words: Words) -> list[str]:
    kept = total.promises_kept
    return [
        str(words.get(total.severity, total.severity)),
        str(total.incidents),
        str(total.messages),
        share(kept, kept + total.promises_missed),
        minutes(total.longest_silence_median_seconds) or "-",
        str(total.operator_messages),
        share(total.operator_gaps_in_rhythm, total.operator_gaps_with_rhythm),
        share(total.operator_gaps_in_shortest, total.operator_gaps),
        share(total.operator_unbroken_in_shortest, total.operator_incidents),
        minutes(total.operator_longest_silence_median_seconds) or "-",
        _later(total.first_later_median_seconds, words),
    ]


def _later(seconds: int | None, words: Words) -> str:
    if seconds is None:
        return "-"
    if abs(seconds) < 60:
        return str(words["same"])
    kind = words["later"] if seconds > 0 else words["earlier"]
    return str(kind.format(length=minutes(abs(seconds))))


def _incident(told: Told, words: Words) -> dict[str, Any]:
    other = told.other
    changed = None
    if other is not None:
        changed = [_change(change, words) for change in other.changes]
        if not other.grouped_alike:
            changed.insert(0, words["regrouped"])
    there = None
    if other is not None and (other.severity, other.category) != (told.worst, told.category):
        there = f"{other.severity} {other.category}"
    return {
        "severity": told.worst.value,
        "there": there,
        "title": told.title,
        "line": " · ".join(
            part
            for part in (
                f"{told.started_at:{TIME}} UTC",
                told.category.replace("_", " "),
                ", ".join(told.components),
                ", ".join(told.regions),
                words["recorded"].format(names=", ".join(told.recorded)),
            )
            if part
        ),
        "facts": _facts(told, words),
        "chart": _chart(told, words),
        "changes": changed,
        "rows": [_row(message, words) for message in told.messages],
    }


def _facts(told: Told, words: Words) -> list[str]:
    fact, operator, ours = words["fact"], told.operator, told.thread
    found = [words["remark"][key] for key in told.remarks]
    silence = minutes(told.longest_silence_seconds)
    if ours:
        first = f"{fact['first']}: {ours[0].at:{CLOCK}}"
        later = operator.first_later_seconds if operator else None
        found.append(f"{first} ({_later(later, words)})" if later is not None else first)
    if operator is not None:
        theirs = minutes(operator.longest_silence_seconds)
        found.append(fact["messages"].format(ours=len(ours), theirs=operator.messages))
        found.append(fact["silence"].format(ours=silence, theirs=theirs))
    else:
        found.append(fact["messages_alone"].format(ours=len(ours)))
        found.append(fact["silence_alone"].format(ours=silence))
    states = [promise.state for promise in told.promises if promise.state != "superseded"]
    if states:
        found.append(fact["promises"].format(kept=states.count("kept"), made=len(states)))
    if operator is not None and operator.gaps_in_rhythm is not None and operator.gaps:
        rhythm = minutes(operator.rhythm_seconds)
        kept = operator.gaps_in_rhythm
        found.append(fact["rhythm"].format(kept=kept, made=operator.gaps, rhythm=rhythm))
    if ours:
        size = {"accounts": told.accounts, "recipients": told.recipients}
        found.append(fact["accounts"].format(**size))
    found.append(f"{fact['reasons']}: {'; '.join(told.reasons)}")
    return found


def _chart(told: Told, words: Words) -> dict[str, Any] | None:
    """The lanes as percentages, so that marks keep their size on every screen."""
    ours = told.thread
    others = _within(m for m in told.other.messages if m.to_customers) if told.other else []
    theirs = told.actual
    times = [m.at for m in (*ours, *others)] + [m.at for m in theirs] + [told.started_at]
    times += [told.resolved_at] if told.resolved_at else []
    start, end = min(times), max(times)
    if start == end:
        return None

    def x(at: datetime) -> float:
        # A margin of two percent, so that no mark is cut off.
        return round(2 + 96 * ((at - start) / (end - start)), 2)

    lanes = [_lane("ours", words["lane"]["ours"], ours, x, words)]
    lanes[0]["missed"] = [x(min(p.due, end)) for p in told.promises if p.state == "missed"]
    if told.other is not None:
        lanes.append(_lane("other", words["lane"]["other"], others, x, words))
    if theirs:
        marks = [
            {"x": x(m.at), "label": f"{m.at:{CLOCK}} {m.stage.replace('_', ' ')}"} for m in theirs
        ]
        name = words["lane"]["theirs"]
        lanes.append({"kind": "theirs", "name": name, "marks": marks, "missed": []})
    for number, lane in enumerate(lanes):
        lane["y"] = LANE * number + 24
    began, over = x(told.started_at), x(told.resolved_at or end)
    described = words["chart_desc"].format(
        start=f"{start:{TIME}}", end=f"{end:{TIME}}", ours=len(ours), theirs=len(theirs)
    )
    return {
        "title": words["chart"].format(key=told.key),
        "desc": described,
        "impact": (began, round(max(over - began, 0), 2)),
        "lanes": lanes,
        "height": LANE * len(lanes),
        "start": f"{start:{TIME}}",
        "end": f"{end:{TIME}} UTC",
    }


def _within(messages: Iterable[Sent]) -> list[Sent]:
    """Without the report, which comes days later and would press all else together."""
    return [m for m in messages if m.moment is not Moment.POST_MORTEM]


def _lane(kind: str, name: str, messages: Sequence[Sent], x: Any, words: Words) -> dict[str, Any]:
    marks = [
        {
            "x": x(m.at),
            "holding": m.gate == "holding",
            "label": f"{m.at:{CLOCK}} {_moment(m.moment, words)}, {words['legend'][m.gate]}",
        }
        for m in messages
    ]
    return {"kind": kind, "name": name, "marks": marks, "missed": []}


def _row(message: Sent, words: Words) -> list[str]:
    numbers = message.recipients
    told = (f"{c.replace('_', ' ')} {numbers[c] if numbers[c] is not None else '?'}"
            for c in message.channels)  # fmt: skip
    due = message.next_update_at
    return [
        f"{message.at:{CLOCK}}",
        f"{_moment(message.moment, words)} {message.number}",
        message.stage.value.replace("_", " "),
        f"{words['legend'][message.gate]} ({message.by})",
        ", ".join(told),
        f"{due:%H:%M}" if due else "-",
    ]


def _change(change: Change, words: Words) -> str:
    what = f"{_moment(change.moment, words)} {change.nth}: {words['change'][change.kind]}"
    if change.kind == "channels":
        return f"{what}: {', '.join(change.channels)} → {', '.join(change.other_channels)}"
    at = " → ".join(f"{t:{CLOCK}}" for t in (change.at, change.other_at) if t)
    return f"{what}: {at}"


def _moment(moment: Moment, words: Words) -> str:
    return str(words["moment"].get(moment.value, moment.value.replace("_", " ")))
