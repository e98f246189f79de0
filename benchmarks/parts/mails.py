"""The mails of a broadcast, rendered beforehand: what the baselines send."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.drafters.compose import Composer
from adapters.email.mime import build_mail
from benchmarks.parts.mail_file import Mail, write_mails
from benchmarks.parts.town import PUBLIC_URL
from domain.message import Channel, DraftVersion, Recipient, message_key
from domain.policy import Policy
from domain.ports import BroadcastSpec
from runtime.wiring import CONTENT

_MEMBERS = """
    SELECT c.id, c.email, c.name, c.locale, c.timezone, m.account_id, m.reason
    FROM audience_members m JOIN contacts c ON c.id = m.contact_id
    WHERE m.audience_id = :audience ORDER BY c.id
"""


async def render(
    engine: AsyncEngine, policy: Policy, spec: BroadcastSpec, draft: DraftVersion, path: Path
) -> int:
    """Write the mails that the broadcast would send; returns how many."""
    composer = Composer(
        policy,
        PUBLIC_URL,
        secret="s" * 40,
        content_dir=CONTENT,
        clock=lambda: datetime.now(UTC),
    )
    async with engine.connect() as conn:
        rows = (await conn.execute(text(_MEMBERS), {"audience": spec.audience_id})).all()

    def mails() -> Iterator[Mail]:
        for row in rows:
            recipient = Recipient(
                delivery_id=1, account_id=row.account_id, contact_id=row.id, name=row.name,
                address=row.email, locale=row.locale, timezone=row.timezone, reason=row.reason,
            )  # fmt: skip
            key = message_key(spec.incident_id, spec.n, Channel.EMAIL, row.id)
            message = composer.compose(
                draft, Channel.EMAIL, recipient,
                next_update_at=spec.next_update_at, thread_key=key, key=key,
            )  # fmt: skip
            content = build_mail(message, datetime.now(UTC)).as_bytes()
            yield Mail(str(message.metadata["from_email"]), row.email, content)

    write_mails(path, mails())
    return len(rows)
