"""The end of an incident: its post-mortem, and its closing."""

from __future__ import annotations

from domain.actions import Decide
from domain.events import PostMortemMoved
from domain.incident import Pending, PostMortemOffer, PostMortemState, Stage, TimerKind
from domain.message import Channel, Moment
from domain.step import STAFF_CHANNELS, Step


def on_post_mortem(step: Step, event: PostMortemMoved) -> None:
    if event.state is PostMortemState.DUE:
        _ask_again(step)
        return
    step.set(post_mortem=event.state)
    if event.state is PostMortemState.DRAFTED and event.version is not None:
        step.note("post_mortem_drafted", version=event.version)
        step.set(
            versions=max(step.state.versions, event.version),
            offer=PostMortemOffer(
                version=event.version, hash=event.hash or "", invalid=event.invalid
            ),
        )
        step.rework_post_mortem()
        return
    step.note(
        "post_mortem_published"
        if event.state is PostMortemState.PUBLISHED
        else "post_mortem_completed",
        visible=event.state is PostMortemState.PUBLISHED,
    )
    if event.state is PostMortemState.PUBLISHED and event.version is not None:
        step.set(offer=PostMortemOffer(version=event.version, hash=event.hash or ""))
        _announce(step)
    close_when_done(step)


def _announce(step: Step) -> None:
    """Customers are told where the report is, but not while the incident has begun again."""
    offer, state = step.state.offer, step.state
    if offer is None or (state.edition >= 4 and state.stage is not Stage.RESOLVED):
        return
    channels = step.policy.channels(state.severity, Moment.POST_MORTEM)
    step.set(offer=None)
    step.broadcast(_post_mortem_pending(step, offer, channels), channels, by="reviewed post-mortem")


def _ask_again(step: Step) -> None:
    """The deadline nears: its reviewer is reminded. It has passed: the next person is asked."""
    state = step.state
    if state.post_mortem not in (PostMortemState.DUE, PostMortemState.DRAFTED):
        return
    due, pending = state.post_mortem_due, state.pending
    step.note("post_mortem_due", due=due.isoformat() if due else None)
    if pending is None or pending.moment is not Moment.POST_MORTEM:
        return
    level = pending.escalation_level
    if due is None or step.now < due:
        step.note("reminded", version=pending.draft, who=step.approver(level))
        return
    # Past the end of the chain the last one is asked again: being late is not over.
    if step.approver(level + 1) is not None:
        level += 1
        step.set(pending=pending.model_copy(update={"escalation_level": level}))
    step.note("escalated", version=pending.draft, who=step.approver(level))


def _post_mortem_pending(
    step: Step, offer: PostMortemOffer, channels: tuple[Channel, ...]
) -> Pending:
    public = bool(set(channels) - STAFF_CHANNELS)
    return Pending(
        draft=offer.version,
        moment=Moment.POST_MORTEM,
        number=1,
        hash=offer.hash,
        channels=channels,
        audience=step.state.audience,
        invalid=offer.invalid,
        stage=step.state.stage,
        asked_at=step.now,
        approvals_needed=2 if public and step.over_cap(step.state.audience) else 1,
    )


def offer_post_mortem(step: Step) -> None:
    """Put a drafted post-mortem before its reviewers once nothing else waits."""
    state, offer = step.state, step.state.offer
    if offer is None or state.pending or state.drafting or state.stage is not Stage.RESOLVED:
        return
    if state.post_mortem is PostMortemState.PUBLISHED:
        _announce(step)
        return
    step.set(offer=None)
    channels = step.policy.channels(state.severity, Moment.POST_MORTEM)
    step.put_before_approvers(_post_mortem_pending(step, offer, channels))


def write_report_anew(step: Step) -> None:
    """Have customers' report say what was decided since; what is approved already stays as it is.

    One that waits for its reviewers is superseded, one that is being written is written again.
    """
    state, pending = step.state, step.state.pending
    public = step.policy.severities[state.severity].post_mortem.kind == "public"
    if state.stage is not Stage.RESOLVED or not public:
        return
    if pending is not None and pending.moment is Moment.POST_MORTEM:
        step.note("draft_outdated", version=pending.draft, moment=pending.moment)
        step.actions.append(Decide(version=pending.draft, state="superseded"))
        offer = PostMortemOffer(version=pending.draft, hash=pending.hash, invalid=pending.invalid)
        step.set(pending=None, offer=offer)
        step.disarm(TimerKind.APPROVAL_REMINDER, TimerKind.APPROVAL_ESCALATION)
    offered = state.post_mortem is PostMortemState.DRAFTED and step.state.offer is not None
    if offered or state.post_mortem is PostMortemState.DUE:
        step.set(report_outdated=True)
        step.rework_post_mortem()


def close_when_done(step: Step) -> None:
    finished = (PostMortemState.PUBLISHED, PostMortemState.COMPLETED, PostMortemState.NOT_REQUIRED)
    state = step.state
    if (
        state.stage is Stage.RESOLVED
        and state.post_mortem in finished
        and TimerKind.REOPEN_WINDOW not in state.timers
    ):
        step.note("closed")
        step.close(Stage.CLOSED)
