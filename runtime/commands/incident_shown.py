"""An incident in plain lines: times to the second, keys as words; scripts use --json."""

from __future__ import annotations

import re
from typing import Any

SHOWN = ("id", "severity", "stage", "title", "components", "started_at", "next_update_due",
         "pending")  # fmt: skip
WORDED = ("stage", "category", "post_mortem")
RFC_3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
# What an incident belongs with, by the API's name; what there is none of has no line.
LINKS = {
    "merged_into": "merged into",
    "merged": "took in",
    "split_from": "split from",
    "split_off": "split off",
}


def short(item: dict[str, Any]) -> dict[str, Any]:
    """One line of a list of incidents."""
    return readable({key: item[key] for key in SHOWN})


def whole(item: dict[str, Any]) -> dict[str, Any]:
    """One incident with its sub-issues and the incidents that it belongs with."""
    shown = readable({k: v for k, v in item.items() if k not in {*LINKS, "sub_issues"}})
    if isinstance(shown.get("response"), dict):
        shown["response"] = readable(shown["response"])
    shown |= {words: item[key] for key, words in LINKS.items() if item.get(key)}
    if item.get("sub_issues"):
        shown["sub-issues"] = "".join(f"\n  {_sub_issue(i)}" for i in item["sub_issues"])
    return shown


def readable(item: dict[str, Any]) -> dict[str, Any]:
    """The same keys with values as a person reads them."""
    pending = item.get("pending")
    if isinstance(pending, dict):
        item = item | {"pending": f"draft {pending['draft']} ({_plain(pending['moment'])})"}
    if isinstance(item.get("audience"), dict):
        told = item["audience"]
        item = item | {"audience": f"recipients {told['recipients']}, accounts {told['accounts']}"}
    worded = {key: _plain(item[key]) for key in WORDED if item.get(key)}
    times = {
        key: f"{value[:10]} {value[11:19]} UTC"
        for key, value in item.items()
        if isinstance(value, str) and RFC_3339_UTC.fullmatch(value)
    }
    return item | worded | times


def _sub_issue(issue: dict[str, Any]) -> str:
    since = readable(issue)["since"]
    alerts = "1 alert" if issue["alerts"] == 1 else f"{issue['alerts']} alerts"
    now = "firing" if issue["firing"] else "quiet"
    return f"{issue['component']}: since {since}, {alerts}, {now}"


def _plain(key: str) -> str:
    return key.replace("_", " ")
