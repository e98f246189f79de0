"""Length per channel, as the text will be once its placeholders are filled."""

from __future__ import annotations

import re
from collections.abc import Iterator

from domain.message import Channel, Facts, Finding
from domain.rules.base import PLACEHOLDER, Passage

# As long as a time commonly gets: "21. Nov., 23:30 MEZ (22:30 UTC)".
TIME_LENGTH = 36
NAME_LENGTH = 40
# The alphabet of the cheap SMS, 3GPP TS 23.038, and the part of it behind an escape sign.
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = frozenset("^{}\\[~]|€")
# What X counts as two, by the ranges that its documentation lists as one.
_WIDE = re.compile("[^\u0000-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]")


def filled_length(text: str, facts: Facts) -> int:
    """Characters of a text with its placeholders filled; times and names as long as they get."""

    def stand_in(m: re.Match[str]) -> str:
        kind, _, key = m[1].partition(":")
        if kind == "link":
            return facts.links.get(key, m[0])
        return "x" * {"time": TIME_LENGTH, "name": NAME_LENGTH}.get(kind, len(m[0]))

    return len(PLACEHOLDER.sub(stand_in, text))


def surcharge(text: str, channel: Channel) -> int:
    """What a channel counts beyond one for each character of a text without its placeholders.

    An SMS counts some signs of the GSM alphabet twice, and letters outside Unicode's first plane;
    X counts a letter of a full-width script twice.
    """
    if channel is Channel.SMS:
        gsm = all(c in _GSM or c in _GSM_TWICE for c in PLACEHOLDER.sub("", text))
        return sum(c in _GSM_TWICE if gsm else c > "\uffff" for c in PLACEHOLDER.sub("", text))
    if channel is Channel.SOCIAL:
        return len(_WIDE.findall(text))
    return 0


def counted_length(text: str, facts: Facts, channel: Channel) -> int:
    """The length of a filled text as its channel counts it."""
    return filled_length(text, facts) + surcharge(text, channel)


def length(p: Passage) -> Iterator[Finding]:
    """The text fits its channel."""
    limit = p.policy.length_limits.get(p.channel)
    if p.field != "text" or limit is None:
        return
    size = counted_length(p.raw, p.facts, p.channel)
    if size > limit:
        yield p.finding("length", limit, f"{size} characters", f"at most {limit} characters")
