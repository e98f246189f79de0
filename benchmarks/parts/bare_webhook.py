"""What anybody would write first: `python -m benchmarks.parts.bare_webhook PORT`.

A FastAPI handler that checks the same signature and inserts one row with psycopg: no grouping, no
incident, no validation, no duplicates told apart by anything but the key of the row.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
from asyncio import Queue
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

CONNECTIONS = 20
CREATE = """
    CREATE TABLE IF NOT EXISTS bare_alerts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, delivery text UNIQUE, body jsonb,
        received_at timestamptz DEFAULT now())
"""
INSERT = "INSERT INTO bare_alerts (delivery, body) VALUES (%s, %s) ON CONFLICT DO NOTHING"


def application() -> FastAPI:
    """The one handler; the database and the secret come from the environment."""
    secret = os.environ["GENERIC_WEBHOOK_SECRET"].encode()
    pool: Queue[AsyncConnection] = Queue()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for number in range(CONNECTIONS):
            connection = await AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True)
            if number == 0:
                await connection.execute(CREATE)
            pool.put_nowait(connection)
        yield
        while not pool.empty():
            await pool.get_nowait().close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/webhooks/generic")
    async def receive(request: Request) -> JSONResponse:
        raw = await request.body()
        expected = "sha256=" + hmac.new(secret, raw, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers.get("x-forewarn-signature", ""), expected):
            raise HTTPException(401)
        body = await request.json()
        connection = await pool.get()
        try:
            await connection.execute(INSERT, (body["id"], Jsonb(body)))
        finally:
            pool.put_nowait(connection)
        return JSONResponse({"disposition": "stored"}, 202)

    return app


if __name__ == "__main__":
    uvicorn.run(application(), port=int(sys.argv[1]), access_log=False, log_level="warning")
