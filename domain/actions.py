"""What the plan can ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from domain.cascade import AnswerMerge, AskMerge, HandTo, OpenSplit, TakeIn
from domain.incident import Draft, Frozen, Promise
from domain.message import Channel, Moment


class Target(Frozen):
    """Take the audience snapshot (or grow it) and answer with `Targeted`."""

    kind: Literal["target"] = "target"


class Decide(Frozen):
    """Write what became of a version: approved, rejected, superseded or sent."""

    kind: Literal["decide"] = "decide"
    version: int
    state: Literal["approved", "rejected", "superseded", "sent"]
    by: str | None = None
    reason: str = ""


class Broadcast(Frozen):
    """Send a version on channels; `n` numbers broadcasts, `by` is who or what allowed it."""

    kind: Literal["broadcast"] = "broadcast"
    n: int
    version: int
    hash: str
    moment: Moment
    number: int
    channels: tuple[Channel, ...]
    audience_id: str | None = None
    by: str
    next_update_at: datetime | None = None
    expires_at: datetime | None = None


class OpenPostMortem(Frozen):
    kind: Literal["open_post_mortem"] = "open_post_mortem"
    due: datetime | None
    public: bool


class OpenWarRoom(Frozen):
    """Open the responders' channel and invite people by name; answered by `WarRoomOpened`."""

    kind: Literal["open_war_room"] = "open_war_room"
    name: str
    people: tuple[str, ...]


class AnswerPostMortem(Frozen):
    """Hand the reviewers' decision to the post-mortem child."""

    kind: Literal["answer_post_mortem"] = "answer_post_mortem"
    approved: bool
    version: int
    by: str


class ProposeCredits(Frozen):
    """Work out what accounts are owed until now, and answer with `CreditsProposed`."""

    kind: Literal["propose_credits"] = "propose_credits"


class Note(Frozen):
    """A line of the timeline; `key` names its words in the catalogs, `data` fills them."""

    kind: Literal["note"] = "note"
    key: str
    actor: str = "forewarn"
    data: dict[str, str] = Field(default_factory=dict)
    customer_visible: bool = False


class SettlePromise(Frozen):
    """Write a promise: open when made, then kept (at `kept_at`), missed or superseded."""

    kind: Literal["promise"] = "promise"
    promise: Promise
    state: Literal["open", "kept", "missed", "superseded"]
    kept_at: datetime | None = None


class TellStaff(Frozen):
    """Something changed that the people who decide should see where they work."""

    kind: Literal["tell_staff"] = "tell_staff"


class Close(Frozen):
    kind: Literal["close"] = "close"


Action = Annotated[
    Target
    | Draft
    | Decide
    | Broadcast
    | OpenPostMortem
    | OpenWarRoom
    | AnswerPostMortem
    | ProposeCredits
    | Note
    | SettlePromise
    | TellStaff
    | Close
    | HandTo
    | TakeIn
    | AnswerMerge
    | AskMerge
    | OpenSplit,
    Field(discriminator="kind"),
]
