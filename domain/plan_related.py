"""An alert that belongs to several open incidents: policy may let them become one."""

from __future__ import annotations

from domain.cascade import AskMerge, MergeAsked
from domain.step import Step


def ask_related(step: Step, ids: tuple[str, ...]) -> None:
    """Ask the other incidents to go on in this one; each decides for itself."""
    if not step.policy.grouping.merge:
        return
    for other in ids:
        if other != step.state.id and other not in step.state.merged:
            step.note("merge_related", other=other)
            asked = MergeAsked(into=step.state.id, by="policy")
            step.actions.append(AskMerge(of=other, asked=asked))
