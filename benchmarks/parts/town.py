"""Customers, an incident with its audience, and approved words: what a broadcast starts from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.draft import DraftWriter
from adapters.db.drafts import DraftStore
from adapters.db.policies import PolicyStore
from adapters.drafters.templates import TemplateDrafter
from domain.facts import build_facts
from domain.incident import AudienceCount, IncidentState
from domain.message import Channel, DraftVersion, Moment
from domain.policy import Policy
from domain.ports import AudienceRule, BroadcastSpec
from domain.signal import Severity
from domain.validation import validate_draft
from runtime.wiring import CONTENT

PUBLIC_URL = "https://status.acme.example"
PER_ACCOUNT = 4
EVERYBODY = "aud_everybody"
_ACCOUNTS = """
    INSERT INTO accounts (id, name, plan, segment, region, features, activity, regimes, imported_at)
    SELECT 'acc-' || lpad(i::text, 7, '0'), 'Company ' || i,
        (ARRAY['free', 'pro', 'pro', 'enterprise'])[1 + i % 4],
        (ARRAY['smb', 'mid-market', 'mid-market', 'enterprise'])[1 + i % 4],
        (ARRAY['us', 'eu', 'apac'])[1 + i % 3], '{}', '{}', '{}', :now
    FROM generate_series(0, (:number - 1) / :each) i
"""
_CONTACTS = """
    INSERT INTO contacts (id, account_id, email, name, locale, timezone, channels, imported_at)
    SELECT 'con-' || lpad(i::text, 8, '0'), 'acc-' || lpad((i / :each)::text, 7, '0'),
        'reader' || i || '@customer' || i / :each || '.example', 'Ada Reader',
        (ARRAY['en', 'en', 'en', 'de'])[1 + i % 4],
        (ARRAY['America/New_York', 'Europe/Berlin', 'Asia/Singapore', 'Europe/Vienna'])[1 + i % 4],
        '{}', :now
    FROM generate_series(0, :number - 1) i
"""
_AUDIENCE = """
    INSERT INTO audiences (id, incident_id, rule, created_at, accounts, recipients,
        active_accounts, choices)
    VALUES (:audience, :incident, 'payments', :now, 0, 0, 0, '{}')
"""
_MEMBERS = """
    INSERT INTO audience_members (audience_id, contact_id, account_id, reason, added_at)
    SELECT :audience, id, account_id, 'uses payments', :now FROM contacts ORDER BY id LIMIT :number
"""
_INCIDENT = """
    INSERT INTO incidents (id, title, severity, stage, category, components, regions, dry_run,
        started_at, opened_at, last_alert_at, policy_hash, correlation_id, updated_at)
    VALUES (:incident, 'Payments fail', 'P2', 'investigating', 'local_degradation',
        '{payments}', '{}', false, :now, :now, :now, :policy, :incident, :now)
"""


async def settle(engine: AsyncEngine, number: int, say: Callable[[str], None]) -> None:
    """Put `number` contacts into an empty database."""
    say(f"writing {number:,} customers")
    given = {"number": number, "each": PER_ACCOUNT, "now": datetime.now(UTC)}
    async with engine.begin() as conn:
        await conn.execute(text(_ACCOUNTS), given)
        await conn.execute(text(_CONTACTS), given)
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="AUTOCOMMIT")
        await conn.execute(text("VACUUM ANALYZE"))


async def approved(
    engine: AsyncEngine, policy: Policy, name: str, channel: Channel, number: int
) -> tuple[BroadcastSpec, DraftVersion]:
    """An incident with `number` recipients and a message to them that may go now."""
    now = datetime.now(UTC)
    incident, audience = f"inc_{name}", f"aud_{name}"
    await PolicyStore(engine).save(policy, "benchmark", now)
    given = {
        "incident": incident,
        "audience": audience,
        "number": number,
        "policy": policy.hash,
        "now": now,
    }
    async with engine.begin() as conn:
        for statement in (_INCIDENT, _AUDIENCE, _MEMBERS):
            await conn.execute(text(statement), given)
        await conn.execute(text("ANALYZE audience_members"))
    state = IncidentState(
        id=incident,
        severity=Severity.P2,
        category="local_degradation",
        components=("payments",),
        started_at=now,
        opened_at=now,
    )
    facts = build_facts(
        state,
        Moment.INITIAL,
        1,
        AudienceCount(accounts=number, recipients=number),
        policy,
        {},
        PUBLIC_URL,
        stage="investigating",
        next_update_at=now + timedelta(minutes=30),
    )
    writer = DraftWriter(
        DraftStore(engine), TemplateDrafter(CONTENT), validate_draft, lambda: datetime.now(UTC)
    )
    draft = await writer.write(
        facts,
        AudienceRule(components=("payments",), regions=()),
        (channel,),
        policy,
        "benchmark",
        supersede=False,
    )
    spec = BroadcastSpec(
        incident_id=incident,
        n=1,
        version=draft.version,
        hash=draft.hash,
        moment=Moment.INITIAL,
        number=1,
        severity="P2",
        stage="investigating",
        category="local_degradation",
        components=("payments",),
        channels=(channel,),
        audience_id=audience,
        policy_hash=policy.hash,
        allowed_by="benchmark",
        next_update_at=facts.times["next_update"],
        expires_at=now + timedelta(hours=4),
    )
    return spec, draft
