"""`draft diff`, `edit`, `post-mortem` and `analytics edits` against the real doors."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from adapters.db.drafts import DraftStore
from adapters.db.post_mortems import PostMortemStore
from domain.message import Channel, DraftText
from domain.policy import Policy
from starter import app
from tests.gateway.staff_kit import Kit, make_incident, staff_kit

HOST = "127.0.0.1"


@pytest.fixture
async def kit(
    engine: AsyncEngine, policy: Policy, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Kit]:
    async with staff_kit(engine, policy, now) as opened:
        # It listens at once: whoever is faster than the server waits in line.
        listening = socket.create_server((HOST, 0))
        port = listening.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(opened.app, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        monkeypatch.setenv("FOREWARN_TOKEN", opened.secrets["responder"])
        monkeypatch.setenv("FOREWARN_PUBLIC_URL", f"http://{HOST}:{port}")
        yield opened
        server.should_exit = True
        await serving


async def run(*arguments: str) -> Any:
    """The finished command: exit code, output and errors."""
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))


async def edited(kit: Kit) -> str:
    """An incident whose draft 1 was edited into draft 2."""
    incident_id = await make_incident(kit)
    drafts = DraftStore(kit.deps.engine)
    base = await drafts.load(incident_id, 1)
    mail = next(t for t in base.texts if t.channel is Channel.EMAIL)
    edit = DraftText(
        channel=mail.channel, locale=mail.locale, subject=mail.subject,
        text=mail.text + "\n\nWe are truly with you.\x1b[31m",
    )  # fmt: skip
    made = await drafts.edited(incident_id, 1, [edit], "Ada", kit.clock())
    await drafts.save(made, "e", supersede=False)
    return incident_id


async def test_a_diff_is_shown_as_text_that_steers_no_terminal(kit: Kit) -> None:
    incident_id = await edited(kit)
    done = await run("draft", "diff", incident_id, "--draft", "2")
    assert done.exit_code == 0, done.output
    assert "email en text\n@@ " in done.stdout and "+We are truly with you." in done.stdout
    assert "\x1b" not in done.stdout
    plain = await run("draft", "diff", incident_id)
    assert plain.stdout == "version 1 is no edit of another\n"
    back = await run("draft", "diff", incident_id, "--draft", "1", "--against", "2", "--json")
    assert "-We are truly with you." in json.loads(back.stdout)["changes"][0]["diff"]
    assert (await run("draft", "diff", incident_id, "--draft", "9")).exit_code == 1


async def test_a_post_mortem_is_stated_and_shown(kit: Kit, tmp_path: Path) -> None:
    incident_id = await make_incident(kit)
    nothing = await run("post-mortem", "show", incident_id)
    assert nothing.exit_code == 1 and "Nothing is written yet" in nothing.stderr
    file = tmp_path / "statement.json"
    file.write_text('{"summary": "Payments failed.", "cause": "See OPS-1234."}')
    refused = await run("post-mortem", "write", incident_id, str(file))
    assert refused.exit_code == 1 and "cause:4" in refused.stderr and "ticket_id" in refused.stderr
    file.write_text('{"summary": "Payments failed."}')
    kept = await run("post-mortem", "write", incident_id, str(file), "--json")
    assert json.loads(kept.stdout) == {"incident_id": incident_id, "rewriting": False}
    file.write_text("{")
    assert (await run("post-mortem", "write", incident_id, str(file))).exit_code == 2
    await PostMortemStore(kit.deps.engine).save_internal(
        incident_id, True, None, "# Post-mortem\n\n- one\n", 1
    )
    shown = await run("post-mortem", "show", incident_id)
    assert shown.stdout == "# Post-mortem\n\n- one\n\n"
    html = await run("post-mortem", "show", incident_id, "--form", "html")
    assert "<h1>Post-mortem</h1>" in html.stdout


async def test_the_report_on_edits(kit: Kit) -> None:
    await edited(kit)
    done = await run("analytics", "edits", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["shares"] == []
    told = await run("analytics", "edits")
    assert "nothing was approved" in told.stdout
    assert (await run("analytics", "edits", "--since", "yesterday")).exit_code == 1
