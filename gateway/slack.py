"""Slack's doors: clicks and commands are checked, stored and acknowledged, then carried out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse

from domain.errors import Transient, Unauthorized
from domain.roles import Role
from gateway.deps import Deps
from gateway.problems import correlation_id, problem
from gateway.slack_delivery import SlackDelivery
from gateway.slack_payloads import Command, read_command, read_interaction, start_action
from gateway.slack_people import actor_of, who_may
from runtime.doors import Slack, card_words, chat_line
from runtime.staff import IncidentView, staff_stores

log = structlog.get_logger(__name__)

# Slack shows an error after three seconds; what is stored by then is carried out all the same.
ANSWER_SECONDS = 2.5
MAX_LISTED = 15
FORM = "application/x-www-form-urlencoded"


class SlackDoor:
    """What Slack may ask of the gateway; nothing here waits for Temporal or for Slack."""

    def __init__(self, deps: Deps, slack: Slack, delivery: SlackDelivery) -> None:
        self._deps = deps
        self._slack = slack
        self._delivery = delivery
        self._incidents = staff_stores(deps.engine).incidents
        self._words = card_words()

    async def body(self, request: Request) -> bytes:
        """The raw body, once it is certain that Slack signed it; raises Unauthorized."""
        body = await request.body()
        try:
            self._slack.verify(request.headers, body, self._deps.now())
        except Unauthorized as error:
            client = request.client.host if request.client else None
            log.warning("slack_refused", security=True, client=client, reason=str(error))
            raise
        return body

    async def keep(self, body: bytes, correlation: str) -> None:
        """Store the click that a body carries; raises BadInput, and stores nothing then."""
        action = read_interaction(body, correlation)
        if action is not None:
            fresh = await self._delivery.keep(action)
            log.info(
                "slack_action_stored",
                action=action.action,
                action_id=action.id,
                incident_id=action.incident_id,
                fresh=fresh,
            )

    async def command(self, given: Command, correlation: str) -> str:
        """Carry out what only reads, store what changes something; returns the answer."""
        policy = self._deps.policy
        actor = actor_of(policy, given.user_id)
        if actor is None:
            url = chat_line(f"{self._deps.public_url}/console")
            return self._say("unknown_user", user=given.user_id, url=url)
        verb, _, rest = given.text.partition(" ")
        title = "".join(c for c in " ".join(rest.split()) if c.isprintable())
        if verb.lower() == "list":
            return await self._list()
        if verb.lower() != "start" or not title:
            return self._say("help")
        if not actor.has(Role.RESPONDER):
            names = chat_line(who_may(policy, Role.RESPONDER))
            reason = f"this needs the role {Role.RESPONDER}."
            return self._say("forbidden", reason=reason, names=names)
        await self._delivery.keep(start_action(given, title, correlation))
        return self._say("taken", title=chat_line(title))

    async def _list(self) -> str:
        page = await self._incidents.page(is_open=True, limit=MAX_LISTED + 1)
        if not page.items:
            return self._say("list_empty")
        lines = [self._line(incident) for incident in page.items[:MAX_LISTED]]
        if len(page.items) > MAX_LISTED:
            lines.append("…")
        return self._say("list", lines="\n".join(lines))

    def _line(self, incident: IncidentView) -> str:
        pending = incident.pending
        return self._say(
            "line",
            severity=incident.severity,
            url=chat_line(f"{self._deps.public_url}/console/incidents/{incident.id}"),
            title=chat_line(incident.title, 120),
            stage=self._words.name("stages", incident.stage),
            waits=self._say("waits", version=pending.draft) if pending else "",
        )

    def _say(self, key: str, **values: object) -> str:
        return self._words.say(f"answers.{key}", **values)


def router(deps: Deps) -> APIRouter:
    """Both routes, and the loop behind them while a server runs."""
    slack = deps.slack
    if slack is None or not slack.can_verify:
        return _shut()
    delivery = SlackDelivery(deps, slack)
    door = SlackDoor(deps, slack, delivery)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(delivery.run_forever())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    routes = APIRouter(prefix="/slack", tags=["slack"], lifespan=lifespan)

    @routes.post("/interactions")
    async def interactions(request: Request) -> Response:
        """A click on a card: 200 means that it is stored for good."""
        body = await door.body(request)
        if not _is_form(request):
            return problem(415, f"the content type must be {FORM}", request=request)
        async with _in_time():
            await door.keep(body, correlation_id(request))
        return Response(status_code=200)

    @routes.post("/commands")
    async def commands(request: Request) -> Response:
        """`/forewarn start TITLE`, `list` or `help`."""
        body = await door.body(request)
        if not _is_form(request):
            return problem(415, f"the content type must be {FORM}", request=request)
        given = read_command(body)
        async with _in_time():
            text = await door.command(given, correlation_id(request))
        return JSONResponse({"response_type": "ephemeral", "text": text})

    return routes


def _shut() -> APIRouter:
    """Without a signing secret nobody can be told from Slack, so nobody is let in."""
    routes = APIRouter(prefix="/slack", tags=["slack"])

    @routes.post("/interactions")
    @routes.post("/commands")
    async def refuse() -> Response:
        """Refuse everybody."""
        raise Unauthorized("SLACK_SIGNING_SECRET is not set: nobody is let in")

    return routes


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except TimeoutError as error:
        raise Transient("the database did not answer in time; nothing was stored") from error


def _is_form(request: Request) -> bool:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media == FORM
