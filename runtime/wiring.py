"""Builds the real things, in this one place: stores, drafter, senders, activities, workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.approval import ApprovalActivities, ChatDesk, StaffDesk
from activities.credits import CreditActivities
from activities.deliver import DeliverActivities
from activities.draft import DraftActivities, DraftWriter
from activities.maintenance import MaintenanceActivities
from activities.postmortem import PostMortemActivities
from activities.record import RecordActivities
from activities.split import SplitActivities
from activities.target import TargetActivities
from activities.war_room import WarRoomActivities, WarRooms
from adapters.chat.slack import Slack, SlackSettings
from adapters.db.alert_titles import AlertTitles
from adapters.db.announcements import AnnouncementStore
from adapters.db.audiences import AudienceStore
from adapters.db.credits import CreditStore
from adapters.db.drafts import DraftStore
from adapters.db.engine import make_engine
from adapters.db.incidents import IncidentStore
from adapters.db.incidents_read import IncidentsRead
from adapters.db.maintenances import MaintenanceStore
from adapters.db.model_drafts import ModelDrafts
from adapters.db.policies import PolicyStore
from adapters.db.policies_in_force import PoliciesInForce
from adapters.db.post_mortems import PostMortemStore
from adapters.db.rate_limits import RateLimits
from adapters.db.splits import SplitStore
from adapters.db.staff_board import StaffBoard
from adapters.db.trust import TrustStore
from adapters.drafters.catalog import Catalog
from adapters.drafters.claude import Claude, ClaudeSettings
from adapters.drafters.claude_brief import Briefing
from adapters.drafters.claude_drafter import ClaudeDrafter
from adapters.drafters.claude_layout import Layout
from adapters.drafters.compose import Composer
from adapters.drafters.post_mortem import PostMortemWriter
from adapters.drafters.templates import TemplateDrafter
from adapters.email.smtp import SmtpSender, SmtpSettings
from adapters.inapp.builtin import BuiltinBanner
from adapters.status_pages.builtin import BuiltinStatusPage
from domain.errors import BadInput
from domain.message import Channel
from domain.policy import Policy
from domain.ports import Sender
from domain.validation import validate_draft, validate_text
from runtime.observing import counted
from runtime.policy_file import load_policy
from runtime.ruling import Ruling
from runtime.settings import Settings, load_settings
from runtime.telemetry import sending_ledger
from runtime.temporal import sandbox_runner
from workflows import names
from workflows.broadcast import Broadcast
from workflows.incident import Incident
from workflows.maintenance import Maintenance
from workflows.postmortem import PostMortem

CONTENT = Path(__file__).parent.parent / "content"
GRACE = timedelta(seconds=4)

Activity = Callable[..., Any]

WORKFLOWS: Mapping[str, Sequence[type]] = {
    # Broadcasts that began before 0.3.0 go on where they began.
    names.QUEUE_INCIDENTS: (Incident, PostMortem, Maintenance, Broadcast),
    names.QUEUE_DELIVERY: (Broadcast,),
}


def utc_now() -> datetime:
    """The present instant, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Steps:
    """The activities of each task queue, and what must be closed at the end."""

    by_queue: Mapping[str, Sequence[Activity]]
    engine: AsyncEngine
    senders: Mapping[Channel, Sender] = field(default_factory=dict)
    model: ClaudeDrafter | None = None
    policy: Policy | None = None
    followers: Sequence[Callable[[Policy], None]] = ()
    """Who keeps the policy in force, and is told of the next one."""

    async def follow_policy(self) -> None:
        """Keep to the policy in force until cancelled, for what no incident's own one decides."""
        if self.policy is not None:
            await Ruling(self.engine, self.policy, self._adopt, utc_now).run_forever()

    def _adopt(self, policy: Policy) -> None:
        for tell in self.followers:
            tell(policy)

    async def aclose(self) -> None:
        for sender in self.senders.values():
            await sender.aclose()
        if self.model is not None:
            await self.model.aclose()
        await self.engine.dispose()


