"""`gallery`: everything that can be said, as one static site with contact sheets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.errors import BadInput
from domain.message import Channel, Recipient
from domain.policy import Policy
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    emit,
    fail,
    one_line,
    run_async,
)
from runtime.gallery.build import draft_all, fresh_folder, photograph
from runtime.gallery.cases import PUBLIC_URL, load_cases
from runtime.gallery.pictures import Camera, browser, lacks_japanese
from runtime.gallery.recorded import load_mapping, pick, read_records, story, with_components
from runtime.gallery.shown import Printer
from runtime.gallery.site import Site
from runtime.policy_file import load_policy
from runtime.settings import DEFAULT_POLICY, environment

app = typer.Typer()
CONTENT = Path(__file__).parents[2] / "content"
# More lines than these are read on the page.
SHOWN = 20


@app.command()
def gallery(
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Contact sheets as PNG.")
    ] = True,
    recorded: Annotated[
        Path | None,
        typer.Option(help="Instead, print mails of twenty incidents recorded in this JSONL file."),
    ] = None,
    locale: Annotated[str, typer.Option(help="Language of these twenty.")] = "en",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Write every message in every language for people to look through; exit 1 if one is faulty."""
    policy = _policy(Path(environment().get("FOREWARN_POLICY") or DEFAULT_POLICY))
    if recorded is not None:
        mails = run_async(_twenty(recorded, locale, policy))
        for shown in [mails] if as_json else mails:
            emit(shown, as_json)
        return

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    found = run_async(draft_all(policy, CONTENT, say))
    site = Site(CONTENT, fresh_folder(data_dir / "gallery"))
    # Pictures take minutes: whoever interrupts them has the pages.
    pages = site.write(found)
    program = browser() if pictures else None
    sheets = photograph(found, site, Camera(program), say) if program else []
    index = site.index(found, sheets)
    answer: dict[str, Any] = {
        **found.counts(),
        "pages": pages,
        "sheets": len(sheets),
        "index": str(index),
    }
    emit(answer | ({"problems": found.problems} if as_json else {}), as_json)
    if program is None and pictures:
        say("No pictures: put Chromium on the PATH (on Debian: apt-get install chromium).")
    elif program and lacks_japanese():
        say("No font has Japanese letters: on Debian, apt-get install fonts-noto-cjk.")
    if found.unwritten:
        say(f"Not written, and sent nowhere: {', '.join(m.value for m in found.unwritten)}")
    if found.problems:
        for line in [] if as_json else found.problems[:SHOWN]:
            sys.stderr.write(one_line(line) + "\n")
        fail(f"{len(found.problems)} problems; all of them are on {answer['index']}")


def _policy(path: Path) -> Policy:
    try:
        return load_policy(path)
    except BadInput as error:
        fail(f"{path}: {error}")


async def _twenty(file: Path, locale: str, policy: Policy) -> list[dict[str, str]]:
    """The twenty mails that a person reads to judge the templates by real incidents."""
    records, mapping = read_records(file), load_mapping(CONTENT)
    policy, reader = with_components(policy, records), load_cases(CONTENT).readers.get(locale)
    mails = []
    for chosen in mapping.twenty:
        record, at = pick(records, chosen)
        entry, facts = story(record, mapping, policy)[at]
        printer = Printer(policy, CONTENT, PUBLIC_URL, entry.at)
        to = Recipient(
            delivery_id=1,
            contact_id="con_gallery",
            name=reader.name if reader else None,
            locale=locale,
            timezone=reader.timezone if reader else "UTC",
            reason=f"uses {', '.join(facts.components)}",
        )
        [mail] = await printer.show(facts, [to], (Channel.EMAIL,))
        mails.append(
            {
                "incident": record.id,
                "kind": chosen.kind,
                "subject": mail.subject or "",
                "text": f"\n\n{mail.text}",
                "findings": ", ".join(f"{f.rule}: {f.found}" for f in mail.findings) or "none",
            }
        )
    return mails
