"""The gallery shows everything there is, and fails where something is missing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urljoin

import pytest
import yaml
from typer.testing import CliRunner

from domain.errors import BadInput
from domain.message import Channel, Facts, Finding, Moment
from domain.policy import Policy
from domain.signal import Severity
from runtime.commands.gallery import app
from runtime.gallery.build import draft_all, fresh_folder
from runtime.gallery.cases import PUBLIC_URL, load_cases
from runtime.gallery.check import missing_words, problems
from runtime.gallery.pictures import browser
from runtime.gallery.shown import Printer, Shown
from runtime.gallery.site import Site

CONTENT = Path(__file__).parents[2] / "content"
CASES = load_cases(CONTENT)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A copy of the words, to be damaged."""
    copy = tmp_path / "content"
    for folder in ("gallery", "locales", "pages", "templates"):
        shutil.copytree(CONTENT / folder, copy / folder)
    return copy


def keep_cases(content: Path, *names: str) -> None:
    path = content / "gallery" / "facts.yaml"
    whole = yaml.safe_load(path.read_text("utf-8"))
    whole["cases"] = {name: whole["cases"][name] for name in names}
    path.write_text(yaml.safe_dump(whole, allow_unicode=True), "utf-8")


async def shown_of(
    policy: Policy, case: str, moment: Moment, *channels: Channel
) -> tuple[Facts, list[Shown]]:
    facts = CASES.facts(case, moment, policy, PUBLIC_URL)
    readers = [CASES.recipient(case, locale) for locale in policy.locales]
    printer = Printer(policy, CONTENT, PUBLIC_URL, CASES.now)
    return facts, await printer.show(facts, readers, channels or tuple(Channel))


def swapped(shown: Sequence[Shown], locale: str, **changes: object) -> list[Shown]:
    """The texts with those of one language changed, in their draft too where it has the field."""
    out = []
    for one in shown:
        if one.locale == locale:
            drafted = {k: v for k, v in changes.items() if k in ("subject", "text", "html")}
            draft = one.draft.model_copy(update=drafted)
            one = replace(one, draft=draft, **changes)  # type: ignore[arg-type]  # by name
        out.append(one)
    return out


def test_the_cases_cover_severities_languages_and_what_is_awkward(policy: Policy) -> None:
    assert {case.severity for case in CASES.cases.values()} == set(Severity)
    assert set(CASES.readers) == set(policy.locales)
    sizes = {len(case.components) for case in CASES.cases.values()}
    assert {1, 2, 6} <= sizes
    assert any(not case.numbers.get("share_percent") for case in CASES.cases.values())
    assert {1, 2, 5} <= {case.numbers.get("accounts") for case in CASES.cases.values()}
    early = CASES.facts("P1", Moment.INITIAL, policy, PUBLIC_URL)
    assert "restored_at" not in early.times and "cause" not in early.notes


def test_a_component_that_the_policy_lacks_is_named(policy: Policy) -> None:
    fewer = policy.model_copy(update={"components": policy.components[:1]})
    with pytest.raises(BadInput, match=r"cases\.P1\.components: got 'payments'; allowed: web"):
        CASES.facts("P1", Moment.INITIAL, fewer, PUBLIC_URL)


async def test_an_awkward_case_is_complete_at_every_moment(policy: Policy, content: Path) -> None:
    keep_cases(content, "P3", "cancelled")
    gallery = await draft_all(policy, content, lambda line: None)
    assert gallery.problems == [] and gallery.unwritten == ()
    of_incidents = [m for m in Moment if not m.startswith("maintenance")]
    assert {t.moment for t in gallery.tales if t.case == "P3"} == set(of_incidents)
    written = len(of_incidents) + 1
    assert gallery.counts() == {
        "texts": written * len(Channel) * len(policy.locales), "moments": written, "cases": 2,
        "channels": len(Channel), "languages": len(policy.locales), "problems": 0,
    }  # fmt: skip


