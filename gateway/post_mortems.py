"""The post-mortem for staff: read it, state what it needs, see what customers must not read."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Depends, Request

from domain.errors import Refused
from domain.message import Finding, Moment
from domain.post_mortem import Statement, redacted, statement_findings
from domain.roles import Role
from gateway.auth import Actor, Auth
from gateway.commands import Call
from gateway.deps import Deps
from gateway.editing import broken_rules
from gateway.idempotency import idempotent_route
from gateway.markdown import markdown_html
from gateway.staff_commands import call
from gateway.staff_read import IncidentId
from gateway.staff_updates import command
from runtime.staff import View, staff_stores
from runtime.writing import PostMortemDocument, writing_stores
from workflows.messages import DecideInput, DecideResult

WRITTEN_ANEW = "written again with what was stated"


class PostMortemOut(View):
    """Where a post-mortem stands; `markdown` and `html` are the internal document.

    `left_out` are paragraphs of earlier messages that its report for customers leaves out.
    """

    incident_id: str
    state: str
    public: bool | None
    due: datetime | None
    version: int | None
    published_at: datetime | None
    published_by: str | None
    report_url: str | None
    statement: Statement
    left_out: tuple[Finding, ...]
    markdown: str | None
    html: str | None


class Stated(View):
    """A statement is kept; `rewriting` says that the draft under review is written anew."""

    incident_id: str
    rewriting: bool


class PostMortems:
    """Reads and states, for the API and the console alike."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._staff = staff_stores(deps.engine)
        self._store = writing_stores(deps.engine).post_mortems

    async def read(self, incident_id: str) -> PostMortemOut:
        """The document as it stands, and what was stated for it; raises NotFound."""
        incident = await self._staff.incidents.detail(incident_id)
        document = await self._store.document(incident_id)
        found = document or _nothing_yet(incident.post_mortem, incident.post_mortem_due)
        published = document is not None and document.state == "published"
        return PostMortemOut(
            incident_id=incident_id,
            state=incident.post_mortem,
            public=found.public if document else None,
            due=found.due,
            version=found.version,
            published_at=found.published_at,
            published_by=found.published_by,
            report_url=self._report(incident_id) if published else None,
            statement=await self._store.statement(incident_id),
            left_out=await self._left_out(incident_id),
            markdown=found.internal_markdown if document else None,
            html=str(markdown_html(found.internal_markdown)) if document else None,
        )

    async def state(self, call: Call, incident_id: str, statement: Statement) -> Stated:
        """Keep a statement, and have the draft under review written anew with it.

        Raises BrokenRules where customers would read what they must not, Refused once published.
        """
        call.actor.need(Role.RESPONDER)
        incident = await self._staff.incidents.detail(incident_id)
        if incident.post_mortem in ("published", "completed"):
            raise Refused("already_sent", f"the post-mortem is {incident.post_mortem} already")
        written = "\n".join(text for _, text in statement.published_words())
        named = await self._store.customers_named(written)
        findings = statement_findings(statement, self._deps.policy, named)
        if findings:
            raise broken_rules("customers must not read all of this", findings)
        await self._store.state(incident_id, statement, call.actor.name, self._deps.now())
        pending = incident.pending
        if pending is None or pending.moment != Moment.POST_MORTEM:
            return Stated(incident_id=incident_id, rewriting=False)
        # A draft that is turned down is written again; nothing can go out this way, so whoever may
        # state may also ask for it.
        again = DecideInput(
            draft=pending.draft,
            decision="reject",
            by=call.actor.name,
            role=Role.APPROVER,
            reason=WRITTEN_ANEW,
        )
        await command(
            self._deps, incident_id, "decide", again, DecideResult, f"state:{call.request}"
        )
        return Stated(incident_id=incident_id, rewriting=True)

    async def _left_out(self, incident_id: str) -> tuple[Finding, ...]:
        notes = await self._store.notes(incident_id)
        named = await self._store.customers_named("\n".join(notes)) if notes else ()
        return redacted(notes, self._deps.policy, named)[1]

    def _report(self, incident_id: str) -> str:
        return f"{self._deps.public_url.rstrip('/')}/incidents/{incident_id}/report"


def _nothing_yet(state: str, due: datetime | None) -> PostMortemDocument:
    return PostMortemDocument(
        state=state, public=False, due=due, version=None, published_at=None, published_by=None,
        internal_markdown="",
    )  # fmt: skip


def router(deps: Deps) -> APIRouter:
    """`/api/incidents/{id}/post-mortem`."""
    auth = Auth(deps)
    routes = APIRouter(
        prefix="/api/incidents", tags=["staff"], route_class=idempotent_route(deps, auth)
    )
    post_mortems = PostMortems(deps)
    responder = Depends(auth.require(Role.RESPONDER))

    @routes.get("/{incident_id}/post-mortem", dependencies=[Depends(auth.require(Role.VIEWER))])
    async def post_mortem(incident_id: IncidentId) -> PostMortemOut:
        """The internal document in Markdown and HTML, and where the post-mortem stands."""
        return await post_mortems.read(incident_id)

    @routes.post("/{incident_id}/post-mortem")
    async def state(
        request: Request, incident_id: IncidentId, body: Statement, actor: Actor = responder
    ) -> Stated:
        """State summary, causes, resolution and prevention; replaces what was stated before."""
        return await post_mortems.state(call(request, actor), incident_id, body)

    return routes
