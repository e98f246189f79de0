"""Carries out what was clicked in Slack: the staff API's own commands, as often as it takes."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextlib import suppress
from datetime import timedelta
from typing import Literal

import structlog
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import BadInput, NotFound, Permanent, Refused, Transient
from domain.roles import Role
from gateway.auth import Actor
from gateway.commands import Call, Commands
from gateway.deps import Deps
from gateway.slack_people import actor_of, who_may
from gateway.staff_shapes import ConfirmBody, DecisionBody, ReasonBody, StartBody
from runtime.doors import DueAction, Slack, SlackAction, SlackInbox, card_words, chat_line
from runtime.staff import staff_stores

log = structlog.get_logger(__name__)

LOOP_SECONDS = 1.0
AT_ONCE = 50
LONGEST_WAIT = 30.0
# A workflow that is not there may be about to start; after this it is taken to be gone.
UNTIL_GONE = timedelta(minutes=2)
# An answer that Slack did not take for so long is of no use to anybody.
UNTIL_UNTOLD = timedelta(minutes=30)
_UNDONE = frozenset({"superseded", "already_decided", "already_sent"})


class SlackDelivery:
    """Carries out stored actions until each has its outcome, those of an incident in order.

    The same click is carried out once: its id is the id of the workflow's update.
    """

    def __init__(self, deps: Deps, slack: Slack) -> None:
        self._deps = deps
        self._slack = slack
        self._inbox = SlackInbox(deps.engine)
        self._commands = Commands(deps)
        self._staff = staff_stores(deps.engine)
        self._words = card_words()
        self._wake = asyncio.Event()

    async def keep(self, action: SlackAction) -> bool:
        """Store an action and have it carried out soon; False for one that is here already."""
        fresh = await self._inbox.keep(action, self._deps.now())
        self._wake.set()
        return fresh

    async def run_forever(self) -> None:
        """Carry out what waits until cancelled; failures are logged and tried again."""
        while True:
            try:
                async with asyncio.timeout(LOOP_SECONDS * random.uniform(0.5, 1.0)):
                    await self._wake.wait()
            except TimeoutError:
                pass  # time to look for what others stored, and for what was put off
            self._wake.clear()
            try:
                await self.run_once()
            except SQLAlchemyError as error:
                log.warning("slack_actions_wait_for_postgresql", error=type(error).__name__)
            except Exception:
                # The next round tries again: a loop that died would leave decisions undelivered.
                log.exception("slack_delivery_failed")

    async def run_once(self) -> int:
        """One round; returns how many actions were taken up."""
        due = await self._inbox.take(self._deps.now(), AT_ONCE)
        by_incident: dict[str, list[DueAction]] = defaultdict(list)
        for one in due:
            by_incident[one.action.incident_id or one.action.id].append(one)
        await asyncio.gather(*(self._in_order(group) for group in by_incident.values()))
        return len(due)

    async def _in_order(self, group: list[DueAction]) -> None:
        for n, one in enumerate(group):
            answer = one.answer
            if answer is None:
                try:
                    answer = await self._settle(one)
                except Transient as error:
                    # What came after it waits as well, and does not sit out the same silence.
                    for later in group[n:]:
                        await self._put_off(later, error)
                    await self._say_it_waits(one)
                    return
            await self._answer(one, answer)

    async def _answer(self, due: DueAction, answer: str) -> None:
        """Tell the person, where there is anything to tell."""
        action = due.action
        try:
            if answer:
                await self._slack.tell(action.user_id, action.place, answer)
        except Transient as error:
            if self._deps.now() < due.received_at + UNTIL_UNTOLD:
                await self._put_off(due, error)
                return
        except Permanent as error:
            log.warning("slack_answer_refused", action_id=action.id, reason=error.reason)
        await self._inbox.told(action.id, self._deps.now())

    async def _say_it_waits(self, due: DueAction) -> None:
        """Once, so that nobody presses again and again; that it is kept does not depend on it."""
        if due.attempts == 1:
            with suppress(Transient, Permanent):
                action = due.action
                await self._slack.tell(action.user_id, action.place, self._say("waits_longer"))

    async def _settle(self, due: DueAction) -> str:
        """Carry out an action, keep its outcome, and return what the person is to be told."""
        action = due.action
        actor = actor_of(self._deps.policy, action.user_id)
        state: Literal["done", "refused"] = "refused"
        try:
            if actor is None:
                url = chat_line(f"{self._deps.public_url}/console")
                answer = self._say("unknown_user", user=action.user_id, url=url)
            else:
                answer, state = await self._carry_out(actor, due), "done"
        except (Refused, BadInput, NotFound) as error:
            if isinstance(error, NotFound) and self._deps.now() < due.received_at + UNTIL_GONE:
                raise Transient("this incident has no workflow yet") from error
            if actor is not None and await self._was_ours(due, actor, error):
                answer, state = "", "done"
            else:
                answer = self._refusal(action, error)
        await self._inbox.settle(action.id, state, answer, self._deps.now())
        log.info(
            "slack_action_settled",
            action=action.action,
            action_id=action.id,
            incident_id=action.incident_id,
            correlation_id=action.correlation_id,
            state=state,
            attempts=due.attempts,
        )
        return answer

    async def _carry_out(self, actor: Actor, due: DueAction) -> str:
        action = due.action
        call = Call(actor=actor, correlation_id=action.correlation_id, key=action.id)
        incident = action.incident_id or ""
        match action.action:
            case "approve" | "reject":
                actor.need(Role.APPROVER)
                await self._same_version(action)
                if action.action == "reject" and not action.reason:
                    raise BadInput(self._words.say("answers.reject_needs_reason"))
                body = DecisionBody(
                    draft=action.draft or 0, decision=action.action, reason=action.reason
                )
                await self._commands.decide(call, incident, body)
            case "confirm":
                actor.need(Role.RESPONDER)
                await self._commands.confirm(call, incident, ConfirmBody())
            case "dismiss":
                actor.need(Role.RESPONDER)
                await self._commands.dismiss(call, incident, ReasonBody(reason=action.reason))
            case "start":
                actor.need(Role.RESPONDER)
                return await self._start(call, action)
        return ""

    async def _start(self, call: Call, action: SlackAction) -> str:
        """Report a suspected incident: the card that follows asks whether customers feel it."""
        words = {word.strip(".,:;!?()").lower() for word in action.title.split()}
        named = tuple(sorted(self._deps.policy.component_keys() & words))
        body = StartBody(title=action.title[:300], components=named, customer_impact=False)
        started = await self._commands.start(call, body)
        key = "folded" if started.disposition == "folded" else "started"
        url = chat_line(f"{self._deps.public_url}/console/incidents/{started.id}")
        return self._say(key, incident=started.id, url=url, title=chat_line(action.title))

    async def _same_version(self, action: SlackAction) -> None:
        """Refuse a button whose draft is not the one that is kept under its number."""
        view = await self._staff.incidents.draft(action.incident_id or "", action.draft or 0)
        if view.draft.hash != action.hash:
            raise Refused("superseded", f"draft {action.draft} is not what this card showed")

    async def _was_ours(self, due: DueAction, actor: Actor, error: Exception) -> bool:
        """Whether an earlier attempt of this very click succeeded, and only its answer got lost."""
        action = due.action
        if due.attempts < 2 or not isinstance(error, Refused) or error.kind not in _UNDONE:
            return False
        view = await self._staff.incidents.draft(action.incident_id or "", action.draft or 0)
        wanted = "approved" if action.action == "approve" else "rejected"
        return view.decided_by == actor.name and view.decision == wanted

    def _refusal(self, action: SlackAction, error: Refused | BadInput | NotFound) -> str:
        if isinstance(error, BadInput) and not error.errors:
            return str(error)
        reason = chat_line(str(error)).rstrip(".") + "."
        if not isinstance(error, Refused):
            return self._say("failed", reason=reason)
        if error.kind == "forbidden":
            deciding = action.action in ("approve", "reject")
            role = Role.APPROVER if deciding else Role.RESPONDER
            return self._say("forbidden", reason=reason, names=chat_line(self._may(role)))
        waits = error.kind in ("superseded", "already_decided")
        return self._say("refused_waits" if waits else "refused", reason=reason)

    async def _put_off(self, due: DueAction, error: Transient) -> None:
        wait = error.retry_after or min(LONGEST_WAIT, 2.0 ** min(due.attempts - 1, 10))
        await self._inbox.put_off(due.action.id, self._deps.now() + timedelta(seconds=wait))
        log.warning(
            "slack_action_put_off",
            action_id=due.action.id,
            incident_id=due.action.incident_id,
            attempts=due.attempts,
            reason=error.reason,
        )

    def _may(self, role: Role) -> str:
        return who_may(self._deps.policy, role)

    def _say(self, key: str, **values: object) -> str:
        return self._words.say(f"answers.{key}", **values)
