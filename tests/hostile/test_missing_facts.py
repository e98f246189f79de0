"""A fact that is not known makes a message shorter: no gap, no placeholder, no guess."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.drafters.compose import Composer
from adapters.drafters.templates import TemplateDrafter
from domain.message import Channel, DraftText, DraftVersion, Facts, Moment
from domain.policy import Policy
from domain.ports import DraftRequest

CONTENT = Path(__file__).parents[2] / "content"
LOCALES = ("en", "de", "fr", "es", "pt-BR", "ja", "nl", "it")
MOMENTS = tuple(
    moment for moment in Moment if (CONTENT / "templates" / "en" / f"{moment.value}.j2").exists()
)
CHANNELS = tuple(Channel)
# Every kind of text; the others are put together from the same parts.
LAID_OUT = (Channel.EMAIL, Channel.STATUS_PAGE, Channel.IN_APP)
AT = datetime(2026, 11, 21, 13, 5, tzinfo=UTC)
URL = "https://status.acme.example"
DRAFTER = TemplateDrafter(CONTENT)

TIMES = {
    "impact_start": AT, "next_update": AT + timedelta(hours=1), "restored_at": AT,
    "eta": AT + timedelta(hours=2), "promised": AT, "announced_at": AT, "identified_at": AT,
    "mitigated_at": AT, "partial_recovery_at": AT, "published_at": AT,
}  # fmt: skip
NUMBERS = {
    "share_percent": 12.5, "duration_minutes": 85.0, "accounts": 12, "recipients": 30,
    "update_number": 2, "error_rate_percent": 4.5,
}  # fmt: skip
NOTES = {key: f"Sentence on {key}." for key in (
    "message", "cause", "workaround", "fixed", "prevention", "summary")}  # fmt: skip
LINKS = {"status": URL, "incident": f"{URL}/incidents/inc_a", "report": f"{URL}/incidents/r"}
EVERY = (
    *(("times", key) for key in TIMES),
    *(("numbers", key) for key in NUMBERS),
    *(("notes", key) for key in NOTES),
    *(("links", key) for key in LINKS),
    ("regions", ""),
    ("components", ""),
)
# What a value that is not there looks like when it is written all the same.
GAPS = re.compile(
    r"\bNone\b|\bnull\b|\bundefined\b|\bnan\b|\[\]|\{\}|\(\)|\{\{|\}\}|\[\[(?!name|time:|link:)"
    r"|\bTBD\b|\bunknown\b|\?\?|  +| [.,;](?:\s|$)|\.\.(?!\.)|,,"
)
EMPTY_HTML = re.compile(r"<(p|td|th|li|ul|table|a)\b[^>]*>\s*</\1>")


def full(moment: Moment) -> Facts:
    """Everything that can be known."""
    names = {"en": "Payment processing", "de": "Zahlungsabwicklung"}
    return Facts(
        incident_id="inc_abcdefghijkl", moment=moment, number=2, severity="P1",
        stage="resolved" if moment in (Moment.RESOLUTION, Moment.POST_MORTEM) else "identified",
        category="local_degradation", components=("payments",), regions=("eu",),
        component_names={locale: (names.get(locale, "Payments"),) for locale in LOCALES},
        times=TIMES, numbers=NUMBERS, notes=NOTES, links=LINKS, names=("Acme Cloud",),
    )  # fmt: skip


def without(facts: Facts, field: str, key: str) -> Facts:
    """The facts with one thing not known."""
    if field == "regions":
        return facts.model_copy(update={"regions": ()})
    if field == "components":
        return facts.model_copy(update={"components": (), "component_names": {}})
    left = {k: v for k, v in getattr(facts, field).items() if k != key}
    return facts.model_copy(update={field: left})


def bare(facts: Facts) -> Facts:
    """Next to nothing is known."""
    nothing: dict[str, object] = {"components": (), "component_names": {}, "regions": ()}
    nothing |= {"times": {}, "numbers": {}, "notes": {}}
    return facts.model_copy(update=nothing)


@pytest.fixture(scope="module")
def composer(policy: Policy) -> Composer:
    """The one that shows texts; it reads all catalogues once."""
    return Composer(policy, URL, secret="s" * 32, content_dir=CONTENT, clock=lambda: AT)


async def written(
    facts: Facts,
    policy: Policy,
    locale: str,
    composer: Composer,
    channels: tuple[Channel, ...] = LAID_OUT,
) -> list[DraftText]:
    """Each channel's text as its reader sees it."""
    request = DraftRequest(facts=facts, channels=channels, locales=(locale,))
    texts = await DRAFTER.write(request, policy)
    draft = DraftVersion(
        incident_id="inc_a", version=1, moment=facts.moment, number=2, texts=texts, facts=facts,
        audience_rule="r", hash="h", created_at=AT,
    )  # fmt: skip
    # Raises where a text names a fact that is not there.
    return [composer.preview(draft, text.channel, text.locale) for text in texts]


def faults(text: DraftText) -> list[str]:
    """What a reader would stumble over."""
    found = [f"{m[0]!r} in {text.text[max(0, m.start() - 30):m.end() + 30]!r}"
             for m in GAPS.finditer(text.text)]  # fmt: skip
    lines = [line.rstrip() for line in text.text.split("\n")]
    found += ["an empty text"] if not text.text.strip() else []
    found += ["an empty paragraph"] if "\n\n\n" in text.text else []
    found += ["a label without a value"] if lines[-1].endswith((":", "：")) else []  # noqa: RUF001 - Japanese
    found += [f"empty {m[0]}" for m in EMPTY_HTML.finditer(text.html or "")]
    if text.subject is not None:
        found += [f"subject {text.subject!r}"] if GAPS.search(text.subject) else []
        found += ["a dangling subject"] if text.subject.strip().endswith((":", "-")) else []
        found += ["no subject"] if not text.subject.strip() else []
    return found


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_each_fact_may_be_missing(
    policy: Policy, composer: Composer, moment: Moment, locale: str
) -> None:
    whole = full(moment)
    wrong: list[str] = []
    for text in await written(whole, policy, locale, composer, CHANNELS):
        wrong += [f"{text.channel}: {fault}" for fault in faults(text)]
    for field, key in EVERY:
        for text in await written(without(whole, field, key), policy, locale, composer):
            wrong += [f"{text.channel} without {field} {key}: {f}" for f in faults(text)]
    for text in await written(bare(whole), policy, locale, composer, CHANNELS):
        wrong += [f"{text.channel}, nothing known: {fault}" for fault in faults(text)]
    assert not wrong, "\n".join(dict.fromkeys(wrong))


@pytest.mark.parametrize("locale", LOCALES)
async def test_what_is_not_known_is_not_said(
    policy: Policy, composer: Composer, locale: str
) -> None:
    """The words of a fact go with it; figures and places leave a shorter message."""
    for moment in MOMENTS:
        whole = full(moment)
        before = {text.channel: text for text in await written(whole, policy, locale, composer)}
        for key in NOTES:
            for text in await written(without(whole, "notes", key), policy, locale, composer):
                assert NOTES[key] not in text.text, (moment, text.channel, key)
        for field, key in (("regions", ""), ("numbers", "share_percent")):
            mail = (Channel.EMAIL,)
            less = without(whole, field, key)
            for text in await written(less, policy, locale, composer, mail):
                assert len(text.text) <= len(before[text.channel].text), (moment, field)
