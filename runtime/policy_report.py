"""What `policy check` says beside the file itself: words, senders, customers, the whole table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from adapters.base import AdapterSpec
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.policy_check import gate_table
from domain.signal import Severity
from runtime.gallery.check import missing_words

NONE = "none"
# Which kind of adapter carries a channel.
KINDS = {
    Channel.EMAIL: ("email",),
    Channel.IN_APP: ("in_app",),
    Channel.STATUS_PAGE: ("status_page",),
    Channel.SMS: ("sms",),
    Channel.SOCIAL: ("social",),
    Channel.SLACK: ("chat",),
    Channel.TEAMS: ("chat",),
    Channel.INTERNAL: ("internal", "chat"),
    Channel.TICKET: ("helpdesk",),
}
# The source of what people report themselves.
HUMAN = "human"
# A language that is only begun lacks hundreds of lines: the first few say enough.
SHOWN_WORDS = 5

Cells = dict[Severity, dict[Moment, dict[Channel, dict[str, str]]]]


def cells(policy: Policy, content: Path) -> Cells:
    """Of every severity, moment and channel its gate and its template, or "none" for both.

    A template is "missing" where a language of the policy has none.
    """
    written = {moment: _template(policy, content, moment) for moment in Moment}
    return {
        severity: {
            moment: {
                channel: {"gate": gate, "template": NONE if gate == NONE else written[moment]}
                for channel, gate in channels.items()
            }
            for moment, channels in moments.items()
        }
        for severity, moments in gate_table(policy).items()
    }


def complete(table: Cells) -> bool:
    """Whether every cell that is sent has words in every language."""
    return all(
        cell["template"] != "missing"
        for moments in table.values()
        for channels in moments.values()
        for cell in channels.values()
    )


def _template(policy: Policy, content: Path, moment: Moment) -> str:
    folder = content / "templates"
    there = all((folder / locale / f"{moment.value}.j2").is_file() for locale in policy.locales)
    return f"{moment.value}.j2" if there else "missing"


def words_missing(policy: Policy, content: Path) -> Iterator[str]:
    """What no template or catalogue says in a language of the policy, in short."""
    # What stands in the policy file itself is found by `domain.policy_gaps`.
    found = [line for line in missing_words(policy, content) if not line.startswith("policy: ")]
    places: dict[str, list[str]] = {}
    for line in found:
        place, _, what = line.partition(": ")
        places.setdefault(place, []).append(what)
    for place, lines in places.items():
        more = f" and {len(lines) - SHOWN_WORDS} more" if len(lines) > SHOWN_WORDS else ""
        yield f"words: {place}: {'; '.join(lines[:SHOWN_WORDS])}{more}"


def unsendable(policy: Policy, adapters: Iterable[AdapterSpec]) -> Iterator[str]:
    """Channels that messages are routed to and that nothing here can send on."""
    able = {spec.kind for spec in adapters if "send" in spec.roles}
    lost = [c for c in Channel if not able & set(KINDS[c])]
    named = []
    for channel in lost:
        at = [s.value for s in Severity if _is_routed(policy, s, channel)]
        if at:
            named.append(f"{channel.value} ({', '.join(at)})")
    if named:
        yield (
            f"routes: no adapter here can send on {', '.join(named)}; "
            "what goes there is recorded as not configured"
        )


def unknown_sources(policy: Policy, adapters: Iterable[AdapterSpec]) -> Iterator[str]:
    """Rules about a monitor that nothing here listens to: they never hold."""
    known = {spec.name for spec in adapters if spec.kind == "monitor"} | {HUMAN}
    for section in ("categorise", "confirm", "classify"):
        for index, rule in enumerate(getattr(policy, section)):
            strange = [name for name in rule.when.sources or () if name not in known]
            if strange:
                yield (
                    f"{section}.{index}.when.sources: nothing here listens to "
                    f"{', '.join(strange)}; there are {', '.join(sorted(known))}"
                )


def _is_routed(policy: Policy, severity: Severity, channel: Channel) -> bool:
    return any(channel in policy.channels(severity, moment) for moment in Moment)
