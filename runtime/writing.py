"""What the doors are handed of edits, post-mortems and credits: they may not import adapters."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.credits import CreditDecision, CreditStore, CreditTotals, CreditView
from adapters.db.edits import EditReport, Edits
from adapters.db.post_mortems import PostMortemDocument, PostMortemStore
from adapters.db.trust import TrustStore
from domain.trust import Standing

__all__ = [
    "CreditDecision",
    "CreditTotals",
    "CreditView",
    "EditReport",
    "PostMortemDocument",
    "Standing",
    "Writing",
    "writing_stores",
]


@dataclass(frozen=True)
class Writing:
    """The stores of what people wrote, changed and granted."""

    credits: CreditStore
    edits: Edits
    post_mortems: PostMortemStore
    trust: TrustStore


def writing_stores(engine: AsyncEngine) -> Writing:
    """The stores on one engine."""
    return Writing(
        credits=CreditStore(engine),
        edits=Edits(engine),
        post_mortems=PostMortemStore(engine),
        trust=TrustStore(engine),
    )
