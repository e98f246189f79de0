"""A back-test in a terminal: totals, a line per incident, every message where there are few."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from domain.backtest_record import Change, Sent, Told
from runtime.backtest.report import Report, Total

FEW = 5
TITLE = 40


def parts(report: Report) -> Iterator[Any]:
    """What is shown, one table or line after the other."""
    yield {
        "policy": f"{report.policy.name} ({report.policy.hash})",
        **({"against": f"{report.against.name} ({report.against.hash})"} if report.against else {}),
        "signals": report.signals,
        **{key.replace("_", " "): value for key, value in report.assumptions.items()},
    }
    yield [_total_row(total) for total in report.totals]
    if report.against is not None:
        yield "\nUnder the other policy:"
        yield [_total_row(total) for total in report.against_totals]
    yield [_row(told) for told in report.incidents]
    if len(report.incidents) <= FEW:
        for told in report.incidents:
            yield f"\n{told.key}: {told.title}"
            yield [_message_row(message) for message in told.messages]
            if told.other is not None and told.other.changes:
                yield [_change_row(change) for change in told.other.changes]


def minutes(seconds: int | None) -> str | None:
    """A length of time in hours and whole minutes, in seconds below one."""
    if seconds is None:
        return None
    sign, length = "-" if seconds < 0 else "", abs(seconds)
    hours, rest = divmod(length // 60, 60)
    if not length // 60:
        return f"{sign}{length}s"
    return sign + " ".join([f"{hours}h"] * bool(hours) + [f"{rest}m"] * bool(rest))


def share(part: int, whole: int) -> str:
    """A share with its counts; a dash where there was nothing to count."""
    return f"{part}/{whole} ({part / whole:.0%})" if whole else "-"


def _total_row(total: Total) -> dict[str, Any]:
    kept = total.promises_kept
    return {
        "severity": total.severity,
        "incidents": total.incidents,
        "messages": total.messages,
        "promises kept": share(kept, kept + total.promises_missed),
        "silence (median)": minutes(total.longest_silence_median_seconds),
        "operator: messages": total.operator_messages,
        "pauses in rhythm": share(total.operator_gaps_in_rhythm, total.operator_gaps_with_rhythm),
        "in shortest": share(total.operator_gaps_in_shortest, total.operator_gaps),
        "all in shortest": share(total.operator_unbroken_in_shortest, total.operator_incidents),
        "silence (their median)": minutes(total.operator_longest_silence_median_seconds),
        "first later by (median)": minutes(total.first_later_median_seconds),
    }


def _row(told: Told) -> dict[str, Any]:
    operator, customers = told.operator, told.thread
    states = [promise.state for promise in told.promises]
    row: dict[str, Any] = {
        "incident": told.key,
        "title": told.title[:TITLE],
        "severity": told.worst,
        "category": told.category,
        "stage": told.stage,
        "first": f"{customers[0].at:%Y-%m-%d %H:%M}" if customers else "nobody told",
        "last": f"{customers[-1].at:%Y-%m-%d %H:%M}" if customers else None,
        "messages": len(customers),
        "recipients": told.recipients,
        "promises": f"{states.count('kept')}/{len(states) - states.count('superseded')}",
        "silence": minutes(told.longest_silence_seconds),
        "theirs": operator.messages if operator else None,
        "their silence": minutes(operator.longest_silence_seconds) if operator else None,
        "first later by": minutes(operator.first_later_seconds) if operator else None,
    }
    if told.other is not None:
        row["severity there"] = told.other.severity
        row["category there"] = told.other.category
        row["changes"] = len(told.other.changes)
    return row


def _message_row(message: Sent) -> dict[str, Any]:
    numbers = {c.value: "?" if n is None else n for c, n in message.recipients.items()}
    return {
        "at": f"{message.at:%Y-%m-%d %H:%M:%S}",
        "moment": message.moment,
        "to": numbers,
        "gate": message.gate,
        "next update by": f"{message.next_update_at:%H:%M}" if message.next_update_at else None,
    }


def _change_row(change: Change) -> dict[str, Any]:
    return {
        "change": change.kind,
        "moment": f"{change.moment} {change.nth}",
        "here": f"{change.at:%Y-%m-%d %H:%M:%S}" if change.at else None,
        "there": f"{change.other_at:%Y-%m-%d %H:%M:%S}" if change.other_at else None,
        "channels there": change.other_channels,
    }
