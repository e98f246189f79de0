"""Cards and replies as Slack's messages: at most 50 blocks of at most 3,000 characters.

Every text from outside goes through `mrkdwn`; what is too long is cut with a note.
"""

from __future__ import annotations

import json
from typing import Literal

from adapters.chat.blocks import Block, context, header, instant, joined, plain, section
from adapters.chat.draft_blocks import DraftBlocks
from adapters.chat.mrkdwn import escape, line
from adapters.chat.words import CardWords
from domain.card import Card, Outcome, Reply, digest

MAX_BLOCKS = 50
MAX_FALLBACK = 600
MAX_REASONS = 8
REASON_LENGTH = 500

# What Slack sends back when a button is pressed, and beside it the field with the reason.
ACTIONS: dict[str, Literal["approve", "reject", "confirm", "dismiss"]] = {
    "forewarn_approve": "approve",
    "forewarn_reject": "reject",
    "forewarn_confirm": "confirm",
    "forewarn_dismiss": "dismiss",
}
REASON = "forewarn_reason"
# The last button of a pair says no.
BUTTONS = {
    "decide": ("forewarn_approve", "forewarn_reject"),
    "confirm": ("forewarn_confirm", "forewarn_dismiss"),
}


class Renderer:
    """Turns what staff are shown into a message: its blocks, and the text of its notification."""

    def __init__(self, words: CardWords) -> None:
        self._words = words
        self._drafts = DraftBlocks(words)

    def message(self, shown: Card | Reply) -> tuple[str, list[Block]]:
        """The fallback text and the blocks; none for a reply, which is one line."""
        if isinstance(shown, Reply):
            return self._reply(shown), []
        if shown.outcome is not None:
            return self._over(shown, shown.outcome)
        text = self._words.say(
            f"summary.{shown.question}",
            severity=line(shown.severity),
            title=line(shown.title, 200),
            version=shown.version,
            moment=self._moment(shown),
            url=escape(shown.url),
        )
        return text[:MAX_FALLBACK], self._question(shown)[:MAX_BLOCKS]

    # A question

    def _question(self, card: Card) -> list[Block]:
        say = self._words.say
        head = say(f"header.{card.question}", severity=card.severity, moment=self._moment(card))
        blocks = [header(head), self._facts(card)]
        if card.dry_run:
            blocks.append(section(say("dry_run")))
        if card.draft is not None:
            blocks += self._drafts.blocks(card.draft)
        elif card.reasons:
            reasons = "\n".join(f"• {line(reason)}" for reason in card.reasons[:MAX_REASONS])
            blocks.append(section(reasons))
        blocks.append(self._reason(card))
        blocks.append(self._buttons(card))
        blocks.append(context(say("console", url=escape(card.url))))
        return blocks

    def _facts(self, card: Card) -> Block:
        say, label = self._words.say, self._words.label
        share = f"{card.affected_share:.1%}" if card.affected_share is not None else say("unknown")
        mentions = " ".join(f"<@{user}>" for user in card.mentions)
        asked = f"{line(card.asked)} {mentions}".strip() if card.asked else say("nobody")
        rows = [
            (label("title"), line(card.title)),
            (label("stage"), self._words.name("stages", card.stage)),
            (label("category"), line(card.category.replace("_", " "))),
            (label("components"), joined(card.components) or say("none")),
            (label("regions"), joined(card.regions) or say("all_regions")),
            (label("since"), instant(card.started_at)),
            (label("share"), share),
            (label("asked"), asked),
        ]
        return section("\n".join(f"*{name}*: {value}" for name, value in rows))

    def _reason(self, card: Card) -> Block:
        say = self._words.say
        key = "reason" if card.question == "decide" else "reason_dismiss"
        element = {
            "type": "plain_text_input",
            "action_id": REASON,
            "max_length": REASON_LENGTH,
            "placeholder": plain(say("reason_hint"), 150),
        }
        return {
            "type": "input",
            # Slack keeps what was typed by block, and asks for a new one when a message changes.
            "block_id": f"reason-{digest(card)[:16]}",
            "optional": True,
            "label": plain(say(key), 150),
            "element": element,
        }

    def _buttons(self, card: Card) -> Block:
        value: dict[str, object] = {"incident": card.incident_id}
        yes, no = BUTTONS[card.question]
        offered = [(yes, "primary"), (no, "danger")]
        if card.draft is not None:
            value |= {"draft": card.draft.version, "hash": card.draft.hash}
            if card.draft.findings:
                # A draft that breaks rules cannot be approved: the button would only be refused.
                offered = offered[1:]
        return {
            "type": "actions",
            "elements": [
                {
                    "type": "button",
                    "action_id": action,
                    "style": style,
                    "text": plain(self._words.say(f"buttons.{ACTIONS[action]}"), 75),
                    "value": json.dumps(value, separators=(",", ":")),
                }
                for action, style in offered
            ],
        }

    # Its end, and what is said under it

    def _over(self, card: Card, outcome: Outcome) -> tuple[str, list[Block]]:
        say = self._words.say
        ended = self._outcome(outcome)
        key = "over" if card.question == "decide" else "over_confirm"
        head = say(f"header.{key}", severity=card.severity, moment=self._moment(card))
        title = f"*{self._words.label('title')}*: {line(card.title)}"
        if card.version is not None:
            title += f"\n*{self._words.label('draft')}*: {card.version}"
        text = say(
            "summary.over",
            severity=line(card.severity),
            title=line(card.title, 200),
            outcome=ended,
        )
        blocks = [
            header(head),
            section(title),
            section(ended),
            context(say("console", url=escape(card.url))),
        ]
        return text[:MAX_FALLBACK], blocks

    def _outcome(self, outcome: Outcome) -> str:
        kind: str = outcome.kind
        by = line(outcome.by or self._words.say("nobody"))
        if kind == "sent" and (outcome.by or "").startswith("policy"):
            kind = "sent_by_policy"
        reason = line(outcome.reason, 500) if outcome.reason else self._words.say("no_reason")
        return self._words.say(f"outcome.{kind}", by=by, reason=reason, version=outcome.version)

    def _reply(self, reply: Reply) -> str:
        who = " ".join(f"<@{user}>" for user in reply.mentions)
        name = line(reply.asked or self._words.say("nobody"))
        said = self._words.say(
            f"replies.{reply.kind}",
            who=f"{who} ({name})" if who else name,
            version=reply.version,
            due=instant(reply.due) if reply.due else "",
            url=escape(reply.url),
            account=line(reply.account or ""),
        )
        # Under its card it is plain which incident is meant.
        return said if reply.under else f"*{line(reply.title)}*\n{said}"

    def _moment(self, card: Card) -> str:
        return self._words.name("moments", card.moment) if card.moment else ""
