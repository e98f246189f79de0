"""Incidents that turn out to be one, or two: the events and actions of merging and splitting.

Merging is a handshake between two runs. The one that ends hands over what it owes (`HandTo`); the
other takes it in with one recorded step (`Absorb`, `TakeIn`) and answers; only then the first one
closes. Each half is repeatable by the incidents' ids, so that a crash between them heals.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from domain.message import Channel
from domain.signal import Severity


class Linked(BaseModel):
    """Ids, keys and figures only: it enters workflow history."""

    model_config = ConfigDict(frozen=True)


class Handed(Linked):
    """What an incident leaves to the one it is merged into; `announced` when customers know it."""

    id: str
    severity: Severity
    severity_by_human: bool = False
    severity_stated: bool = False
    category: str
    components: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    regions_by_human: bool = False
    regions_seen: tuple[str, ...] = ()
    affected_share: float | None = None
    started_at: datetime
    confirmed_at: datetime | None = None
    dry_run: bool = False
    firing: int = 0
    announced: bool = False
    told: tuple[Channel, ...] = ()
    updates: int = 0
    last_sent_at: datetime | None = None
    promise_due: datetime | None = None
    promise_channels: tuple[Channel, ...] = ()


class Merging(Linked):
    """A merge under way, as the incident that ends remembers it; `handed` was said last."""

    into: str
    by: str
    handed: Handed
    rounds: int = 1


class Splitting(Linked):
    """A split under way: the new incident's id, and the components that it takes along."""

    id: str
    components: tuple[str, ...]
    by: str


# ---------------------------------------------------------------- events


class MergeAsked(Linked):
    """This incident shall go on in another one."""

    kind: Literal["merge_asked"] = "merge_asked"
    into: str
    by: str


class Absorb(Linked):
    """Another incident hands itself over, and once more when something of it changed since."""

    kind: Literal["absorb"] = "absorb"
    other: Handed
    by: str


class MergeAnswered(Linked):
    """The other incident took everything in, or says why it does not."""

    kind: Literal["merge_answered"] = "merge_answered"
    into: str
    accepted: bool
    reason: str = ""


class SplitAsked(Linked):
    """Some components shall go on as an incident of their own."""

    kind: Literal["split_asked"] = "split_asked"
    id: str
    components: tuple[str, ...]
    by: str


class SplitDone(Linked):
    """The new incident stands; `firing` alerts are left here."""

    kind: Literal["split_done"] = "split_done"
    id: str
    firing: int
    quiet: bool = False
    """All alerts that are left have stopped."""


class SplitOpened(Linked):
    """The first event of an incident that was split off; `alerts` came along with it."""

    kind: Literal["split_opened"] = "split_opened"
    origin: str
    by: str
    alerts: int = 0


# ---------------------------------------------------------------- actions


class HandTo(Linked):
    """Hand this incident over and answer with `MergeAnswered`."""

    kind: Literal["hand_to"] = "hand_to"
    to: str
    absorb: Absorb


class TakeIn(Linked):
    """Write, with the step, that all of another incident belongs here from now on."""

    kind: Literal["take_in"] = "take_in"
    origin: str
    by: str


class AnswerMerge(Linked):
    """Tell the other incident what became of its merge."""

    kind: Literal["answer_merge"] = "answer_merge"
    to: str
    answer: MergeAnswered


class AskMerge(Linked):
    """Ask another incident to go on in this one."""

    kind: Literal["ask_merge"] = "ask_merge"
    of: str
    asked: MergeAsked


class OpenSplit(Linked):
    """Open the new incident and answer with `SplitDone`."""

    kind: Literal["open_split"] = "open_split"
    split: Splitting
