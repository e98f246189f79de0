"""How the HTML mail looks: on a phone, in the dark, and in programs without style sheets."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from domain.message import Channel, Moment
from domain.policy import Policy
from runtime.gallery.cases import PUBLIC_URL, load_cases
from runtime.gallery.pictures import Camera, CameraError, browser
from runtime.gallery.shown import Printer, Shown
from runtime.gallery.site import DARK, Site, shown_in

CONTENT = Path(__file__).parents[2] / "content"
CASES = load_cases(CONTENT)
# WCAG 2.2, level AA, for text.
CONTRAST = 4.5


async def mails(policy: Policy, case: str, moment: Moment) -> list[Shown]:
    facts = CASES.facts(case, moment, policy, PUBLIC_URL)
    readers = [CASES.recipient(case, locale) for locale in policy.locales]
    printer = Printer(policy, CONTENT, PUBLIC_URL, CASES.now)
    return await printer.show(facts, readers, (Channel.EMAIL,))


async def html(policy: Policy) -> str:
    [mail, *_] = await mails(policy, "P1", Moment.UPDATE)
    assert mail.mail is not None
    return mail.mail


def luminance(colour: str) -> float:
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


async def test_every_mail_says_its_language_and_what_it_is_about(policy: Policy) -> None:
    for mail in await mails(policy, "six", Moment.RESOLUTION):
        page = mail.mail or ""
        assert page.startswith("<!DOCTYPE html>") and f'<html lang="{mail.locale}"' in page
        preheader = re.search(r'opacity:0">([^<]+)</div>', page)
        assert preheader is not None and len(preheader[1]) > 20, mail.locale
        assert preheader[1][:20] in mail.text.replace("\n", " ")
        assert 'content="width=device-width' in page and 'content="light dark"' in page


async def test_it_holds_without_a_style_sheet(policy: Policy) -> None:
    page = await html(policy)
    body = page[page.index("<body") :]
    tables = re.findall(r"<table[^>]*>", body)
    assert tables and all('role="presentation"' in t or "style=" in t for t in tables)
    facts = re.findall(r"<t[hd] [^>]*>", body[body.index('class="facts"') :])
    assert len(facts) >= 10 and all("style=" in cell for cell in facts)
    assert "color:#" in body and "background:#ffffff" in body and 'bgcolor="#ffffff"' in body
    # Outlook lays tables out, not boxes.
    assert "[if mso]" in body and 'width="600"' in body
    assert not re.search(r"display:\s*(?:flex|grid)|position:|<script|<img", page)


async def test_colours_can_be_read_in_the_light_and_in_the_dark(policy: Policy) -> None:
    page = await html(policy)
    light, dark = page[: page.index(DARK)], page[page.index(DARK) :]
    body = page[page.index("<body") :]
    card, outer = "#ffffff", "#f3f4f6"
    assert f"background:{card}" in body and f"background:{outer}" in body
    for colour in set(re.findall(r"(?<![-\w])color:\s*(#[0-9a-f]{6})", light + body)):
        assert contrast(colour, card) >= CONTRAST and contrast(colour, outer) >= CONTRAST, colour
    rules = dark[: dark.index("</style>")]
    grounds = re.findall(r"background: (#[0-9a-f]{6})", rules)
    inks = re.findall(r"[ {;]color: (#[0-9a-f]{6})", rules)
    assert len(grounds) == 2 and len(inks) == 3
    for ink in inks:
        for ground in grounds:
            assert contrast(ink, ground) >= CONTRAST, (ink, ground)


async def test_light_and_dark_are_chosen_by_the_page_not_by_the_screen(policy: Policy) -> None:
    page = await html(policy)
    assert "@media all" in shown_in(page, "dark") and DARK not in shown_in(page, "dark")
    assert "@media not all" in shown_in(page, "light")
    with pytest.raises(ValueError, match="prefers-color-scheme"):
        shown_in("<p>no style</p>", "dark")


@pytest.mark.slow
async def test_long_names_fit_a_phone_and_what_does_not_is_found(
    policy: Policy, tmp_path: Path
) -> None:
    program = browser()
    if program is None:
        pytest.skip("no Chromium on the PATH: what it would measure is not measured")
    shown = await mails(policy, "long", Moment.UPDATE)
    site, camera = Site(CONTENT, tmp_path), Camera(program)
    page = site.sheet("good", "all languages", shown)
    measured = camera.photograph(page, tmp_path / "good.png")
    assert measured.found == () and measured.height > 1000
    assert (tmp_path / "good.png").read_bytes().startswith(b"\x89PNG")

    mail = (shown[0].mail or "").replace("padding: 10px 0", "padding: 0")
    wide = mail.replace('<div class="body">', '<div class="body" style="white-space:nowrap">')
    broken = replace(shown[0], mail=wide)
    measured = camera.photograph(site.sheet("bad", "one", [broken]), tmp_path / "bad.png")
    assert any("px wide on a phone of 360" in line for line in measured.found)
    assert any("a link of" in line for line in measured.found)


def test_a_browser_that_fails_says_so(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho nonsense >&2\nexit 3\n")
    program.chmod(0o755)
    (tmp_path / "page.html").write_text("<p>")
    with pytest.raises(CameraError, match=r"page\.html: exit 3 nonsense"):
        Camera(str(program)).photograph(tmp_path / "page.html", tmp_path / "p.png")
    program.write_text("#!/bin/sh\necho '<p>'\n")
    with pytest.raises(CameraError, match="did not measure itself"):
        Camera(str(program)).photograph(tmp_path / "page.html", tmp_path / "p.png")
