"""The staff pages: sign in, see what waits, decide. Works without JavaScript, on a phone too."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_urlsafe
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from domain.errors import BadInput, ForewarnError, NotFound, Refused, Transient, Unauthorized
from domain.message import Channel, DraftText
from domain.roles import Role
from gateway.auth import Actor, Auth
from gateway.commands import Call, Commands
from gateway.console_forms import credit_body, start_body, statement_body, submit
from gateway.console_links import NAMES, LinkForms, may_link
from gateway.console_pages import HEADERS, STYLE, render
from gateway.credits import Credits
from gateway.deps import Deps
from gateway.markdown import markdown_html
from gateway.post_mortems import PostMortems
from gateway.problems import correlation_id
from gateway.staff_read import NAMESPACE, IncidentId, previews, read_changes, read_radius
from gateway.staff_shapes import DraftOut, incident_out
from runtime.staff import MAX_LIMIT, DraftView, TimelineView, staff_composer, staff_stores
from runtime.writing import Standing, writing_stores

HOME = "/console"
# Of an incident's credits so many stand on its page; the command line has them all.
SHOWN_CREDITS = 20


class Console:
    """What the pages show, gathered for their templates."""

    def __init__(self, deps: Deps, auth: Auth) -> None:
        self._deps = deps
        self._auth = auth
        self._staff = staff_stores(deps.engine)
        self._writing = writing_stores(deps.engine)
        self._post_mortems = PostMortems(deps)
        self._credits = Credits(deps)
        self._links = LinkForms(deps)
        self._composer = staff_composer(
            deps.policy, deps.public_url, deps.secret_key.get_secret_value(), deps.now
        )
        deps.follow(self._composer.adopt)

    def frame(self, actor: Actor) -> dict[str, object]:
        """What every page of a signed-in person needs; `once` makes a double click one command."""
        return {
            "actor": actor,
            "csrf": self._auth.csrf(actor),
            "once": token_urlsafe(16),
            "company": self._deps.policy.company.name,
            "policy": self._deps.policy,
            "may_decide": actor.has(Role.APPROVER),
            "may_command": actor.has(Role.RESPONDER),
        }

    async def home(
        self, actor: Actor, status: int = 200, error: ForewarnError | None = None
    ) -> Response:
        """Open incidents, and what waits for a decision."""
        incidents = self._staff.incidents
        waiting = await incidents.page(waiting=True, is_open=True, limit=MAX_LIMIT)
        still_open = await incidents.page(is_open=True, limit=MAX_LIMIT)
        over = await incidents.page(is_open=False, limit=10)
        return render(
            "home.html",
            status,
            **self.frame(actor),
            waiting=waiting.items,
            incidents=still_open.items,
            over=over.items,
            paused=await self._staff.switches.paused(),
            proposals=await self._proposals(),
            error=error,
        )

    async def _proposals(self) -> list[Standing]:
        """Gates that a human may relax, or whose trust is taken back."""
        found = await self._writing.trust.standings(self._deps.policy, self._deps.now())
        return [standing for standing in found if standing.proposal]

    async def incident(
        self,
        actor: Actor,
        incident_id: str,
        status: int = 200,
        error: ForewarnError | None = None,
        done: str | None = None,
    ) -> Response:
        """Everything about one incident."""
        view = await self._staff.incidents.detail(incident_id)
        pending, texts, radius, changes = None, [], None, None
        if view.pending is not None:
            pending = await self._staff.incidents.draft(incident_id, view.pending.draft)
            texts = self._texts(pending, (view.pending.model_extra or {}).get("channels"))
            radius = await read_radius(self._staff, self._deps, view)
            changes = await read_changes(self._staff, incident_id, view.pending.draft)
        return render(
            "incident.html",
            status,
            **self.frame(actor),
            incident=incident_out(
                view,
                self._deps.temporal_ui,
                NAMESPACE,
                await self._staff.board.asked(incident_id),
                await self._staff.links.of(incident_id),
            ),
            radius=radius,
            pending=pending,
            texts=texts,
            changes=changes,
            timeline=await self._whole_timeline(incident_id),
            deliveries=await self._staff.ledger.incident_summary(incident_id),
            credits=await self._credits.read(incident_id, None, SHOWN_CREDITS),
            others=await self._links.others(view) if actor.has(Role.RESPONDER) else [],
            may_link=may_link(view),
            now=self._deps.now(),
            error=error,
            done=done,
        )

    async def post_mortem(
        self,
        actor: Actor,
        incident_id: str,
        status: int = 200,
        error: ForewarnError | None = None,
        done: str | None = None,
    ) -> Response:
        """The internal document as a page, with a form for what only humans know."""
        view = await self._staff.incidents.detail(incident_id)
        found = await self._post_mortems.read(incident_id)
        document = markdown_html(found.markdown) if found.markdown else None
        return render(
            "post_mortem.html",
            status,
            **self.frame(actor),
            incident=view,
            found=found,
            document=document,
            error=error,
            done=done,
        )

    def _texts(
        self, view: DraftView, waiting: Sequence[str] | None
    ) -> list[tuple[DraftText, DraftOut, bool]]:
        """Each text as it is kept, as it will look, and whether it waits for the decision.

        Those that wait come first, then by channel and by the policy's order of languages.
        """
        channels, locales = list(Channel), self._deps.policy.locales
        texts = [
            (text, shown, waiting is None or text.channel in waiting)
            for text, shown in zip(view.draft.texts, previews(self._composer, view), strict=True)
        ]

        def order(item: tuple[DraftText, DraftOut, bool]) -> tuple[bool, int, int]:
            text, _, waits = item
            known = text.locale in locales
            place = locales.index(text.locale) if known else len(locales)
            return not waits, channels.index(text.channel), place

        return sorted(texts, key=order)

    async def _whole_timeline(self, incident_id: str) -> list[TimelineView]:
        """Newest first: on a phone the latest line is the one that is looked for."""
        page = await self._staff.incidents.timeline(incident_id, None, MAX_LIMIT)
        lines = list(page.items)
        while page.next is not None:
            page = await self._staff.incidents.timeline(incident_id, page.next, MAX_LIMIT)
            lines += page.items
        return lines[::-1]


def router(deps: Deps) -> APIRouter:
    """The routes of the console."""
    auth = Auth(deps)
    console = Console(deps, auth)
    commands, post_mortems, credits = Commands(deps), PostMortems(deps), Credits(deps)
    links, staff = LinkForms(deps), staff_stores(deps.engine)
    routes = APIRouter(prefix=HOME, include_in_schema=False)

    async def signed_in(request: Request) -> Actor:
        actor = await auth.identify(request)
        actor.need(Role.VIEWER)
        return actor

    async def posted(request: Request) -> tuple[Call, FormData]:
        actor = await signed_in(request)
        form = await request.form()
        once = str(form.get("once", ""))
        if actor.session is not None:
            auth.check_csrf(actor, str(form.get("csrf", "")))
        if not (0 < len(once) <= 100 and once.isascii()):
            raise BadInput("this form is not complete; reload the page and try again")
        return Call(actor, correlation_id(request), f"console:{once}"), form

    def sign_in_page(request: Request, error: str | None = None) -> Response:
        path = request.url.path
        back = path if request.method == "GET" and path.startswith(f"{HOME}/incidents/") else HOME
        return render("sign_in.html", 401, company=deps.policy.company.name, back=back, error=error)

    @routes.get("/style.css")
    async def style() -> Response:
        """The console's style sheet."""
        headers = {**HEADERS, "Cache-Control": "public, max-age=300"}
        return Response(STYLE, media_type="text/css; charset=utf-8", headers=headers)

    @routes.post("/sign-in")
    async def sign_in(
        request: Request,
        token: Annotated[str, Form(max_length=500)] = "",
        back: Annotated[str, Form(max_length=200)] = HOME,
    ) -> Response:
        """Open a session for the holder of a token."""
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refused("forbidden", "sign in from the console's own page")
        try:
            actor = await auth.sign_in(request, token)
        except Unauthorized as error:
            return sign_in_page(request, str(error))
        await staff.audit.append("sign_in", actor.name, {"token": actor.id}, deps.now())
        # Only back into the console: any other address could be somebody else's.
        inside = back.startswith(f"{HOME}/") and "\\" not in back and "//" not in back
        response = RedirectResponse(back if inside else HOME, 303, headers=HEADERS)
        auth.open_session(response, actor)
        return response

    @routes.get("/sign-in")
    async def ask(request: Request) -> Response:
        """The page to sign in on."""
        response = sign_in_page(request)
        response.status_code = 200
        return response

    @routes.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        """End the session in this browser."""
        response = RedirectResponse(f"{HOME}/sign-in", 303, headers=HEADERS)
        auth.close_session(response)
        return response

    @routes.get("")
    @routes.get("/")
    async def home(request: Request) -> Response:
        """Open incidents and the approval queue."""
        try:
            actor = await signed_in(request)
        except Unauthorized:
            return sign_in_page(request)
        return await console.home(actor)

    @routes.get("/incidents/{incident_id}")
    async def incident(
        request: Request,
        incident_id: IncidentId,
        done: Annotated[str | None, Query(pattern="^[a-z-]{1,20}$")] = None,
    ) -> Response:
        """One incident."""
        try:
            actor = await signed_in(request)
        except Unauthorized:
            return sign_in_page(request)
        return await console.incident(actor, incident_id, done=done)

    @routes.get("/incidents/{incident_id}/post-mortem")
    async def post_mortem(
        request: Request,
        incident_id: IncidentId,
        done: Annotated[str | None, Query(pattern="^[a-z-]{1,20}$")] = None,
    ) -> Response:
        """The internal post-mortem."""
        try:
            actor = await signed_in(request)
        except Unauthorized:
            return sign_in_page(request)
        return await console.post_mortem(actor, incident_id, done=done)

    @routes.post("/incidents/{incident_id}/post-mortem")
    async def state(request: Request, incident_id: IncidentId) -> Response:
        """State what happened."""
        try:
            call, form = await posted(request)
        except Unauthorized:
            return sign_in_page(request)
        try:
            before = (await post_mortems.read(incident_id)).statement
            await post_mortems.state(call, incident_id, statement_body(form, before))
        except (BadInput, Refused, Transient) as error:
            return await console.post_mortem(call.actor, incident_id, status_of(error), error)
        where = f"{HOME}/incidents/{incident_id}/post-mortem?done=stated"
        return RedirectResponse(where, 303, headers=HEADERS)

    @routes.post("/incidents/{incident_id}/credits")
    async def decide_credits(request: Request, incident_id: IncidentId) -> Response:
        """Approve or reject the credits that are proposed."""
        try:
            call, form = await posted(request)
        except Unauthorized:
            return sign_in_page(request)
        try:
            await credits.decide(call, incident_id, credit_body(form))
        except (BadInput, NotFound, Refused, Transient) as error:
            return await console.incident(call.actor, incident_id, status_of(error), error)
        where = f"{HOME}/incidents/{incident_id}?done=credits"
        return RedirectResponse(where, 303, headers=HEADERS)

    @routes.post("/incidents")
    async def start(request: Request) -> Response:
        """Report an incident."""
        try:
            call, form = await posted(request)
        except Unauthorized:
            return sign_in_page(request)
        try:
            call.actor.need(Role.RESPONDER)
            started = await commands.start(call, start_body(form))
        except (BadInput, Refused, Transient) as error:
            return await console.home(call.actor, status_of(error), error)
        return RedirectResponse(f"{HOME}/incidents/{started.id}?done=start", 303, headers=HEADERS)

    @routes.post("/incidents/{incident_id}/{name}")
    async def act(request: Request, incident_id: IncidentId, name: str) -> Response:
        """Carry out the command of a form."""
        try:
            call, form = await posted(request)
        except Unauthorized:
            return sign_in_page(request)
        try:
            if name in NAMES:
                await links.submit(call, incident_id, name, form)
            else:
                await submit(commands, call, incident_id, name, form)
        except (BadInput, Refused, Transient) as error:
            return await console.incident(call.actor, incident_id, status_of(error), error)
        where = f"{HOME}/incidents/{incident_id}?done={name}"
        return RedirectResponse(where, 303, headers=HEADERS)

    return routes


def status_of(error: ForewarnError) -> int:
    """The status with which a page shows why nothing was changed."""
    if isinstance(error, BadInput):
        return 422
    if isinstance(error, Refused):
        return 403 if error.kind == "forbidden" else 409
    return 404 if isinstance(error, NotFound) else 503
