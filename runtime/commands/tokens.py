"""`tokens …`: who may use the staff API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import Audit
from adapters.db.engine import make_engine
from adapters.db.tokens import Tokens
from domain.roles import Role
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    database_url,
    emit,
    run_async,
)

app = typer.Typer(help="Create and revoke staff tokens.", no_args_is_help=True)
BY = "command line"
T = TypeVar("T")


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will hold it.")],
    role: Annotated[
        list[str] | None, typer.Option("--role", help=f"{', '.join(Role)}; may be repeated.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Create a token and print its secret, which is shown this once; default role: viewer."""
    roles = role or [Role.VIEWER]

    async def work(engine: AsyncEngine) -> dict[str, Any]:
        secret = await Tokens(engine).create(name, roles)
        made = await Tokens(engine).find(secret)
        token_id = made.id if made else None
        body: dict[str, object] = {"change": "created", "token": token_id, "roles": list(roles)}
        await Audit(engine).append("token", BY, body, datetime.now(UTC))
        return {"id": token_id, "name": name, "roles": [str(r) for r in roles], "token": secret}

    emit(_with_engine(database_url(data_dir), work), as_json)


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="The token's id or name.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """End a token, and every session that was opened with it."""

    async def work(engine: AsyncEngine) -> list[dict[str, Any]]:
        now = datetime.now(UTC)
        ended = await Tokens(engine).revoke(token, now)
        for one in ended:
            body: dict[str, object] = {"change": "revoked", "token": one.id}
            await Audit(engine).append("token", BY, body, now)
        return [one.model_dump(mode="json") for one in ended]

    emit(_with_engine(database_url(data_dir), work), as_json)


def _with_engine(url: str, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    async def run() -> T:
        engine = make_engine(url, pool_size=2)
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    return run_async(run())
