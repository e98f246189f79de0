"""What the doors are handed of edits and post-mortems: the gateway may not import adapters."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.edits import EditReport, Edits
from adapters.db.post_mortems import PostMortemDocument, PostMortemStore
from adapters.db.trust import TrustStore
from domain.trust import Standing

__all__ = ["EditReport", "PostMortemDocument", "Standing", "Writing", "writing_stores"]


@dataclass(frozen=True)
class Writing:
    """The stores of what people wrote and changed."""

    edits: Edits
    post_mortems: PostMortemStore
    trust: TrustStore


def writing_stores(engine: AsyncEngine) -> Writing:
    """The stores on one engine."""
    return Writing(
        edits=Edits(engine), post_mortems=PostMortemStore(engine), trust=TrustStore(engine)
    )
