"""Deletes and blanks what the policy no longer keeps, in batches; the audit chain stays whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import append_in
from adapters.db.digest import SETTLED_SQL
from domain.errors import Refused
from domain.policy_base import format_duration
from domain.policy_sections import Retention
from domain.ports import Model

BATCH = 5_000
KIND = "retention"
LOCK = 0x464F5252
NOT_KEPT = "not kept"


@dataclass(frozen=True)
class Task:
    """Rows `t` of one table that are due; `change` blanks them by their `key`, else they go."""

    group: str
    table: str
    due: str
    change: str | None = None
    key: str = "id"


class RetentionLine(Model):
    """What one table loses: rows deleted, or blanked where the row itself proves something."""

    table: str
    group: str
    action: str
    older_than: str
    rows: int


class RetentionReport(Model):
    """One run; `dry_run` counted and changed nothing."""

    dry_run: bool
    lines: tuple[RetentionLine, ...]


def _over(incident_id: str) -> str:
    """SQL: the incident is over for long enough, and nothing of it is still on its way."""
    return f"""EXISTS (
        SELECT 1 FROM incidents i WHERE i.id = {incident_id} AND NOT i.open
          AND coalesce(i.closed_at, i.updated_at) < :before
          AND NOT EXISTS (SELECT 1 FROM broadcasts u
                          WHERE u.incident_id = i.id AND u.finished_at IS NULL))"""


# The first alert of an incident stays without its words: its time is in every audit record.
_FIRST = """t.seq = (SELECT f.seq FROM signals f WHERE f.incident_id = t.incident_id
                     ORDER BY f.received_at, f.seq LIMIT 1)"""
_TOLD = "t.incident_id IS NOT NULL AND t.relayed_at IS NOT NULL"

TASKS = (
    Task("signals", "signals", "t.incident_id IS NULL AND t.received_at < :before"),
    Task("signals", "signals", f"{_TOLD} AND {_over('t.incident_id')} AND NOT {_FIRST}"),
    Task(
        *(
            "signals",
            "signals",
            f"t.signal <> '{{}}' AND {_TOLD} AND {_FIRST} AND {_over('t.incident_id')}",
        ),
        change="signal = '{}', dedup_key = '', reasons = '{}'",
        key="seq",
    ),
    Task("signals", "alerts", f"NOT t.open AND {_over('t.incident_id')}"),
    # A failure's reason is the provider's own words, which often repeat the address. The reason of
    # a suppressed row is ours, and sealed.
    Task(
        "addresses",
        "deliveries",
        f"""t.state IN {SETTLED_SQL} AND {_over("t.incident_id")} AND (
            t.name IS NOT NULL OR t.address IS NOT NULL
            OR (t.state IN ('failed', 'unknown') AND t.reason <> '{NOT_KEPT}'))""",
        change=f"""name = NULL, address = NULL,
            reason = CASE WHEN t.state IN ('failed', 'unknown') AND t.reason IS NOT NULL
                          THEN '{NOT_KEPT}' ELSE t.reason END""",
    ),
    Task(
        "addresses",
        "delivery_events",
        f"""t.reason IS NOT NULL AND EXISTS (
            SELECT 1 FROM deliveries d WHERE d.id = t.delivery_id AND {_over("d.incident_id")})""",
        change="reason = NULL",
    ),
    Task(
        "unsent_drafts",
        "draft_texts",
        f"""{_over("t.incident_id")} AND EXISTS (
            SELECT 1 FROM drafts d WHERE d.incident_id = t.incident_id AND d.version = t.version
              AND d.moment <> 'post_mortem')
        AND NOT EXISTS (SELECT 1 FROM broadcasts b
                        WHERE b.incident_id = t.incident_id AND b.version = t.version)""",
    ),
    # What a model was asked and refused for; its budget is that of an open incident.
    Task("unsent_drafts", "model_drafts", _over("t.incident_id")),
    *(
        Task(
            "audiences",
            table,
            f"""EXISTS (SELECT 1 FROM audiences a
                        WHERE a.id = t.audience_id AND {_over("a.incident_id")})""",
        )
        for table in ("audience_members", "audience_exclusions")
    ),
    Task("chat", "slack_actions", "t.settled_at IS NOT NULL AND t.received_at < :before"),
    Task("chat", "staff_posts", _over("t.incident_id")),
    Task("idempotency", "idempotency", "t.created_at < :before"),
    Task("tokens", "tokens", "t.revoked_at < :before"),
    Task("imports", "imports", "t.at < :before AND t.id < (SELECT max(n.id) FROM imports n)"),
)


class RetentionRun:
    """Applies the policy's retention; one run at a time in the whole installation."""

    def __init__(self, engine: AsyncEngine, batch: int = BATCH) -> None:
        self.engine = engine
        self._batch = batch

    async def run(
        self,
        retention: Retention,
        now: datetime,
        by: str,
        *,
        dry_run: bool = False,
        progress: Callable[[str, int], None] = lambda table, rows: None,
    ) -> RetentionReport:
        """Do it, or with `dry_run` count it; raises Refused while another run is under way.

        `progress` is told the table and the rows done in it. What was done before an error stays
        done, and another run goes on from there.
        """
        due = [(task, kept) for task in TASKS if (kept := getattr(retention, task.group))]
        lines: list[RetentionLine] = []
        if dry_run:
            for task, kept in due:
                lines.append(_line(task, kept, await self._count(task, now - kept)))
            return RetentionReport(dry_run=True, lines=_merged(lines))
        async with self._alone():
            for task, kept in due:
                done = await self._apply(task, now - kept, progress)
                lines.append(_line(task, kept, done))
            body: dict[str, object] = {
                f"{line.table} {line.action}": line.rows for line in _merged(lines) if line.rows
            }
            async with self.engine.begin() as conn:
                await append_in(conn, KIND, by, body, now)
        return RetentionReport(dry_run=False, lines=_merged(lines))

    async def last_run(self) -> datetime | None:
        """When it last ran to its end; None for never."""
        async with self.engine.connect() as conn:
            at: datetime | None = await conn.scalar(
                text("SELECT max(at) FROM audit_log WHERE kind = :kind"), {"kind": KIND}
            )
            return at

    async def _count(self, task: Task, before: datetime) -> int:
        statement = text(f"SELECT count(*) FROM {task.table} t WHERE {task.due}")
        async with self.engine.connect() as conn:
            return int((await conn.execute(statement, {"before": before})).scalar_one())

    async def _apply(
        self, task: Task, before: datetime, progress: Callable[[str, int], None]
    ) -> int:
        statement = _blank(task) if task.change else _delete(task)
        after: int | None = None
        done = 0
        while True:
            parameters = {"before": before, "limit": self._batch}
            if task.change:
                parameters["after"] = -1 if after is None else after
            async with self.engine.begin() as conn:
                row = (await conn.execute(statement, parameters)).one()
            if not row.rows:
                return done
            done, after = done + row.rows, row.last
            progress(task.table, done)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        # Held by a transaction of its own, so that nothing that ends the run can leave it locked.
        async with self.engine.begin() as conn:
            taken = text("SELECT pg_try_advisory_xact_lock(:key)")
            if not await conn.scalar(taken, {"key": LOCK}):
                raise Refused("busy", "another run of the retention is under way")
            yield


