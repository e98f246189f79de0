"""The gallery from beginning to end: draft, check, write pages, take pictures."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from domain.message import Channel, Moment
from domain.policy import Policy
from runtime.gallery.cases import PUBLIC_URL, Cases, load_cases
from runtime.gallery.check import missing_words, problems
from runtime.gallery.pictures import Camera, CameraError
from runtime.gallery.shown import Printer, Shown
from runtime.gallery.site import Gallery, Site, Tale, by_channel, plain

# These incidents get a contact sheet of their mails at every moment, the first also of the rest.
PHOTOGRAPHED = ("P1", "maintenance")
# And these of one moment, which is enough to see whether the layout holds.
AWKWARD = {"bare": Moment.INITIAL, "six": Moment.INITIAL, "long": Moment.UPDATE,
           "holding": Moment.UPDATE, "setback": Moment.UPDATE,
           "moved": Moment.MAINTENANCE_NOTICE, "cancelled": Moment.MAINTENANCE_DONE,
           "quiet": Moment.MAINTENANCE_NOTICE}  # fmt: skip
SHORT = (Channel.SMS, Channel.IN_APP, Channel.SOCIAL)
Say = Callable[[str], None]


async def draft_all(policy: Policy, content_dir: Path, say: Say) -> Gallery:
    """Every text of every moment and incident, and all that is wrong with them."""
    cases = load_cases(content_dir)
    printer = Printer(policy, content_dir, PUBLIC_URL, cases.now)
    written = {moment: printer.languages(moment) for moment in Moment}
    gallery = Gallery(
        policy,
        cases,
        problems=list(missing_words(policy, content_dir)),
        unwritten=tuple(moment for moment, locales in written.items() if not locales),
    )
    todo = [
        (name, moment)
        for moment in Moment
        for name, case in cases.cases.items()
        if written[moment] and moment in case.moments
    ]
    began = time.monotonic()
    for at, (name, moment) in enumerate(todo, start=1):
        facts = cases.facts(name, moment, policy, PUBLIC_URL)
        readers = [cases.recipient(name, locale) for locale in written[moment]]
        shown = await printer.show(facts, readers)
        gallery.tales.append(Tale(name, moment, shown))
        gallery.problems += (f"{name} {line}" for line in problems(facts, shown, policy))
        if time.monotonic() - began > 1:
            say(f"drafted {at} of {len(todo)}: {plain(moment)}, {name}")
    return gallery


def photograph(gallery: Gallery, site: Site, camera: Camera, say: Say) -> list[str]:
    """Contact sheets as PNG; what does not fit a phone is added to the gallery's problems."""
    todo = list(_sheets(gallery))
    taken = []
    for at, (name, title, shown) in enumerate(todo, start=1):
        say(f"picture {at} of {len(todo)}: {name}")
        page = site.sheet(name, title, shown)
        try:
            measured = camera.photograph(page, page.with_suffix(".png"))
        except CameraError as error:
            gallery.problems.append(f"no picture: {error}")
            continue
        gallery.problems += (f"sheet {name}: {line}" for line in measured.found)
        taken.append(name)
    return taken


def fresh_folder(folder: Path) -> Path:
    """An empty folder for the gallery: pages of moments that are gone must not stay."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def _sheets(gallery: Gallery) -> Iterator[tuple[str, str, list[Shown]]]:
    for tale in gallery.tales:
        whole = tale.case in PHOTOGRAPHED
        if not whole and AWKWARD.get(tale.case) is not tale.moment:
            continue
        title = f"{plain(tale.moment)} · {_title(gallery.cases, tale.case)}"
        texts = by_channel(tale.shown)
        name = f"{tale.moment.value}-{tale.case}"
        yield f"{name}-mail", f"{title} · mail on a phone of 360 px", texts[Channel.EMAIL]
        if whole:
            short = [one for channel in SHORT for one in texts.get(channel, [])]
            yield f"{name}-short", f"{title} · SMS, banner, social", short
            yield f"{name}-page", f"{title} · status page", texts[Channel.STATUS_PAGE]


def _title(cases: Cases, name: str) -> str:
    return cases.cases[name].title
