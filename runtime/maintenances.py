"""What the doors of planned work are handed: its stores, and the way to its workflow."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from adapters.db.maintenances import (
    MaintenanceStore,
    MaintenanceView,
    NewMaintenance,
    maintenance_id,
)
from adapters.db.maintenances_public import PublicMaintenances
from adapters.db.objections import Objection, Objections
from domain.maintenance import Objected
from runtime.relay import CALL_SECONDS, TemporalDown, TemporalLink
from workflows.maintenance_messages import MaintenanceStart
from workflows.names import MAINTENANCE, QUEUE_INCIDENTS, incident_workflow_id

__all__ = [
    "MaintenanceRelay",
    "MaintenanceView",
    "Maintenances",
    "NewMaintenance",
    "Objection",
    "PublicMaintenances",
    "maintenance_id",
    "maintenance_stores",
]

log = structlog.get_logger(__name__)
LOOP_SECONDS = 2.0


@dataclass(frozen=True)
class Maintenances:
    """The stores behind the doors of planned work."""

    store: MaintenanceStore
    objections: Objections
    public: PublicMaintenances


def maintenance_stores(engine: AsyncEngine) -> Maintenances:
    """The stores on one engine."""
    return Maintenances(MaintenanceStore(engine), Objections(engine), PublicMaintenances(engine))


async def start_run(
    client: Client,
    store: MaintenanceStore,
    id_: str,
    *,
    restored: bool = False,
    broadcasting: tuple[int, ...] = (),
) -> None:
    """Start the workflow of planned work from what PostgreSQL knows.

    Raises WorkflowAlreadyStartedError for one that runs already, or came to its end.
    """
    state, policy_hash = await store.state(id_)
    view = await store.detail(id_)
    start = MaintenanceStart(
        state=state,
        policy_hash=policy_hash,
        by=view.case.opened_by,
        restored=restored,
        broadcasting=broadcasting,
    )
    where = ", ".join(state.components)
    again = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    await client.start_workflow(
        MAINTENANCE,
        start,
        id=incident_workflow_id(id_),
        task_queue=QUEUE_INCIDENTS,
        id_reuse_policy=again if restored else WorkflowIDReusePolicy.REJECT_DUPLICATE,
        static_summary=f"{state.starts_at:%Y-%m-%d %H:%M} UTC: {where}"
        + (" (dry run)" if state.dry_run else ""),
        rpc_timeout=timedelta(seconds=CALL_SECONDS),
    )


class MaintenanceRelay:
    """Tells Temporal of planned work and of objections, now or when it is back."""

    def __init__(
        self,
        engine: AsyncEngine,
        link: TemporalLink,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = MaintenanceStore(engine)
        self._objections = Objections(engine)
        self._link = link
        self._now = now

    async def start(self, id_: str) -> None:
        """Start one maintenance's workflow. Raises TemporalDown, after which the loop does it."""
        client = await self._link.client()
        try:
            await start_run(client, self._store, id_)
        except WorkflowAlreadyStartedError:
            log.info("maintenance_runs_already", maintenance_id=id_)
        except (RPCError, TimeoutError) as error:
            raise TemporalDown("Temporal did not answer in time") from error
        await self._store.run(id_, self._now())

    async def tell(self, objection: Objection) -> None:
        """Put an objection on its timeline. Raises TemporalDown, as `start` does."""
        client = await self._link.client()
        handle = client.get_workflow_handle(incident_workflow_id(objection.maintenance_id))
        told = Objected(
            account_id=objection.account_id, late=objection.late, assignee=objection.assignee
        )
        try:
            await handle.signal("objected", told, rpc_timeout=timedelta(seconds=CALL_SECONDS))
        except RPCError as error:
            # A run that is over takes no messages; the objection stands in its own table.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise TemporalDown("Temporal did not answer in time") from error
        except TimeoutError as error:
            raise TemporalDown("Temporal did not answer in time") from error
        await self._objections.told(objection.id, self._now())

    async def run_once(self) -> None:
        """Tell what Temporal does not know yet."""
        for id_ in await self._store.not_run():
            await self.start(id_)
        for objection in await self._objections.untold():
            await self.tell(objection)

    async def run_forever(self) -> None:
        """Tell what is untold until cancelled; failures are logged and tried again."""
        while True:
            # Jitter, so that several gateways don't ask in step.
            await asyncio.sleep(LOOP_SECONDS * random.uniform(0.5, 1.0))
            try:
                await self.run_once()
            except TemporalDown:
                log.warning("maintenances_wait_for_temporal")
            except (SQLAlchemyError, OSError) as error:
                log.warning("maintenances_wait_for_postgresql", error=type(error).__name__)
            except Exception:
                # The next round tries again: a loop that died would leave work unannounced.
                log.exception("maintenance_relay_failed")
