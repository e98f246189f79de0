"""How `incident preview` shows texts: in the terminal, as JSON, or as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from adapters.db.engine import make_engine
from domain.errors import BadInput, FieldError
from domain.message import Moment
from runtime.commands.common import database_url, emit, fail, run_async, stack
from runtime.gallery.shown import Shown
from runtime.gallery.site import Site, plain
from runtime.preview import CONTENT, Preview, preview
from runtime.settings import environment


def written_now(
    data_dir: Path, incident_id: str, moment: str | None, message: str | None
) -> Preview:
    """What would be said, read from the database; ends the command where nothing would be."""
    url = database_url(data_dir)
    public_url = environment().get("FOREWARN_PUBLIC_URL") or stack(data_dir).gateway

    async def work() -> Preview:
        engine = make_engine(url, pool_size=1)
        try:
            wanted = None if moment is None else _moment(moment)
            now = datetime.now(UTC)
            return await preview(engine, incident_id, public_url.rstrip("/"), now, wanted, message)
        finally:
            await engine.dispose()

    return run_async(work())


def _moment(name: str) -> Moment:
    try:
        return Moment(name)
    except ValueError:
        known = ", ".join(Moment)
        fault = FieldError(field="--moment", value=name, allowed=known)
        raise BadInput("there is no such moment", [fault]) from None


def as_rows(found: Preview, locale: str | None) -> list[dict[str, Any]]:
    """The texts in the shape of a draft of the staff API, as far as they have it."""
    return [
        {
            "version": found.version,
            "moment": found.facts.moment.value,
            "number": found.facts.number,
            "channel": one.channel.value,
            "locale": one.locale,
            "subject": one.subject,
            "text": one.text,
            "html": one.mail or one.html,
            "findings": [f.model_dump() for f in one.findings],
        }
        for one in in_language(found.shown, locale)
    ]


def write_page(found: Preview, locale: str | None, file: Path) -> None:
    """One page with every text, mails as phones and desks show them, light and dark."""
    kept = f"version {found.version}" if found.version else "as it would be written now; not kept"
    site = Site(CONTENT, file.parent)
    try:
        site.preview(
            file,
            f"{plain(found.facts.moment)} of {found.facts.incident_id}",
            f"{found.facts.severity}, {kept}. Nothing was sent.",
            in_language(found.shown, locale),
        )
    except OSError as error:
        fail(f"{file}: {error.strerror or error}")
    emit({"page": str(file)}, False)


def in_language(shown: Sequence[Shown], locale: str | None) -> list[Shown]:
    """The texts of one language, or all; ends the command where there are none of that language."""
    kept = [one for one in shown if locale in (None, one.locale)]
    if not kept:
        fail(f"No text in {locale!r}; there are {', '.join(sorted({s.locale for s in shown}))}")
    return kept


def show_texts(texts: Sequence[Mapping[str, Any]]) -> None:
    """Texts one below the other, each with its channel, language and findings."""
    for text in texts:
        version = f"version {text['version']}" if text["version"] else "not kept"
        typer.secho(f"{text['channel']} · {text['locale']} · {version}", bold=True)
        if text["subject"]:
            emit({"subject": text["subject"]}, False)
        emit(text["text"] + "\n", False)
        for finding in text["findings"]:
            emit({finding["rule"]: f"{finding['found']} ({finding['suggestion']})"}, False)


def show_radius(radius: Mapping[str, Any]) -> None:
    """The blast radius in a few lines; `…/blast-radius` of the API has all of it."""
    told = radius["summary"]
    short = {
        channel: f"{reach['reached']}, left out: {_counts(reach['suppressed'])}"
        for channel, reach in radius["channels"].items()
    }
    typer.secho("blast radius", bold=True)
    emit(
        {
            "reaches": f"recipients {told['recipients']}, accounts {told['accounts']}",
            **short,
            **{name: _counts(told[name]) for name in ("plans", "regions", "locales")},
            "why": _counts(told["reasons"]),
            "left out": _counts(told["exclusions"]),
            "value": f"{radius['value']:,.0f} a year",
            "data as of": told["data_as_of"],
            **({"warning": f"data older than {radius['age_limit']}"} if told["stale"] else {}),
        },
        False,
    )
    emit("", False)


def _counts(counts: Mapping[str, int]) -> str:
    named = (f"{key.replace('_', ' ')} {number}" for key, number in counts.items())
    return ", ".join(named) or "none"
