"""The console's forms that make one incident of two, or two of one."""

from __future__ import annotations

from starlette.datastructures import FormData

from domain.incident import Stage
from domain.roles import Role
from gateway.commands import Call
from gateway.console_forms import body_of, word_of, words_of
from gateway.deps import Deps
from gateway.linking import Linking
from gateway.staff_shapes import MergeBody, SplitBody
from runtime.staff import MAX_LIMIT, IncidentView, staff_stores

NAMES = ("merge", "split")


class LinkForms:
    """What the forms offer, and what becomes of them; the API's commands decide."""

    def __init__(self, deps: Deps) -> None:
        self._linking = Linking(deps)
        self._incidents = staff_stores(deps.engine).incidents

    async def others(self, view: IncidentView) -> list[IncidentView]:
        """The open incidents that this one may go on in, newest first; none once it is resolved."""
        if not may_link(view):
            return []
        page = await self._incidents.page(is_open=True, limit=MAX_LIMIT)
        return [
            other
            for other in page.items
            if other.id != view.id and may_link(other) and other.dry_run is view.dry_run
        ]

    async def submit(self, call: Call, incident_id: str, name: str, form: FormData) -> None:
        """Carry out the form of this name, one of NAMES; raises as the API's commands do."""
        call.actor.need(Role.RESPONDER)
        if name == "merge":
            merge = body_of(MergeBody, into=word_of(form, "into"))
            await self._linking.merge(call, incident_id, merge)
        else:
            split = body_of(SplitBody, components=words_of(form, "components"))
            await self._linking.split(call, incident_id, split)


def may_link(view: IncidentView) -> bool:
    """Whether it may be merged or split at all: not once customers were told its end."""
    return view.open and view.stage != Stage.RESOLVED
