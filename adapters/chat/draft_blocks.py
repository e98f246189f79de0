"""A draft on its card: whom it would reach, what that touches, and how each text will look."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.chat.blocks import MAX_TEXT, Block, age, context, instant, number, section
from adapters.chat.mrkdwn import line, paragraphs
from adapters.chat.words import CardWords
from domain.card import BlastRadius, ChannelReach, DraftCard

# Slack also limits a message as a whole, so the drafts share what is left beside the facts.
TEXTS_TOGETHER = 8000
SHORTEST_TEXT = 150
MAX_TEXTS = 28
LISTED = 8
MAX_FINDINGS = 5


class DraftBlocks:
    """Turns the draft of a card into blocks."""

    def __init__(self, words: CardWords) -> None:
        self._words = words

    def blocks(self, draft: DraftCard) -> list[Block]:
        """What it says, whom it would reach, which rules it breaks, and how it will look."""
        say, label = self._words.say, self._words.label
        about = say(
            "draft", version=draft.version, author=line(draft.author), hash=line(draft.hash)
        )
        rows = [(label("draft"), about), (label("rule"), line(draft.audience_rule))]
        if draft.next_update_at is not None:
            rows.append((label("next_update"), instant(draft.next_update_at)))
        lines = [f"*{name}*: {value}" for name, value in rows]
        if draft.approvals_needed > 1:
            names = ", ".join(line(name) for name in draft.approvals)
            key = "approvals" if draft.approvals else "approvals_none"
            given = len(draft.approvals)
            counted = say(key, given=given, needed=draft.approvals_needed, names=names)
            lines.append(f"*{counted}*")
        if draft.over_cap is not None:
            lines.append(f"*{say('over_cap', share=f'{draft.over_cap:.0%}')}*")
        if draft.suggested_until is not None:
            lines.append(f"_{say('suggested', due=instant(draft.suggested_until))}_")
        blocks = [section("\n".join(lines))]
        blocks += self._reach(draft)
        blocks += self._findings(draft)
        blocks += self._texts(draft)
        if draft.covers_holding_lines:
            blocks.append(section(f"_{say('covers_holding_lines')}_"))
        return blocks

    def _reach(self, draft: DraftCard) -> list[Block]:
        say, label, radius = self._words.say, self._words.label, draft.radius
        reached = [self._channel(channel.value, radius) for channel in draft.channels]
        channels = f"*{label('by_channel')}*: " + "; ".join(reached)
        if radius is None:
            return [section(f"*{label('goes_to')}*: {say('no_audience')}\n{channels}")]
        summary = radius.summary
        lines = [f"_{say('only_those_told')}_"] if draft.only_those_told else []
        goes_to = say(
            "audience",
            recipients=number(summary.recipients),
            accounts=number(summary.accounts),
            active=number(summary.active_accounts),
        )
        lines.append(f"*{label('goes_to')}*: {goes_to}")
        lines.append(channels)
        lines += [
            f"*{label(name)}*: {self._counts(counts)}"
            for name, counts in (
                ("plans", summary.plans),
                ("regions_of", summary.regions),
                ("locales", summary.locales),
            )
        ]
        lines.append(f"*{label('why')}*: {self._counts(summary.reasons)}")
        if summary.exclusions:
            lines.append(f"*{label('excluded')}*: {self._counts(summary.exclusions)}")
        return [section("\n".join(lines)), section(self._stakes(draft, radius))]

    def _stakes(self, draft: DraftCard, radius: BlastRadius) -> str:
        say, label, summary = self._words.say, self._words.label, radius.summary
        key = "value_unknown" if radius.accounts_without_value else "value"
        value = say(key, value=number(radius.value), count=number(radius.accounts_without_value))
        at = summary.data_as_of
        data = say("data_never")
        if at is not None:
            data = say("data", at=instant(at), age=age(draft.asked_at - at))
        lines = [f"*{label('value')}*: {value}", f"*{label('data')}*: {data}"]
        if summary.stale:
            lines.append(say("data_stale", limit=radius.age_limit))
        sample = [
            say(
                "sample",
                account=line(one.account_id, 60),
                address=line(one.address, 80),
                locale=line(one.locale, 20),
                reason=line(one.reason, 100),
            )
            for one in summary.sample[:5]
        ]
        if sample:
            lines.append(f"*{label('sample')}*:\n" + "\n".join(f"• {one}" for one in sample))
        return "\n".join(lines)

    def _channel(self, channel: str, radius: BlastRadius | None) -> str:
        say, name = self._words.say, self._words.name("channels", channel)
        reach: ChannelReach | None = radius.channels.get(channel) if radius else None
        if reach is None:
            return say("everybody", channel=name)
        count = number(reach.reached)
        if not reach.suppressed:
            return say("reached", channel=name, count=count)
        reasons = ", ".join(
            f"{number(n)} {line(self._words.name('reasons', reason))}"
            for reason, n in reach.suppressed.items()
        )
        return say("suppressed", channel=name, count=count, reasons=reasons)

    def _counts(self, counts: Mapping[str, int]) -> str:
        shown = [
            f"{line(self._words.name('exclusions', key), 80)} {number(n)}"
            for key, n in list(counts.items())[:LISTED]
        ]
        if len(counts) > LISTED:
            shown.append(self._words.say("more", count=len(counts) - LISTED))
        return ", ".join(shown) or self._words.say("none")

    def _findings(self, draft: DraftCard) -> list[Block]:
        if not draft.findings:
            return []
        lines = [f":warning: *{self._words.label('findings')}*"]
        lines += [
            f"• {line(f.where, 80)}: {line(f.rule, 60)}, “{line(f.found, 100)}”; "
            f"{line(f.suggestion, 150)}"
            for f in draft.findings[:MAX_FINDINGS]
        ]
        if len(draft.findings) > MAX_FINDINGS:
            lines.append(self._words.say("more", count=len(draft.findings) - MAX_FINDINGS))
        return [section("\n".join(lines))]

    def _texts(self, draft: DraftCard) -> list[Block]:
        say, texts = self._words.say, draft.texts[:MAX_TEXTS]
        room = min(MAX_TEXT - 400, max(SHORTEST_TEXT, TEXTS_TOGETHER // max(1, len(texts))))
        blocks: list[Block] = []
        for text in texts:
            name = self._words.name("channels", text.channel)
            head = say("as_it_will_look", channel=name, locale=line(text.locale, 20))
            lines = [f"*{head}*"]
            if text.subject:
                lines.append(line(text.subject, 300))
            lines.append(paragraphs(text.text, room, say("shortened")))
            blocks.append(section("\n".join(lines)))
        if len(draft.texts) > MAX_TEXTS:
            left = say("texts_left_out", count=len(draft.texts) - MAX_TEXTS)
            blocks.append(context(left))
        return blocks
