"""Names, numbers and labels stand in a sentence as each language wants them; tables of examples."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.drafters.catalog import Catalog
from adapters.drafters.facts import LEVELS, FactWords
from adapters.drafters.templates import TemplateDrafter
from domain.message import Channel, DraftText, Facts, Moment
from domain.ports import DraftRequest
from domain.rules.length import counted_length, surcharge
from runtime.policy_file import load_policy

CONTENT = Path(__file__).parents[3] / "content"
POLICY = load_policy(CONTENT / "policy/default.yaml")
CATALOG, DRAFTER = Catalog(CONTENT), TemplateDrafter(CONTENT)
MOMENTS = list(Moment)
URL = "https://status.acme.example"
AT = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)
TIMES = dict.fromkeys(("impact_start", "next_update", "promised", "restored_at"), AT)


def some(*keys: str) -> dict[str, Any]:
    names = {x: tuple(POLICY.component(k).names[x] for k in keys) for x in POLICY.locales}
    return {"components": keys, "component_names": names}


def facts(moment: Moment, **changes: Any) -> Facts:
    values: dict[str, Any] = {
        "incident_id": "inc_abcdefghijkl", "moment": moment, "number": 3, "severity": "P1",
        "stage": "identified", "category": "local_degradation", "times": TIMES,
        "links": {"status": URL, "incident": f"{URL}/incidents/inc_abcdefghijkl"},
    }  # fmt: skip
    return Facts.model_validate(values | some("payments", "integrations") | changes)


async def write(what: Facts, locale: str) -> dict[Channel, DraftText]:
    request = DraftRequest(facts=what, channels=tuple(Channel), locales=(locale,))
    return {text.channel: text for text in await DRAFTER.write(request, POLICY)}


EUROPE = {"regions": ("eu",)}
OURS: dict[str, Any] = {"components": (), "component_names": {}}
ONE = some("payments")
TWO = some("api", "webhooks")
SEVEN = some("web-application", "dashboard", "reporting", "api", "payments", "webhooks",
             "integrations")  # fmt: skip


@pytest.mark.parametrize(
    ("locale", "moment", "changes", "expected"),
    [
        ("de", Moment.UPDATE, ONE | EUROPE, "Störung im Bereich Zahlungsabwicklung in Europa"),
        ("de", Moment.UPDATE, TWO, "in den Bereichen API und Webhooks gefunden"),
        ("de", Moment.RESOLUTION, SEVEN,
         "in den Bereichen Web-Anwendung, Dashboard, Berichte, API und 3 weiteren ist behoben"),
        ("de", Moment.RESOLUTION, OURS | EUROPE, "Störung bei unseren Diensten in Europa"),
        ("fr", Moment.INITIAL, ONE, "touche actuellement le service Traitement des paiements."),
        ("fr", Moment.INITIAL, TWO, "les services API et Webhooks"),
        ("fr", Moment.RESOLUTION, SEVEN, "Rapports, API et 3 autres est résolu"),
        ("fr", Moment.CORRECTION, OURS, "Notre précédent message concernant notre service"),
        ("es", Moment.INITIAL, some("api", "integrations"), "los servicios API e Integraciones"),
        ("es", Moment.FALSE_ALARM, ONE | EUROPE,
         "un incidente en el servicio Procesamiento de pagos en Europa"),
        ("pt-BR", Moment.INITIAL, ONE, "um incidente no serviço Processamento de pagamentos."),
        ("pt-BR", Moment.RESOLUTION, TWO | EUROPE,
         "O incidente nos serviços API e Webhooks na Europa foi resolvido."),
        ("nl", Moment.RESOLUTION, TWO | EUROPE,
         "De storing bij de diensten API en Webhooks in Europa is verholpen."),
        ("nl", Moment.RESOLUTION, SEVEN, "Rapportages, API en nog 3 andere is verholpen"),
        ("it", Moment.CORRECTION, ONE,
         "sui problemi con il servizio Elaborazione dei pagamenti non era corretto"),
        ("it", Moment.INITIAL, ONE | EUROPE, "Elaborazione dei pagamenti in Europa."),
        ("it", Moment.RESOLUTION, SEVEN,
         "i servizi Applicazione web, Dashboard, Report, API e altri 3 sono risolti"),
        ("ja", Moment.INITIAL, ONE | EUROPE,
         "現在、決済処理\uff08ヨーロッパ\uff09において問題が発生しております。"),
        ("ja", Moment.RESOLUTION, SEVEN,
         "Webアプリケーション、ダッシュボード、レポート、APIほか3件のサービスにおいて"),
        ("en", Moment.RESOLUTION, SEVEN,
         "Web application, Dashboard, Reporting, API, and 3 more are resolved."),
        ("en", Moment.PARTIAL_RECOVERY, OURS | EUROPE, "Our service in Europe: part of"),
    ],
)  # fmt: skip
async def test_names_agree_with_their_sentence(
    locale: str, moment: Moment, changes: dict[str, Any], expected: str
) -> None:
    text = (await write(facts(moment, **changes), locale))[Channel.EMAIL].text
    assert expected in text, text


@pytest.mark.parametrize(
    ("locale", "minutes", "expected"),
    [
        ("en", 61, "1 hour 1 minute"), ("en", 120, "2 hours"), ("en", 0.5, "less than a minute"),
        ("de", 85, "1 Stunde 25 Minuten"), ("de", 1, "1 Minute"),
        ("fr", 121, "2\u00a0heures 1\u00a0minute"), ("es", 85, "1 hora y 25 minutos"),
        ("pt-BR", 61, "1 hora e 1 minuto"), ("ja", 85, "1時間25分"), ("ja", 60, "1時間"),
        ("nl", 85, "1 uur en 25 minuten"), ("nl", 120, "2 uur"), ("it", 85, "1 ora e 25 minuti"),
        ("it", 1265, "21 ore e 5 minuti"),
    ],
)  # fmt: skip
def test_a_duration_in_words(locale: str, minutes: float, expected: str) -> None:
    what = facts(Moment.RESOLUTION, numbers={"duration_minutes": minutes})
    words = FactWords(what, POLICY, CATALOG, locale, Channel.EMAIL, LEVELS[0])
    assert words.duration() == expected


@pytest.mark.parametrize(
    ("locale", "row"),
    [
        ("en", "Status: Cause found"), ("fr", "État\u00a0: Cause trouvée"),
        ("ja", "状況\uff1a原因を特定"), ("de", "Stand: Ursache gefunden"),
    ],
)  # fmt: skip
async def test_a_label_is_parted_as_the_language_does(locale: str, row: str) -> None:
    mail = (await write(facts(Moment.UPDATE), locale))[Channel.EMAIL]
    assert row in mail.text.split("\n")
    assert not re.search(r"[\s:\uff1a]</th>", mail.html or ""), "a table parts them itself"


async def test_a_long_list_is_named_once_and_parts_are_not_told_twice() -> None:
    what = facts(Moment.INITIAL, **some(*(c.key for c in POLICY.component_list() if c.visible)))
    mail = (await write(what, "en"))[Channel.EMAIL].text
    assert mail.count("Slack integration") == 1, "in the list of facts, not in the sentence"
    assert mail.startswith(
        "Hello [[name]],\n\nWe are currently seeing problems with Web application, Dashboard, "
        "Sign-in, Reporting, and 8 more. Pages may load slowly or not at all. API requests"
    )
    assert "REST API requests" not in mail and "The dashboard may" not in mail
    alone = facts(Moment.INITIAL, **some("rest-api", "graphql-api"))
    assert "REST API requests" in (await write(alone, "en"))[Channel.EMAIL].text


@pytest.mark.parametrize(
    ("channel", "text", "more"),
    [
        (Channel.SMS, "Grüße [[link:status]]", 0), (Channel.SMS, "a {b} €", 3),
        # Once a letter is not in the alphabet, every one costs the same.
        (Channel.SMS, "açaí {b} €", 0), (Channel.SMS, "ok \U0001f44d", 1),
        (Channel.SOCIAL, "Störung: 14:30", 0), (Channel.SOCIAL, "決済処理 API", 4),
        (Channel.SOCIAL, "l\u2019API…", 1), (Channel.EMAIL, "決済処理", 0),
    ],
)  # fmt: skip
def test_a_channel_counts_in_its_own_way(channel: Channel, text: str, more: int) -> None:
    assert surcharge(text, channel) == more


@pytest.mark.parametrize("locale", POLICY.locales)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_post_fits_as_its_channel_counts(moment: Moment, locale: str) -> None:
    note = {"ja": "設定の変更を元に戻す作業を進めております。"}.get(locale, "We undo it. ") * 30
    everything = some(*(c.key for c in POLICY.component_list() if c.visible))
    for changes in (everything | {"notes": {"message": note, "locale": locale}}, everything, ONE):
        what = facts(moment, regions=("us", "eu", "apac"), **changes)
        for channel, text in (await write(what, locale)).items():
            if channel in (Channel.SMS, Channel.SOCIAL):
                counted = counted_length(text.text, what, channel)
                assert counted <= POLICY.length_limits[channel], text.text


@pytest.mark.parametrize(
    ("locale", "doing", "todo", "sorry"),
    [
        ("en", "What we are doing: ", "What you can do: ", "We are sorry for the disruption"),
        ("de", "Was wir tun: ", "Was Sie tun können: ", "Wir bitten Sie um Entschuldigung"),
        ("fr", "Ce que nous faisons\u00a0: ", "De votre côté\u00a0: ",
         "Nous vous présentons nos excuses"),
        ("es", "Qué estamos haciendo: ", "Qué puede hacer usted: ", "Le pedimos disculpas"),
        ("pt-BR", "O que estamos fazendo: ", "O que você pode fazer: ", "Pedimos desculpas"),
        ("ja", "対応状況\uff1a", "お客様側での対応は必要ございません。",
         "深くお詫び申し上げます。"),
        ("nl", "Wat wij doen: ", "Wat u kunt doen: ", "Onze excuses"),
        ("it", "Che cosa stiamo facendo: ", "Che cosa può fare: ", "Ci scusiamo"),
    ],
)  # fmt: skip
async def test_the_first_mail_holds_all_it_must(
    locale: str, doing: str, todo: str, sorry: str
) -> None:
    times = dict.fromkeys(("impact_start", "next_update", "eta"), AT)
    what = facts(Moment.INITIAL, **ONE, times=times, numbers={"share_percent": 12.5}, **EUROPE)
    mail = (await write(what, locale))[Channel.EMAIL].text
    payments = POLICY.component("payments")
    region, stage = CATALOG.region("eu", locale), CATALOG.stage("identified", locale)
    for needed in (
        "[[name]]", payments.names[locale], payments.impact[locale], "[[time:impact_start]]",
        region, stage, doing, todo, sorry, "[[time:eta]]", "[[time:next_update]]",
        "[[link:incident]]", POLICY.company.signature[locale],
    ):  # fmt: skip
        assert needed in mail, needed
    assert re.search(r"12[.,]5", mail)


@pytest.mark.parametrize("locale", POLICY.locales)
async def test_an_update_says_when_or_that_nobody_knows_yet(locale: str) -> None:
    known = facts(Moment.UPDATE, times=TIMES | {"eta": AT})
    with_eta = (await write(known, locale))[Channel.EMAIL].text
    without = (await write(facts(Moment.UPDATE), locale))[Channel.EMAIL].text
    assert "[[time:eta]]" in with_eta and "[[time:eta]]" not in without
    assert len(without.split("\n\n")) == len(with_eta.split("\n\n")), "a sentence stands for it"
