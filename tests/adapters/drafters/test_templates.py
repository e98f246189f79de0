"""Every shipped template says what it must, fits its channel and passes validation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.drafters.templates import TemplateDrafter
from domain.incident import Stage
from domain.message import Channel, DraftText, Facts, Moment
from domain.policy import Policy
from domain.ports import DraftRequest
from domain.rules.length import filled_length
from domain.rules.presence import PROMISES
from domain.signal import Severity
from domain.validation import validate_text

CONTENT = Path(__file__).parents[3] / "content"
DRAFTER = TemplateDrafter(CONTENT)
LOCALES = DRAFTER.locales()
MOMENTS = list(Moment)
LINKS = {
    "status": "https://status.acme.example",
    "incident": "https://status.acme.example/incidents/inc_abcdefghijkl",
    "report": "https://status.acme.example/incidents/inc_abcdefghijkl/report",
}
TIMES = {
    key: datetime(2026, 11, 21, hour, 5, tzinfo=UTC)
    for hour, key in enumerate(
        ("impact_start", "announced_at", "identified_at", "mitigated_at", "partial_recovery_at",
         "restored_at", "next_update", "eta", "report_due", "promised"),
        start=9,
    )
}  # fmt: skip
NOTES = {
    "message": "We see errors in the <b>payment</b> form & are checking it.",
    "cause": "A change to our systems made some payments fail.",
    "workaround": "Please use the bank transfer form for now.",
    "fixed": "We undid the change.",
    "prevention": "We now test such changes with more payments.\nWe also watch them for longer.",
    "summary": "Some payments could not be made.",
}


def facts(policy: Policy, moment: Moment, kind: str, severity: str, stage: str) -> Facts:
    """Facts of one moment: full, minimal, region, many or long."""
    keys = {"many": [c.key for c in policy.component_list() if c.visible], "minimal": ["payments"]}
    components = tuple(keys.get(kind, ["payments", "rest-api"]))
    names = {
        locale: tuple(policy.component(k).names[locale] for k in components) for locale in LOCALES
    }
    if kind == "long":
        long = tuple(f"{'Very ' * 12}Long Product Name {letter}" for letter in "ABCDE")
        names = dict.fromkeys(LOCALES, long)
    base = Facts(
        incident_id="inc_abcdefghijkl", moment=moment, number=3, severity=severity, stage=stage,
        category="regional_outage" if kind == "region" else "local_degradation",
        components=components, component_names=names, links={"status": LINKS["status"]},
    )  # fmt: skip
    if kind == "minimal":
        return base
    notes = {k: f"{v} " * 40 for k, v in NOTES.items()} if kind == "long" else NOTES
    numbers = {"share_percent": 12.5, "duration_minutes": 85, "accounts": 1200, "recipients": 3400}
    return base.model_copy(
        update={
            "regions": ("eu", "apac") if kind == "region" else (),
            "times": TIMES,
            "links": LINKS,
            "notes": {} if kind == "region" else notes,
            "numbers": numbers,
        }
    )


async def write(policy: Policy, what: Facts, *channels: Channel) -> dict[str, DraftText]:
    texts = await DRAFTER.write(
        DraftRequest(facts=what, channels=channels or tuple(Channel), locales=LOCALES), policy
    )
    return {f"{t.channel.value}/{t.locale}": t for t in texts}


@pytest.mark.parametrize("kind", ["full", "minimal", "region", "many", "long"])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_every_text_passes_validation(policy: Policy, moment: Moment, kind: str) -> None:
    stages = (Stage.IDENTIFIED, Stage.MONITORING, Stage.RESOLVED)
    every = kind == "full"
    for severity, stage in [
        *((s, Stage.INVESTIGATING) for s in Severity if every or s in (Severity.P1, Severity.P4)),
        *((Severity.P1, s) for s in stages if every),
    ]:
        what = facts(policy, moment, kind, severity.value, stage.value)
        texts = await write(policy, what)
        assert len(texts) == len(Channel) * len(LOCALES)
        for text in texts.values():
            assert validate_text(text, what, policy) == (), text
            assert text.text.strip()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("category", ["security", "customer_specific"])
async def test_other_categories_pass_too(policy: Policy, moment: Moment, category: str) -> None:
    what = facts(policy, moment, "full", "P1", "investigating")
    what = what.model_copy(update={"category": category})
    for text in (await write(policy, what)).values():
        assert validate_text(text, what, policy) == (), text
        assert "may fail" not in text.text or category != "security"


@pytest.mark.parametrize("moment", MOMENTS)
async def test_missing_facts_make_shorter_messages(policy: Policy, moment: Moment) -> None:
    bare = Facts(
        incident_id="inc_abcdefghijkl", moment=moment, severity="P3", stage="investigating",
        category="local_degradation",
    )  # fmt: skip
    for key, text in (await write(policy, bare)).items():
        assert "None" not in text.text and "[[time" not in text.text, key
        assert "[[link" not in text.text, key
        assert ": \n" not in text.text and not text.text.rstrip().endswith(":"), text.text
        assert validate_text(text, bare, policy) == (), text


@pytest.mark.parametrize("stage", ["investigating", "identified", "monitoring"])
async def test_holding_lines_say_there_is_nothing_new(policy: Policy, stage: str) -> None:
    what = facts(policy, Moment.UPDATE, "full", "P1", stage).model_copy(
        update={"holding": True, "notes": {}}
    )
    texts = await write(policy, what)
    assert "still" in texts["email/en"].text
    assert "weiterhin" in texts["email/de"].text
    for text in texts.values():
        assert validate_text(text, what, policy) == (), text
        if text.channel is not Channel.INTERNAL:
            assert "[[time:next_update]]" in text.text


async def test_the_initial_mail_holds_what_it_must(policy: Policy) -> None:
    text = (await write(policy, facts(policy, Moment.INITIAL, "full", "P1", "investigating")))[
        "email/en"
    ]
    assert text.subject == "Service alert: Payment processing and REST API"
    for needed in (
        "Hello [[name]],", "Payment processing", "Some payments may fail", "[[time:impact_start]]",
        "about 12.5%", "Investigating", "What we are doing", "What you can do", "sorry",
        "by [[time:next_update]]", "[[link:incident]]", "The Acme Cloud team",
    ):  # fmt: skip
        assert needed in text.text, needed


async def test_german_is_written_in_german(policy: Policy) -> None:
    text = (await write(policy, facts(policy, Moment.RESOLUTION, "region", "P1", "resolved")))[
        "email/de"
    ]
    assert text.subject is not None and text.subject.startswith("Behoben: Zahlungsabwicklung")
    assert "Guten Tag [[name]]," in text.text
    assert "1 Stunde 25 Minuten" in text.text and "12,5 %" in text.text
    assert "Europa und Asien-Pazifik" in text.text


@pytest.mark.parametrize(
    ("moment", "en", "de"),
    [
        (Moment.UPDATE, "Update 3: ", "Update 3: "),
        (Moment.ESCALATION, "Service alert, now more serious: ", "Störung jetzt schwerwiegender: "),
        (Moment.PARTIAL_RECOVERY, "Partly restored: ", "Teilweise wiederhergestellt: "),
        (Moment.FALSE_ALARM, "False alarm: ", "Fehlalarm: "),
        (Moment.CORRECTION, "Correction: ", "Richtigstellung: "),
        (Moment.POST_MORTEM, "Report: ", "Bericht: "),
    ],
)
async def test_subjects_carry_the_moment(policy: Policy, moment: Moment, en: str, de: str) -> None:
    texts = await write(policy, facts(policy, moment, "full", "P2", "identified"), Channel.EMAIL)
    assert (texts["email/en"].subject or "").startswith(en)
    assert (texts["email/de"].subject or "").startswith(de)


async def test_a_humans_words_are_data(policy: Policy) -> None:
    hostile = (
        "Hi [[name]] {{ 7*7 }} <script>alert(1)</script>\r\n\x1fA\x1b[31m: b\n\n\n\nEnd [[[x]]]"
    )
    what = facts(policy, Moment.UPDATE, "minimal", "P1", "identified").model_copy(
        update={"notes": {"message": hostile}}
    )
    mail = (await write(policy, what, Channel.EMAIL))["email/en"]
    assert mail.text.count("[[name]]") == 1, "only the greeting's"
    assert "((name))" in mail.text and "{{ 7*7 }}" in mail.text and "[[[" not in mail.text
    assert "\x1b" not in mail.text and "\x1f" not in mail.text and "\n\n\n" not in mail.text
    assert mail.html is not None
    assert "<script>" not in mail.html and "&lt;script&gt;" in mail.html


async def test_a_note_in_another_language_is_marked(policy: Policy) -> None:
    what = facts(policy, Moment.UPDATE, "full", "P1", "identified").model_copy(
        update={"notes": {"message": "We have found the cause and are working on it."}}
    )
    texts = await write(policy, what, Channel.EMAIL)
    assert "(Originalwortlaut)" in texts["email/de"].text
    assert "original wording" not in texts["email/en"].text


async def test_a_long_note_is_cut_and_the_promise_is_not(policy: Policy) -> None:
    what = facts(policy, Moment.UPDATE, "long", "P1", "identified")
    for text in (await write(policy, what)).values():
        limit = policy.length_limits[text.channel]
        assert filled_length(text.text, what) <= limit
        assert "[[time:next_update]]" in text.text


async def test_a_stage_that_went_back_is_told_plainly(policy: Policy) -> None:
    what = facts(policy, Moment.UPDATE, "minimal", "P1", "identified").model_copy(
        update={"notes": {"previous_stage": "monitoring"}}
    )
    texts = await write(policy, what, Channel.EMAIL)
    assert "has not held" in texts["email/en"].text
    assert "nicht gehalten" in texts["email/de"].text


@pytest.mark.parametrize("holding", [True, False])
async def test_a_promise_that_passed_is_admitted_everywhere(policy: Policy, holding: bool) -> None:
    # A holding line after an outage must not read as if nothing had been missed.
    channels = tuple(Channel)
    for moment in (Moment.INITIAL, Moment.UPDATE, Moment.ESCALATION, Moment.RESOLUTION):
        base = facts(policy, moment, "minimal", "P1", "investigating")
        times = {k: TIMES[k] for k in ("impact_start", "next_update")}
        kept = base.model_copy(update={"times": times, "holding": holding})
        missed = kept.model_copy(update={"times": times | {"promised": TIMES["promised"]}})
        for what, admitted in ((kept, False), (missed, True)):
            request = DraftRequest(facts=what, channels=channels, locales=LOCALES)
            for text in await DRAFTER.write(request, policy):
                where = f"{moment} {text.channel} {text.locale}"
                assert ("[[time:promised]]" in text.text) is admitted, where
                assert ("[[time:promised]]" in (text.html or "")) is (
                    admitted and text.html is not None
                ), where
                assert not validate_text(text, what, policy), where


async def test_an_unknown_language_gets_the_first_one(policy: Policy) -> None:
    what = facts(policy, Moment.INITIAL, "full", "P1", "investigating")
    request = DraftRequest(facts=what, channels=(Channel.EMAIL,), locales=("xx",))
    assert [t.locale for t in await DRAFTER.write(request, policy)] == ["en"]


def test_promising_moments_promise_in_every_language() -> None:
    for locale in LOCALES:
        for moment in MOMENTS:
            source = (CONTENT / "templates" / locale / f"{moment.value}.j2").read_text("utf-8")
            assert ("set promises" in source) == (moment in PROMISES), (locale, moment)
