"""Where monitors deliver: check who it is, store what it says, tell the workflow."""

from __future__ import annotations

import asyncio

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from domain.drill import drilled
from domain.errors import NotFound, Unauthorized
from domain.signal import Signal
from gateway.deps import Deps
from gateway.drills import Drill
from gateway.problems import correlation_id, problem
from runtime.doors import Accepted
from runtime.relay import TemporalDown

log = structlog.get_logger(__name__)

# The answer for a delivery of several alerts is that of the one that mattered most.
SIGNIFICANCE = ("started", "suspected", "stored", "resolved", "folded", "suppressed", "ignored",
                "duplicate")  # fmt: skip
# The bridge waits for the answer; the relay loop does not.
TELL_SECONDS = 2.0
PATH = "/webhooks/{source}"
# One line in the log for each of these would be a storm of its own; their rows tell it all.
QUIET = frozenset({"folded", "duplicate"})


def router(deps: Deps) -> APIRouter:
    """The route of all monitors, as the API's description shows it."""
    routes = APIRouter(tags=["webhooks"])
    door = Door(deps)

    @routes.post(PATH, status_code=202)
    async def receive(
        source: str, request: Request, dry_run: bool = False, speed: int = 1
    ) -> JSONResponse:
        """Take a monitor's delivery; 202 means that it is stored for good.

        `dry_run`: an exercise; its incident is kept apart from real ones and nothing of it leaves.
        `speed`: so many times faster the policy's cadences run in it.
        """
        return await door.take(source, request)

    return routes


class Door:
    """What the route does."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def straight(self, request: Request) -> JSONResponse:
        """The same past FastAPI, whose way here costs more than all that is done with an alert."""
        return await self.take(request.path_params["source"], request)

    async def take(self, source: str, request: Request) -> JSONResponse:
        """Check, store, tell; 202 means that it is stored for good."""
        deps = self._deps
        known = deps.sources.get(source)
        if known is None:
            raise NotFound(f"no such source; there are: {', '.join(sorted(deps.sources))}")
        body = await request.body()
        if known.secret is None:
            _suspicious(request, source, "no secret is configured")
            raise Unauthorized(f"{source.upper()}_WEBHOOK_SECRET is not set: nobody is let in")
        try:
            known.monitor.verify(request.headers, body, known.secret)
        except Unauthorized as error:
            _suspicious(request, source, str(error))
            raise
        if not _is_json(request):
            detail = "the content type must be application/json or end in +json"
            return problem(415, detail, request=request)
        drill = Drill.asked(request)
        signals = known.monitor.parse(body)
        # Begun in their order, which the intake keeps; together they cost one commit.
        accepted = await asyncio.gather(
            *(_store(deps, signal, correlation_id(request), drill) for signal in signals)
        )
        told = await _tell(deps, accepted)
        return JSONResponse(_answer(accepted, told), 202)


async def _store(
    deps: Deps, signal: Signal, correlation: str, drill: Drill | None = None
) -> Accepted:
    policy, policy_hash = deps.policy, deps.policy_hash
    if drill is not None:
        signal = drilled(signal)
        policy, policy_hash = await drill.policy(deps)
    accepted = await deps.intake.receive(
        signal,
        policy,
        now=deps.now(),
        correlation_id=correlation,
        dry_run=deps.dry_run or drill is not None,
        policy_hash=policy_hash,
    )
    if accepted.disposition not in QUIET:
        log.info(
            "signal_stored",
            source=signal.source,
            signal_id=accepted.signal_id,
            incident_id=accepted.incident_id,
            disposition=accepted.disposition,
        )
    return accepted


async def _tell(deps: Deps, accepted: list[Accepted]) -> bool:
    """Tell the workflows; False when Temporal is down and the relay loop has to."""
    news = [a.incident_id for a in accepted if a.incident_id and a.disposition != "duplicate"]
    try:
        for incident_id in dict.fromkeys(news):
            await deps.relay.relay_now(incident_id, TELL_SECONDS)
    except TemporalDown:
        log.warning("signal_waits_for_temporal", incidents=len(set(news)))
        return False
    return True


def _answer(accepted: list[Accepted], told: bool) -> dict[str, object]:
    """The answer to the bridge; `signals` holds one for each when there were several."""
    if not accepted:
        return {"signal_id": None, "incident_id": None, "disposition": "ignored"}
    answers = [
        a
        if told or a.incident_id is None or a.disposition == "duplicate"
        else a.model_copy(update={"disposition": "stored"})
        for a in accepted
    ]
    first = min(answers, key=lambda a: SIGNIFICANCE.index(a.disposition))
    answer: dict[str, object] = first.model_dump()
    if len(answers) > 1:
        answer["signals"] = [a.model_dump() for a in answers]
    return answer


def _is_json(request: Request) -> bool:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")


def _suspicious(request: Request, source: str, why: str) -> None:
    client = request.client.host if request.client else None
    log.warning("webhook_refused", security=True, source=source, client=client, reason=why)