def test_every_missing_word_is_named(policy: Policy, content: Path) -> None:
    assert list(missing_words(policy, content)) == []
    (content / "templates/fr/update.j2").unlink()
    for name, old, new in (
        ("templates/de/initial.j2", "macro apology()", "macro nothing()"),
        ("locales/ja.yaml", "view_status:", "not_a_word:"),
    ):
        path = content / name
        assert old in path.read_text("utf-8")
        path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    company = policy.company.model_copy(update={"signature": {"en": "Us"}})
    broken = policy.model_copy(update={"company": company})
    found = list(missing_words(broken, content))
    assert "templates/fr: update.j2 is missing" in found
    assert "templates/de/initial.j2: apology is missing" in found
    assert "locales/ja.yaml: mail.view_status is missing" in found
    assert "policy: company.signature has no it" in found


def test_a_moment_that_is_sent_needs_words(policy: Policy, content: Path) -> None:
    for path in content.glob("templates/*/escalation.j2"):
        path.unlink()
    assert list(missing_words(policy, content)) == [
        "templates: escalation is sent, but no language has it"
    ]


async def test_what_is_wrong_with_a_text_is_named(policy: Policy) -> None:
    facts, shown = await shown_of(policy, "P1", Moment.UPDATE, Channel.SMS, Channel.EMAIL)
    assert list(problems(facts, shown, policy)) == []
    english = {one.channel: one for one in shown if one.locale == "en"}[Channel.SMS].draft.text

    def wrong(locale: str, **changes: object) -> str:
        changed = swapped(shown, locale, **changes)
        return "\n".join(problems(facts, changed, policy))

    assert "update/P1/sms/nl: the text is empty" in wrong("nl", text=" ")
    assert "the text holds '{{'" in wrong("nl", text="Hallo {{ name }}")
    assert "the text holds 'None'" in wrong("nl", text="Sinds None")
    assert "sms/it: the text is English here" in wrong("it", text=english)
    assert "does not state the same facts as English: link:" in wrong("es", text="Nada nuevo.")
    assert "the mail has no subject or no HTML" in wrong("de", mail=None)
    finding = Finding(rule="jargon", where="", found="failover", suggestion="say it plainly")
    assert "jargon: failover (say it plainly)" in wrong("ja", findings=(finding,))


async def test_every_link_of_the_site_leads_somewhere(policy: Policy, content: Path) -> None:
    keep_cases(content, "bare", "holding")
    gallery = await draft_all(policy, content, lambda line: None)
    folder = fresh_folder(content / "site")
    site = Site(content, folder)
    pages = site.write(gallery)
    site.index(gallery, ["one"])
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.html")}
    assert pages == len(files) and {"index.html", "language/ja.html"} <= files
    for name in files:
        page = (folder / name).read_text("utf-8")
        shell = re.sub(r'srcdoc="[^"]*"', "", page)
        anchors = set(re.findall(r'id="([^"]+)"', shell))
        for link in re.findall(r'href="([^"]+)"', shell):
            if link.startswith("#"):
                assert link[1:] in anchors, (name, link)
            else:
                assert urljoin(name, link) in files | {"sheets/one.png"}, (name, link)
    index = (folder / "index.html").read_text("utf-8")
    assert "No text is missing" in index and "Not written" not in index


async def test_problems_stand_on_the_index(policy: Policy, content: Path) -> None:
    keep_cases(content, "holding")
    gallery = await draft_all(policy, content, lambda line: None)
    gallery.problems.append("<b>sms/de</b> is empty")
    folder = fresh_folder(content / "site")
    Site(content, folder).write(gallery)
    index = (folder / "index.html").read_text("utf-8")
    assert "&lt;b&gt;sms/de&lt;/b&gt; is empty" in index and "No text is missing" not in index


def test_a_fresh_folder_forgets_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "g/old").mkdir(parents=True)
    assert list(fresh_folder(tmp_path / "g").iterdir()) == []


def test_a_wrong_call_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOREWARN_POLICY", raising=False)
    done = CliRunner().invoke(app, ["--recorded", str(tmp_path / "nowhere.jsonl")])
    assert done.exit_code == 1 and "nowhere.jsonl: cannot be read" in done.stderr
    monkeypatch.setenv("FOREWARN_POLICY", str(tmp_path / "policy.yaml"))
    done = CliRunner().invoke(app, ["--data-dir", str(tmp_path)])
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "gallery").exists()


def test_without_a_browser_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser() is None
