"""The policy that commands go by: the one in force, as gateway and workers do."""

from __future__ import annotations

from pathlib import Path

from adapters.db.engine import make_engine
from adapters.db.policies_in_force import PoliciesInForce
from domain.errors import BadInput
from domain.policy import Policy
from runtime.commands.common import fail, run_async
from runtime.policy_file import load_policy
from runtime.settings import DEFAULT_POLICY, environment


def policy_in_force(url: str) -> Policy:
    """The policy in force in a database; before the first start, that of the programs' file."""

    async def look() -> Policy | None:
        engine = make_engine(url, pool_size=1)
        try:
            store = PoliciesInForce(engine)
            ruling = await store.now()
            return await store.policies.by_hash(ruling) if ruling else None
        finally:
            await engine.dispose()

    found = run_async(look())
    if found is not None:
        return found
    try:
        return load_policy(Path(environment().get("FOREWARN_POLICY") or DEFAULT_POLICY))
    except BadInput as error:
        fail(str(error).replace("\n", "; "))
