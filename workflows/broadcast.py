"""One approved message to one audience: frozen, sent on all channels at once, settled.

Phases: open (the ledger freezes who gets it) → channels in parallel, each in rounds of one
activity, then whom it could not reach on the next channel → settle → tell the incident. No
recipient ever enters this history.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field
from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ApplicationError

from activities.deliver import DeliverActivities, FallBackInput, OpenedBroadcast, SettleInput
from activities.round import DeliverInput, DeliverResult
from domain.events import BroadcastDone
from domain.message import Channel
from domain.ports import BroadcastSpec, ChannelCounts
from domain.signal import Severity
from workflows import names, options

# Big audiences are sent by several activities at once, which share the rows among themselves.
ROWS_PER_SHARD = 5_000
MOST_SHARDS = 4
# A fresh history after so many rounds; a round lasts minutes unless a provider is out.
MOST_ROUNDS = 200
LONGEST_PAUSE = timedelta(minutes=5)


class BroadcastResult(BaseModel):
    """How it ended: rows by channel and state, and over all channels."""

    model_config = ConfigDict(frozen=True)

    broadcast_id: int
    channels: dict[Channel, ChannelCounts] = Field(default_factory=dict)
    totals: ChannelCounts = ChannelCounts()


@workflow.defn(name=names.BROADCAST)
class Broadcast:
    """Sends one message; goes on until every row is settled."""

    @workflow.init
    def __init__(self, spec: BroadcastSpec) -> None:
        self._spec = spec
        self._rounds = 0
        self._progress: dict[Channel, str] = {}
        self._priority = Priority(priority_key=Severity(spec.severity).rank)

    @workflow.run
    async def run(self, spec: BroadcastSpec) -> BroadcastResult:
        try:
            opened = await self._open()
            complete = await self._send(opened)
            if not complete:
                # Opening again finds the same rows, so the spec is all there is to carry.
                workflow.continue_as_new(spec)
            result = await self._settle(opened)
        # Not swallowed: the incident must not wait for a broadcast that failed.
        except Exception:
            await self._tell_incident({})
            raise
        # Where somebody was told in place of another channel, whatever the policy says later.
        instead = tuple(c for c in result.channels if c not in spec.channels)
        await self._tell_incident(result.totals.model_dump(), instead)
        return result

    # ------------------------------------------------------------ phases

    async def _open(self) -> OpenedBroadcast:
        spec = self._spec
        self._show("Freezing the audience")
        return await workflow.execute_activity_method(
            DeliverActivities.open_broadcast,
            spec,
            task_queue=names.QUEUE_DELIVERY,
            priority=self._priority,
            summary=f"Freeze the audience of {spec.moment} (draft {spec.version})",
            **options.LEDGER,
        )

    async def _send(self, opened: OpenedBroadcast) -> bool:
        """Send on all channels; False when rows are left for a fresh history."""
        for channel, counts in opened.counts.items():
            self._progress[channel] = _words(counts.model_dump())
        self._show("Sending")
        ends = await asyncio.gather(
            *(
                self._channel_and_fallback(opened, channel, counts)
                for channel, counts in opened.counts.items()
                if not counts.settled or channel in opened.fallbacks
            ),
            return_exceptions=True,
        )
        # One channel's fault ends the broadcast only once the others have done their work.
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return all(ends)

    async def _channel_and_fallback(
        self, opened: OpenedBroadcast, channel: Channel, counts: ChannelCounts
    ) -> bool:
        """Send on a channel, then tell on the next one of its order whom it could not reach."""
        done = counts.settled or await self._channel(opened.broadcast_id, channel, counts)
        while done and channel in opened.fallbacks:
            standing_in = await self._fall_back(opened.broadcast_id, channel)
            if not standing_in:
                break
            ends = await asyncio.gather(
                *(
                    self._channel(opened.broadcast_id, other, ChannelCounts(pending=rows))
                    for other, rows in standing_in.items()
                )
            )
            done = all(ends)
        return done

    async def _fall_back(self, broadcast_id: int, channel: Channel) -> dict[Channel, int]:
        fell_back = await workflow.execute_activity_method(
            DeliverActivities.fall_back,
            FallBackInput(broadcast_id=broadcast_id, spec=self._spec, channel=channel),
            task_queue=names.QUEUE_DELIVERY,
            priority=self._priority,
            summary=f"{channel.value}: tell on another channel whom it could not reach",
            **options.LEDGER,
        )
        return fell_back.pending

    async def _channel(self, broadcast_id: int, channel: Channel, counts: ChannelCounts) -> bool:
        shards = min(MOST_SHARDS, max(1, -(-counts.pending // ROWS_PER_SHARD)))
        probe = False
        while self._rounds < MOST_ROUNDS:
            self._rounds += 1
            results = await asyncio.gather(
                *(
                    self._deliver(broadcast_id, channel, shard, probe)
                    for shard in range(1 if probe else shards)
                )
            )
            self._count(channel, results)
            if all(result.done for result in results):
                return True
            probe = any(result.outage for result in results)
            await self._pause(channel, results)
        return False

    async def _deliver(
        self, broadcast_id: int, channel: Channel, shard: int, probe: bool
    ) -> DeliverResult:
        part = f", part {shard + 1}" if shard else ""
        doing = "is the provider back?" if probe else f"send {self._spec.moment}{part}"
        return await workflow.execute_activity_method(
            DeliverActivities.deliver,
            DeliverInput(
                broadcast_id=broadcast_id,
                spec=self._spec,
                channel=channel,
                shard=shard,
                probe=probe,
            ),
            task_queue=names.QUEUE_DELIVERY,
            priority=self._priority,
            # What is being sent is finished and written before a cancellation counts as done.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"{channel.value}: {doing}",
            **options.DELIVERY,
        )

    async def _pause(self, channel: Channel, results: list[DeliverResult]) -> None:
        waits = [r.retry_after for r in results if r.retry_after is not None]
        if not waits:
            return
        wait = min(timedelta(seconds=min(waits)), LONGEST_PAUSE)
        outage = any(r.outage for r in results)
        why = "the provider refuses, ask again" if outage else "put-off rows, try again"
        self._progress[channel] += f"; {why} in {wait.total_seconds():.0f} s"
        self._show("Sending")
        await workflow.sleep(
            wait, summary=f"{channel.value}: {why} in {wait.total_seconds():.0f} s"
        )

    async def _settle(self, opened: OpenedBroadcast) -> BroadcastResult:
        final = await workflow.execute_activity_method(
            DeliverActivities.settle_broadcast,
            SettleInput(broadcast_id=opened.broadcast_id, incident_id=self._spec.incident_id),
            task_queue=names.QUEUE_DELIVERY,
            priority=self._priority,
            summary="Count and close the ledger",
            **options.LEDGER,
        )
        totals: dict[str, int] = {}
        for channel, counts in final.counts.items():
            self._progress[channel] = _words(counts.model_dump())
            for state, number in counts.model_dump().items():
                totals[state] = totals.get(state, 0) + number
        self._show("Done")
        return BroadcastResult(
            broadcast_id=final.broadcast_id,
            channels=final.counts,
            totals=ChannelCounts.model_validate(totals),
        )

    async def _tell_incident(
        self, counts: dict[str, int], instead: tuple[Channel, ...] = ()
    ) -> None:
        """Signal the incident, which may be over and gone by now."""
        spec = self._spec
        handle = workflow.get_external_workflow_handle(names.incident_workflow_id(spec.incident_id))
        done = BroadcastDone(broadcast=spec.n, moment=spec.moment, counts=counts, instead=instead)
        try:
            await handle.signal("broadcast_done", done)
        except ApplicationError as error:
            workflow.logger.warning("incident not told: %s", error.type)

    # ------------------------------------------------------------ what people see

    def _count(self, channel: Channel, results: list[DeliverResult]) -> None:
        counted: dict[str, int] = {}
        for result in results:
            for state, number in result.counts.items():
                counted[state] = counted.get(state, 0) + number
        paused = "; sends are paused" if any(r.paused for r in results) else ""
        self._progress[channel] = f"last round: {_words(counted)}{paused}"
        self._show("Sending")

    def _show(self, phase: str) -> None:
        spec = self._spec
        lines = [
            f"**{phase}**: {spec.moment} of {spec.incident_id} ({spec.severity}), "
            f"draft {spec.version}, allowed by {spec.allowed_by}"
            + (", dry run" if spec.dry_run else ""),
            *(f"- {channel.value}: {words}" for channel, words in self._progress.items()),
        ]
        workflow.set_current_details("\n".join(lines))


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in counts.items() if number) or "nothing"
