"""What the ledger's claim statement answers, as the claim that the delivery step works with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from domain.message import Recipient
from domain.ports import Claim


def claim_of(rows: Sequence[Sequence[Any]], lease_until: datetime, paused: bool) -> Claim:
    """The claim of rows as `ledger_sql.CLAIM_*` lists them."""
    recipients: list[Recipient] = []
    fences: dict[int, int] = {}
    attempts: dict[int, int] = {}
    first: dict[int, int] = {}
    first_in: dict[int, str] = {}
    for id, fence, tried, account, contact, name, address, locale, zone, why, told, begun in rows:
        recipients.append(
            Recipient(
                delivery_id=id,
                account_id=account,
                contact_id=contact,
                name=name,
                address=address,
                locale=locale,
                timezone=zone,
                reason=why,
            )
        )
        fences[id], attempts[id] = fence, tried
        if begun is not None:
            first_in[id], first[id] = begun
        elif told is not None:
            first[id] = told
    return Claim(
        recipients=tuple(recipients),
        fences=fences,
        lease_until=lease_until,
        attempts=attempts,
        first=first,
        first_in=first_in,
        paused=paused,
    )
