"""A maintenance is told whole on every channel and in every language, and shorter without facts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.drafters.compose import Composer
from adapters.drafters.personal import OBJECTION
from adapters.drafters.templates import TemplateDrafter
from domain.message import Channel, DraftText, DraftVersion, Facts, Moment, Recipient
from domain.ports import DraftRequest
from domain.rules.length import counted_length
from domain.tokens import unsign
from domain.validation import validate_text
from runtime.policy_file import load_policy

CONTENT = Path(__file__).parents[3] / "content"
POLICY = load_policy(CONTENT / "policy/default.yaml")
DRAFTER = TemplateDrafter(CONTENT)
MOMENTS = [m for m in Moment if m.startswith("maintenance")]
STAGES = {
    Moment.MAINTENANCE_START: "in_progress",
    Moment.MAINTENANCE_OVERRUN: "in_progress",
    Moment.MAINTENANCE_DONE: "completed",
}
URL = "https://status.acme.example"
LINKS = {"status": URL, "incident": f"{URL}/maintenance/mnt_abc", "object": f"{URL}/object"}
AT = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
TIMES = {
    key: AT + timedelta(hours=hours)
    for key, hours in (
        ("starts_at", 0), ("ends_at", 2), ("revised_end", 3), ("old_start", -24), ("old_end", -22),
        ("objections_until", -30), ("started_at", 0), ("ended_at", 3.25),
    )
}  # fmt: skip
NOTES = {
    "what": "New storage",
    "message": "We move your files to faster storage.",
    "impact": "unavailable",
    "advice": "Please save your work before it begins.",
    "reason": "Copying the files takes longer than in our tests.",
}
LETTERS = (Channel.EMAIL, Channel.SLACK, Channel.TEAMS)


def facts(moment: Moment, *keys: str, **changes: Any) -> Facts:
    keys = keys or ("payments", "rest-api")
    names = {x: tuple(POLICY.component(k).names[x] for k in keys) for x in POLICY.locales}
    values: dict[str, Any] = {
        "incident_id": "mnt_abcdefghijkl", "moment": moment, "severity": "P4",
        "stage": STAGES.get(moment, "scheduled"), "category": "maintenance", "components": keys,
        "component_names": names, "regions": ("eu",), "times": TIMES, "notes": NOTES,
        "links": LINKS,
    }  # fmt: skip
    return Facts.model_validate(values | changes)


async def write(what: Facts, *locales: str) -> list[DraftText]:
    wanted = locales or POLICY.locales
    request = DraftRequest(facts=what, channels=tuple(Channel), locales=wanted)
    return list(await DRAFTER.write(request, POLICY))


async def texts(what: Facts, locale: str = "en") -> dict[Channel, DraftText]:
    return {text.channel: text for text in await write(what, locale)}


def cases(moment: Moment) -> Iterator[Facts]:
    """Everything known, each fact missing, and nothing known."""
    yield facts(moment, numbers={"minutes_over": 75, "accounts": 1200, "recipients": 3400})
    yield facts(moment, "payments", regions=())
    for impact in ("degraded", "none"):
        yield facts(moment, notes=NOTES | {"impact": impact, "rescheduled": "yes"})
    for key in TIMES:
        yield facts(moment, times={k: v for k, v in TIMES.items() if k != key})
    for key in NOTES:
        yield facts(moment, notes={k: v for k, v in NOTES.items() if k != key})
    yield facts(moment, stage="cancelled", links={k: v for k, v in LINKS.items() if k != "object"})
    everything = [c.key for c in POLICY.component_list() if c.visible]
    yield facts(moment, *everything, regions=("us", "eu", "apac"), times={}, notes={})
    yield facts(moment, components=(), component_names={}, regions=(), times={}, notes={}, links={})


@pytest.mark.parametrize("moment", MOMENTS)
async def test_every_text_is_whole_and_passes_validation(moment: Moment) -> None:
    for what in cases(moment):
        for text in await write(what):
            where = f"{text.channel} {text.locale} {text.subject} {text.text}"
            assert validate_text(text, what, POLICY) == (), where
            said = f"{text.subject or ''}\n{text.text}"
            assert text.text.strip() and not re.search(r"None|undefined|\{|\}|\(\)|  ", said), where
            assert not re.search(r"(?<!\]\])[:\uff1a]\s*(?:\n|$)", text.text), where
            assert (
                counted_length(text.text, what, text.channel)
                <= (POLICY.length_limits[text.channel])
            ), where
            if text.channel is not Channel.INTERNAL:
                assert "P4" not in said and "mnt_" not in said, where


@pytest.mark.parametrize("locale", POLICY.locales)
async def test_a_notice_holds_all_that_it_must(locale: str) -> None:
    what = facts(Moment.MAINTENANCE_NOTICE, "payments")
    for channel, text in (await texts(what, locale)).items():
        for needed in ("[[time:starts_at]]", "[[time:ends_at]]"):
            assert needed in text.text, channel
        if channel not in (Channel.SMS, Channel.SOCIAL):
            assert NOTES["advice"] in text.text or channel is Channel.INTERNAL, channel
            assert POLICY.component("payments").names[locale] in text.text, channel
        if channel in LETTERS:
            for needed in ("[[time:objections_until]]", "[[link:object]]", "[[link:incident]]"):
                assert needed in text.text, channel
        else:
            assert "[[link:object]]" not in text.text, "it is one person's own"
    by_post = await texts(facts(Moment.MAINTENANCE_NOTICE, links={"status": URL}), locale)
    assert "[[time:objections_until]]" in by_post[Channel.EMAIL].text, "by reply"
    assert POLICY.company.support_email in by_post[Channel.STATUS_PAGE].text


@pytest.mark.parametrize("locale", POLICY.locales)
async def test_a_short_text_tells_the_impact_before_anything_else(locale: str) -> None:
    for moment in MOMENTS[:-1]:
        told = await texts(facts(moment, "payments"), locale)
        none = await texts(facts(moment, "payments", notes={}), locale)
        for channel in (Channel.SMS, Channel.IN_APP):
            assert NOTES["message"] not in told[channel].text, "the page has room for it"
            # As long as the sentence on what customers cannot use in the mail.
            mail = told[Channel.EMAIL].text.split("\n\n")[1]
            sentence = mail.removeprefix(none[Channel.EMAIL].text.split("\n\n")[1]).strip()
            plain = sentence.replace("\u00a0", " ").replace("\u2019", "'")
            said = told[channel].text.replace("\u00a0", " ").replace("\u2019", "'")
            assert plain and plain in said, (channel, said)


@pytest.mark.parametrize("locale", POLICY.locales)
async def test_what_was_moved_names_both_times_everywhere(locale: str) -> None:
    moved = facts(Moment.MAINTENANCE_NOTICE, notes=NOTES | {"rescheduled": "yes"})
    first = await texts(facts(Moment.MAINTENANCE_NOTICE), locale)
    for channel, text in (await texts(moved, locale)).items():
        assert "[[time:old_start]]" in text.text and "[[time:starts_at]]" in text.text, channel
        assert "[[time:old_start]]" not in first[channel].text, channel
        if text.subject is not None:
            assert text.subject != first[channel].subject, channel


@pytest.mark.parametrize("locale", POLICY.locales)
async def test_an_overrun_says_why_and_until_when(locale: str) -> None:
    known = await texts(facts(Moment.MAINTENANCE_OVERRUN), locale)
    assert NOTES["reason"] in known[Channel.EMAIL].text
    assert all("[[time:revised_end]]" in text.text for text in known.values())
    times = {k: v for k, v in TIMES.items() if k != "revised_end"}
    unknown = (await texts(facts(Moment.MAINTENANCE_OVERRUN, times=times), locale))[Channel.EMAIL]
    longer = await texts(facts(Moment.MAINTENANCE_START), locale)
    assert len(unknown.text.split("\n\n")) > len(longer[Channel.EMAIL].text.split("\n\n"))
    assert "[[time:revised_end]]" not in unknown.text


@pytest.mark.parametrize(
    ("locale", "over", "cancelled"),
    [
        ("en", "It took 1 hour 15 minutes longer than planned.", "has been cancelled."),
        ("de", "Sie hat 1 Stunde 15 Minuten länger gedauert als geplant.", "wurde abgesagt."),
        ("fr", "Elle a dépassé la fin prévue de 1\u00a0heure 15\u00a0minutes.", "est annulée."),
        ("es", "Ha durado 1 hora y 15 minutos más de lo previsto.", "se ha cancelado."),
        ("pt-BR", "Ela durou 1 hora e 15 minutos a mais que o previsto.", "foi cancelada."),
        ("ja", "予定よりも1時間15分長くかかりました。", "中止いたしました。"),
        ("nl", "Het duurde 1 uur en 15 minuten langer dan gepland.", "is geannuleerd."),
        ("it", "È durata 1 ora e 15 minuti più del previsto.", "è stata annullata."),
    ],
)
async def test_the_end_says_how_it_went(locale: str, over: str, cancelled: str) -> None:
    done = Moment.MAINTENANCE_DONE
    late = await texts(facts(done, numbers={"minutes_over": 75}), locale)
    in_time = await texts(facts(done), locale)
    off = await texts(facts(done, stage="cancelled"), locale)
    # An SMS has no spaces that do not break.
    plain = over.replace("\u00a0", " ")
    assert all(plain in text.text.replace("\u00a0", " ") for text in late.values())
    assert all("75" not in t.text and over not in t.text for t in in_time.values())
    assert NOTES["reason"] in late[Channel.EMAIL].text
    assert NOTES["reason"] not in in_time[Channel.EMAIL].text, "nothing took longer"
    for channel, text in off.items():
        assert cancelled in text.text and "[[time:ended_at]]" not in text.text, channel
    assert all("[[time:ended_at]]" in text.text for text in in_time.values())


@pytest.mark.parametrize(
    ("locale", "one", "two"),
    [
        ("en", "this service is not", "these services are not"),
        ("de", "ist dieser Bereich nicht", "sind diese Bereiche nicht"),
        ("fr", "ce service n\u2019est pas", "ces services ne sont pas"),
        ("es", "este servicio no estará", "estos servicios no estarán"),
        ("pt-BR", "esse serviço fica", "esses serviços ficam"),
        ("ja", "このサービスを", "これらのサービスを"),
        ("nl", "is deze dienst niet", "zijn deze diensten niet"),
        ("it", "questo servizio non sarà", "questi servizi non saranno"),
    ],
)
async def test_the_impact_agrees_in_number(locale: str, one: str, two: str) -> None:
    for keys, said in ((("payments",), one), (("payments", "rest-api"), two)):
        mail = (await texts(facts(Moment.MAINTENANCE_NOTICE, *keys), locale))[Channel.EMAIL]
        assert said in mail.text, mail.text


async def test_everybody_objects_by_a_link_of_their_own() -> None:
    what = facts(Moment.MAINTENANCE_NOTICE)
    draft = DraftVersion(
        incident_id=what.incident_id, version=1, moment=what.moment, number=1,
        texts=tuple(await write(what, "en")), facts=what, audience_rule="all", hash="h",
        created_at=AT,
    )  # fmt: skip
    composer = Composer(POLICY, URL, secret="s" * 32, content_dir=CONTENT, clock=lambda: AT)

    def sent(channel: Channel, **who: str) -> str:
        reader = Recipient(delivery_id=1, name="Ada", timezone="Europe/Berlin", **who)
        out = composer.compose(draft, channel, reader, next_update_at=None, thread_key="t", key="k")
        assert out.html is None or "[[" not in out.html
        return out.text

    mail = sent(Channel.EMAIL, contact_id="c1", account_id="a1")
    token = re.search(rf"{URL}/object/(\S+)", mail)
    assert token is not None
    claims = unsign("s" * 32, OBJECTION, token[1])
    assert claims == {"m": "mnt_abcdefghijkl", "c": "c1"}
    assert sent(Channel.EMAIL, contact_id="c2") != sent(Channel.EMAIL, contact_id="c3")
    chat = re.search(rf"{URL}/object/(\S+)", sent(Channel.SLACK, account_id="a1"))
    assert chat is not None and unsign("s" * 32, OBJECTION, chat[1])["a"] == "a1"
    assert "because the maintenance may affect your account" in mail
    # Read days before: every time has its date.
    assert "Start: Nov 24, 2026, 03:00 CET (02:00 UTC)" in mail
    shown = composer.preview(draft, Channel.EMAIL, "en")
    assert f": {URL}/object\n" in shown.text