def build_steps(
    engine: AsyncEngine,
    policy: Policy,
    senders: Mapping[Channel, Sender],
    public_url: str,
    secret: str,
    clock: Callable[[], datetime] = utc_now,
    desk: StaffDesk | None = None,
    model: ClaudeDrafter | None = None,
    rooms: WarRooms | None = None,
    **delivery: float,
) -> Steps:
    """Activities on real stores; `delivery` passes round and lease lengths in seconds."""
    policies, drafts = PolicyStore(engine), DraftStore(engine)
    records, audiences = IncidentStore(engine), AudienceStore(engine)
    composer = Composer(policy, public_url, secret=secret, content_dir=CONTENT, clock=clock)
    record = RecordActivities(records, policies, Catalog(CONTENT), desk is not None)
    target = TargetActivities(audiences, policies, clock, TrustStore(engine))
    named = IncidentsRead(engine).customers_named
    writer = DraftWriter(drafts, TemplateDrafter(CONTENT), validate_draft, clock, model, named)
    credits = CreditActivities(CreditStore(engine), policies, clock)
    draft = DraftActivities(records, audiences, policies, writer, public_url, clock)
    post_mortem = PostMortemActivities(
        PostMortemStore(engine),
        policies,
        drafts,
        writer,
        PostMortemWriter(CONTENT).render_internal,
        public_url,
        clock,
    )
    maintenance = MaintenanceActivities(
        MaintenanceStore(engine), record, audiences, policies, writer, public_url, clock
    )
    deliver = DeliverActivities(
        sending_ledger(engine, senders),
        composer,
        senders,
        RateLimits(engine),
        policies,
        drafts,
        clock,
        **delivery,
    )
    return Steps(
        by_queue={
            names.QUEUE_INCIDENTS: [
                record.load_policy,
                record.record_step,
                target.take_audience,
                credits.propose_credits,
                SplitActivities(SplitStore(engine), policies, clock).open_split,
                post_mortem.publish_post_mortem,
                maintenance.record_maintenance,
            ],
            names.QUEUE_DRAFTING: [
                draft.write_draft,
                post_mortem.draft_post_mortem,
                maintenance.write_maintenance_draft,
            ],
            names.QUEUE_DELIVERY: [
                deliver.open_broadcast,
                deliver.deliver,
                deliver.fall_back,
                deliver.settle_broadcast,
                ApprovalActivities(desk).tell_staff,
                WarRoomActivities(rooms, policy, public_url).open_war_room,
            ],
        },
        engine=engine,
        senders=senders,
        model=model,
        policy=policy,
        followers=(composer.adopt, *([desk.adopt] if isinstance(desk, ChatDesk) else ())),
    )


def build_model(
    engine: AsyncEngine, settings: ClaudeSettings, clock: Callable[[], datetime] = utc_now
) -> ClaudeDrafter | None:
    """Claude as the writer of drafts; None without a key: templates write them all."""
    if settings.api_key is None:
        return None
    claude = Claude(settings)
    claude.open()
    return ClaudeDrafter(
        claude,
        settings,
        Briefing(CONTENT),
        Layout(CONTENT),
        ModelDrafts(engine),
        AlertTitles(engine),
        validate_text,
        clock,
    )


def build_senders(engine: AsyncEngine, policy: Policy) -> dict[Channel, Sender]:
    """The ways out that are configured; a channel without one settles as `not_configured`."""
    announcements = AnnouncementStore(engine)
    senders: dict[Channel, Sender] = {
        Channel.STATUS_PAGE: BuiltinStatusPage(announcements),
        Channel.IN_APP: BuiltinBanner(announcements),
    }
    smtp = load_settings(SmtpSettings)
    if smtp.url is not None:
        senders[Channel.EMAIL] = SmtpSender(smtp, clock=utc_now)
    return counted(senders)


def build_desk(
    engine: AsyncEngine,
    policy: Policy,
    slack: Slack,
    public_url: str,
    secret: str,
    clock: Callable[[], datetime] = utc_now,
) -> ChatDesk | None:
    """Slack as the staff's desk; None where it may not post: console and commands are left."""
    if not slack.can_post:
        return None
    composer = Composer(policy, public_url, secret=secret, content_dir=CONTENT, clock=clock)
    return ChatDesk(
        StaffBoard(engine), slack, composer.preview, policy, public_url, clock, (composer.adopt,)
    )


async def steps_from_environment() -> Steps:
    """Everything as the environment describes it; stores the policy under its hash.

    Raises BadInput that names the policy file at fault.
    """
    settings = load_settings(Settings)
    try:
        policy = load_policy(settings.policy)
    except BadInput as error:
        raise BadInput(f"{settings.policy}: {error}", error.errors) from None
    slack = Slack(load_settings(SlackSettings))
    engine = make_engine(settings.database_url.get_secret_value(), pool_size=20)
    policy = await PoliciesInForce(engine).begin(policy, str(settings.policy), utc_now())
    secret = settings.secret_key.get_secret_value()
    return build_steps(
        engine,
        policy,
        build_senders(engine, policy),
        settings.public_url,
        secret,
        desk=build_desk(engine, policy, slack, settings.public_url, secret),
        model=build_model(engine, load_settings(ClaudeSettings)),
        rooms=slack if slack.can_open_rooms else None,
    )


def build_workers(
    client: Client,
    steps: Steps,
    queues: Sequence[str],
    version: WorkerDeploymentConfig | None = None,
) -> list[Worker]:
    """One worker per task queue."""
    return [
        Worker(
            client,
            task_queue=queue,
            workflows=WORKFLOWS.get(queue, ()),
            activities=steps.by_queue[queue],
            workflow_runner=sandbox_runner(),
            graceful_shutdown_timeout=GRACE,
            deployment_config=version,
        )
        for queue in queues
    ]
