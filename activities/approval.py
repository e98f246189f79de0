"""The step that shows the people who decide where an incident stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict
from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.card import Card, Case, Place, Reply, digest
from domain.casework import Preview, cards, is_final
from domain.errors import NotFound, Permanent, Transient
from domain.policy import Policy


class TellStaffInput(BaseModel):
    """Which incident changed; what is shown is read when it is shown, so it is never stale."""

    model_config = ConfigDict(frozen=True)

    incident_id: str


class StaffDesk(Protocol):
    """Where staff see incidents and decide, such as a chat."""

    async def show(self, incident_id: str) -> None:
        """Make it agree with the incident as it stands; the same state again changes nothing."""
        ...


class StaffSheet(Protocol):
    """What was posted about one incident, held against others while it is open."""

    async def posts(self) -> dict[str, Place]: ...

    async def posted(self, key: str, place: Place, now: datetime) -> None: ...

    async def changed(self, key: str, place: Place, now: datetime) -> None: ...


class StaffBoard(Protocol):
    """What staff should see of incidents, from our own store."""

    def at(self, incident_id: str) -> AbstractAsyncContextManager[StaffSheet]: ...

    async def case(self, incident_id: str, shown: frozenset[str]) -> Case | None: ...


class StaffChat(Protocol):
    """Posts and changes messages; raises Permanent or Transient."""

    async def post(self, shown: Card | Reply, under: str | None) -> tuple[str, str]:
        """Post a card, or a reply under the message `under`; returns place and message."""
        ...

    async def update(self, shown: Card | Reply, place: str, message: str) -> bool:
        """Change a message; False when it is there no more."""
        ...


# A chat takes about one message a second, and each of these holds a connection to the database.
AT_ONCE = 4
BUSY_SECONDS = 2.0


class ChatDesk:
    """Keeps a chat's messages about incidents as PostgreSQL has them.

    One desk at a time works on an incident, so two calls never post the same twice. A message is
    remembered right after the chat took it. A worker that dies, or loses its database, between
    the two has posted a message that nobody remembers, and the next call posts it again: Slack
    offers no idempotency key. The forgotten one keeps its buttons, but both name the same draft
    version and hash, so a second decision is refused and nothing is sent twice.
    """

    def __init__(
        self,
        board: StaffBoard,
        chat: StaffChat,
        preview: Preview,
        policy: Policy,
        public_url: str,
        clock: Callable[[], datetime],
        followers: Sequence[Callable[[Policy], None]] = (),
    ) -> None:
        self._followers = followers
        self._board = board
        self._chat = chat
        self._preview = preview
        self._policy = policy
        self._public_url = public_url
        self._clock = clock
        self._showing = 0

    def adopt(self, policy: Policy) -> None:
        """Ask by another policy from now on; `followers` make the previews and are told too."""
        self._policy = policy
        for tell in self._followers:
            tell(policy)

    async def show(self, incident_id: str) -> None:
        """Post what is missing, change what is not as it should be; the same again does nothing.

        A message that the chat refuses for good does not hold up the others; raises its Permanent
        at the end. Raises Transient at once, NotFound for an unknown incident. Many at once are
        put off with Transient, so that a slow chat does not keep the worker from sending.
        """
        if self._showing >= AT_ONCE:
            raise Transient("other incidents are being shown", BUSY_SECONDS)
        self._showing += 1
        try:
            await self._show(incident_id)
        finally:
            self._showing -= 1

    async def _show(self, incident_id: str) -> None:
        refused: Permanent | None = None
        async with self._board.at(incident_id) as sheet:
            posts = await sheet.posts()
            case = await self._board.case(incident_id, frozenset(posts))
            if case is None:
                return
            for shown in cards(case, self._public_url, self._policy, self._preview):
                try:
                    await self._agree(sheet, shown, posts)
                except Permanent as error:
                    refused = refused or error
        if refused is not None:
            raise refused

    async def _agree(self, sheet: StaffSheet, shown: Card | Reply, posts: dict[str, Place]) -> None:
        there = posts.get(shown.key)
        if there is None:
            posts[shown.key] = await self._post(sheet, shown, posts)
        elif not there.final and there.digest != digest(shown):
            await self._update(sheet, shown, there)

    async def _post(self, sheet: StaffSheet, shown: Card | Reply, posts: dict[str, Place]) -> Place:
        under = posts.get(shown.under) if isinstance(shown, Reply) and shown.under else None
        where, message = await self._chat.post(shown, under.message if under else None)
        place = _place(shown, where, message)
        await sheet.posted(shown.key, place, self._clock())
        return place

    async def _update(self, sheet: StaffSheet, shown: Card | Reply, there: Place) -> None:
        found = await self._chat.update(shown, there.place, there.message)
        place = _place(shown, there.place, there.message)
        if not found:
            # Somebody deleted it: there is nothing left to keep up to date.
            place = place.model_copy(update={"final": True})
        await sheet.changed(shown.key, place, self._clock())


def _place(shown: Card | Reply, place: str, message: str) -> Place:
    return Place(place=place, message=message, digest=digest(shown), final=is_final(shown))


class ApprovalActivities:
    """Shows incidents at the desk, where one is configured."""

    def __init__(self, desk: StaffDesk | None) -> None:
        self._desk = desk

    @activity.defn(name="tell_staff")
    async def tell_staff(self, change: TellStaffInput) -> None:
        """Show an incident as it stands now; the profile STAFF bounds it, Temporal retries it.

        What a chat refuses for good is not tried again before the next change.
        """
        if self._desk is None:
            return
        try:
            await self._desk.show(change.incident_id)
        except NotFound as error:
            raise ApplicationError(str(error), type="not_found", non_retryable=True) from error
        except Permanent as error:
            raise ApplicationError(error.reason, type="permanent", non_retryable=True) from error
        except Transient as error:
            wait = timedelta(seconds=error.retry_after) if error.retry_after else None
            raise ApplicationError(error.reason, type="transient", next_retry_delay=wait) from error
