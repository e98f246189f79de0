"""Deliveries that are an exercise: marked as such in the address, never in what a monitor says."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from domain.drill import MAX_SPEED, sped_up
from domain.errors import BadInput, FieldError
from domain.policy import Policy
from gateway.deps import Deps
from runtime.policies import policies_in_force

ANSWERS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Drill:
    """How many times faster than the policy says it runs."""

    speed: int = 1

    @classmethod
    def asked(cls, request: Request) -> Drill | None:
        """What the address asks for; None for a real delivery. Raises BadInput.

        A misspelt wish for an exercise must not become a real incident, so nothing is guessed.
        """
        given = request.query_params
        strange = [name for name in given if name not in ("dry_run", "speed")]
        faults = [
            FieldError(field=name[:80], value=given[name][:80], allowed="only dry_run and speed")
            for name in strange
            if name.replace("-", "_").lower() in ("dry_run", "dryrun", "drill", "speed")
        ]
        wish = ANSWERS.get(given.get("dry_run", "false").lower())
        if wish is None:
            faults.append(_fault("dry_run", given["dry_run"], "true or false"))
        speed = given.get("speed", "1")
        if not (speed.isascii() and speed.isdigit() and 1 <= int(speed[:9]) <= MAX_SPEED):
            faults.append(_fault("speed", speed, f"a whole number from 1 to {MAX_SPEED}"))
        elif not wish and int(speed) != 1:
            faults.append(_fault("speed", speed, "1, unless dry_run is true"))
        if faults:
            raise BadInput("the address asks for something that does not exist", faults)
        return cls(int(speed)) if wish else None

    async def policy(self, deps: Deps) -> tuple[Policy, str]:
        """The policy that rules the exercise, kept so that its workflow finds it."""
        if self.speed == 1:
            return deps.policy, deps.policy_hash
        known = _FASTER.get((deps.policy_hash, self.speed))
        if known is None:
            faster = sped_up(deps.policy, self.speed)
            known = _FASTER[deps.policy_hash, self.speed] = (faster, faster.hash)
        # Saved each time: the database may have been restored from before the last exercise.
        store = policies_in_force(deps.engine).policies
        await store.save(known[0], f"drill at {self.speed} times", deps.now())
        return known


# Making one takes longer than deciding about an alert; there are at most as many as speeds.
_FASTER: dict[tuple[str, int], tuple[Policy, str]] = {}


def _fault(name: str, value: str, allowed: str) -> FieldError:
    return FieldError(field=name, value=value[:80], allowed=allowed)
