"""The gallery as files: an index, a page per moment and incident, a page per language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from domain.message import Channel, Moment
from domain.policy import Policy
from runtime.gallery.cases import Cases
from runtime.gallery.shown import Shown

DARK = "@media (prefers-color-scheme: dark)"
# A frame follows the screen of whoever looks, so the choice is written into its style sheet.
_MODES = {"light": "@media not all", "dark": "@media all"}


@dataclass(frozen=True)
class Tale:
    """One moment of one incident with all its texts."""

    case: str
    moment: Moment
    shown: Sequence[Shown]


@dataclass
class Gallery:
    """What there is to look at, as far as it is drafted."""

    policy: Policy
    cases: Cases
    tales: list[Tale] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unwritten: tuple[Moment, ...] = ()

    @property
    def moments(self) -> tuple[Moment, ...]:
        return tuple(dict.fromkeys(tale.moment for tale in self.tales))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tale.case for tale in self.tales))

    @property
    def locales(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.locale for tale in self.tales for one in tale.shown))

    def counts(self) -> dict[str, int]:
        """How much there is, for people and scripts."""
        return {
            "texts": sum(len(tale.shown) for tale in self.tales),
            "moments": len(self.moments),
            "cases": len(self.names),
            "channels": len({one.channel for tale in self.tales for one in tale.shown}),
            "languages": len(self.locales),
            "problems": len(self.problems),
        }


def shown_in(mail: str, mode: str) -> str:
    """A mail as a light or a dark screen shows it, whatever the screen of whoever looks."""
    if DARK not in mail:
        raise ValueError(f"the mail has no {DARK!r}")
    return mail.replace(DARK, _MODES[mode])


class Site:
    """Writes pages from `content/gallery` into a folder."""

    def __init__(self, content_dir: Path, folder: Path) -> None:
        self.folder = folder
        self._env = Environment(
            loader=FileSystemLoader(content_dir / "gallery"),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.filters["shown_in"] = shown_in

    def write(self, gallery: Gallery) -> int:
        """All pages, the index without pictures; returns how many."""
        for tale in gallery.tales:
            self._tale(gallery, tale)
        for locale in gallery.locales:
            self._language(gallery, locale)
        self.index(gallery, ())
        return len(gallery.tales) + len(gallery.locales) + 1

    def index(self, gallery: Gallery, sheets: Sequence[str]) -> Path:
        """The page that leads to all others, to the contact sheets, and to what is wrong."""
        page = self._env.get_template("index.html.j2").render(
            company=gallery.policy.company.name,
            counts=gallery.counts(),
            problems=gallery.problems,
            unwritten=[moment.value for moment in gallery.unwritten],
            moments=gallery.moments,
            cases={name: gallery.cases.cases[name] for name in gallery.names},
            pages={(tale.moment, tale.case) for tale in gallery.tales},
            locales=gallery.locales,
            sheets=sheets,
        )
        return self._save("index.html", page)

    def sheet(self, name: str, title: str, shown: Sequence[Shown]) -> Path:
        """A contact sheet to be photographed."""
        page = self._env.get_template("sheet.html.j2").render(title=title, shown=shown)
        return self._save(f"sheets/{name}.html", page)

    def preview(self, path: Path, title: str, note: str, shown: Sequence[Shown]) -> None:
        """One page with the texts of one real moment."""
        page = self._env.get_template("moment.html.j2").render(
            title=title, note=note, shown=shown, moments=(), names=(), here=None
        )
        path.write_text(page, "utf-8")

    def _tale(self, gallery: Gallery, tale: Tale) -> None:
        there = [t for t in gallery.tales if t.moment is tale.moment]
        page = self._env.get_template("moment.html.j2").render(
            title=f"{plain(tale.moment)}: {gallery.cases.cases[tale.case].title}",
            note="",
            shown=tale.shown,
            moments=[t.moment for t in gallery.tales if t.case == tale.case],
            names=[t.case for t in there],
            here=(tale.moment.value, tale.case),
        )
        self._save(f"{tale.moment.value}/{tale.case}.html", page)

    def _language(self, gallery: Gallery, locale: str) -> None:
        told = [
            (moment.value, list(_in_language(gallery, moment, locale)))
            for moment in gallery.moments
        ]
        page = self._env.get_template("language.html.j2").render(
            locale=locale, locales=gallery.locales, told=told
        )
        self._save(f"language/{locale}.html", page)

    def _save(self, name: str, page: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, "utf-8")
        return path


def _in_language(
    gallery: Gallery, moment: Moment, locale: str
) -> Iterable[tuple[str, list[Shown]]]:
    for tale in gallery.tales:
        if tale.moment is moment:
            shown = [one for one in tale.shown if one.locale == locale]
            yield gallery.cases.cases[tale.case].title, shown


def plain(moment: Moment) -> str:
    """A moment's key as words."""
    return moment.value.replace("_", " ")


def by_channel(shown: Iterable[Shown]) -> Mapping[Channel, list[Shown]]:
    """Texts by channel, in the order of the channels."""
    found: dict[Channel, list[Shown]] = {}
    for one in shown:
        found.setdefault(one.channel, []).append(one)
    return found