def _delete(task: Task) -> TextClause:
    return text(
        f"""
        WITH gone AS (
            DELETE FROM {task.table} WHERE ctid = ANY(ARRAY(
                SELECT t.ctid FROM {task.table} t WHERE {task.due} LIMIT :limit))
            RETURNING 1)
        SELECT count(*) AS rows, NULL::bigint AS last FROM gone
        """
    )


def _blank(task: Task) -> TextClause:
    """Along the key, so that each row is looked at once however many there are."""
    return text(
        f"""
        WITH picked AS (
            SELECT t.{task.key} AS key FROM {task.table} t
            WHERE t.{task.key} > :after AND {task.due} ORDER BY t.{task.key} LIMIT :limit
            FOR UPDATE OF t),
        done AS (
            UPDATE {task.table} t SET {task.change} FROM picked p
            WHERE t.{task.key} = p.key RETURNING p.key)
        SELECT count(*) AS rows, max(key) AS last FROM done
        """
    )


def _line(task: Task, kept: timedelta, rows: int) -> RetentionLine:
    return RetentionLine(
        table=task.table,
        group=task.group,
        action="blanked" if task.change else "deleted",
        older_than=format_duration(kept),
        rows=rows,
    )


def _merged(lines: list[RetentionLine]) -> tuple[RetentionLine, ...]:
    """One line per table and action."""
    merged: dict[tuple[str, str], RetentionLine] = {}
    for line in lines:
        known = merged.get((line.table, line.action))
        rows = line.rows + (known.rows if known else 0)
        merged[(line.table, line.action)] = line.model_copy(update={"rows": rows})
    return tuple(merged.values())
