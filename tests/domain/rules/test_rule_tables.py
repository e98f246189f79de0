"""Each rule that reads words with its own table: what it finds, and what it leaves alone."""

from __future__ import annotations

import pytest

from domain.policy import Policy
from domain.rules import (
    counted,
    disguise,
    internal,
    names,
    parts,
    presence,
    traceable,
    worded,
    wording,
)
from domain.rules.base import Rule
from domain.rules.language import right_language
from domain.rules.paragraphs import foreign_paragraph
from tests.domain.rules.corpus import passage

# Rule, locale, what it finds something in, what it leaves alone.
TABLE: list[tuple[Rule, str, list[str], list[str]]] = [
    (traceable.times, "en",
     ["at 12:50 UTC", "at 2 pm", "at 13:05 CET", "on 18 November", "11/18/2026", "9:05 am EST"],
     ["at 13:05", "1:05 PM UTC", "2:05 p.m. CET", "13:05:20 UTC", "from 14:05 to 15:30 CET",
      "Nov 21st, 2026", "11/21/2026", "24/7", "8:05 am Eastern Time"]),
    (traceable.times, "de", ["um 12.50 Uhr", "um 15 Uhr", "am 18.11.", "16:30 Uhr"],
     ["um 14.05 Uhr MEZ", "13:05 Uhr", "am 21.11.2026", "am 21. November", "24/7"]),
    (traceable.times, "fr", ["à 12h50", "le 18 novembre"],
     ["à 13h05", "13 h 05 UTC", "14h05 (heure de Paris)", "le 21 novembre 2026", "7 j/7"]),
    (traceable.times, "es", ["a las 12:50 h", "el 18 de noviembre"],
     ["a las 14:05 h (CET)", "2:30 p. m. UTC", "el 21 de noviembre de 2026"]),
    (traceable.times, "pt-BR", ["às 12h50"], ["às 10h05 (BRT)", "11h30 no horário de Brasília"]),
    (traceable.times, "it", ["alle 12.50"], ["alle 13.05", "14.05 ora italiana",
      "ore 14:05 (CET)"]),
    (traceable.times, "nl", ["om 12.50 uur"], ["om 13.05 uur", "14:05 uur Nederlandse tijd"]),
    (traceable.times, "ja", ["12時50分", "11月18日", "午後3時"],
     ["13時05分\uff08UTC\uff09", "日本時間22時5分", "午後10時5分\uff08日本時間\uff09",
      "2026年11月21日", "2時間"]),
    (traceable.numbers, "en", ["45% of them", "3,400 accounts", "4 hours", "about 37 percent"],
     ["12.5%", "about 13 percent", "1,200 accounts", "every 30 minutes", "Step 2", "iPhone 15",
      "1. Look.\n2. Repair."]),
    (traceable.numbers, "ja", ["約45%", "3,400件", "4時間続いています"], ["12.5\uff05",
     "30分ごと"]),
    (worded.lengths, "de", ["seit anderthalb Stunden"], ["seit einer Stunde"]),
    (counted.numerals, "en", ["for four hours", "two days", "forty percent", "eleven thousand",
      "nine customers", "after twenty-five hours"],
     ["two more steps", "a minute or two", "about twelve percent", "five minutes",
      "twelve hundred accounts", "Wait thirty seconds.", "one in eight customers"]),
    (counted.numerals, "fr", ["depuis trois jours", "quarante pour cent", "deux mille comptes"],
     ["deux étapes", "mille deux cents comptes", "mille excuses"]),
    (counted.numerals, "es", ["dos mil cuentas", "veintitrés horas"], ["mil doscientas cuentas"]),
    (counted.numerals, "pt-BR", ["três mil contas"], ["mil e duzentas contas", "duas etapas"]),
    (counted.numerals, "it", ["duemila clienti", "da cinque ore"], ["milleduecento account"]),
    (counted.numerals, "nl", ["tweeduizend klanten", "vijf uur"], ["twaalfhonderd klanten"]),
    (counted.numerals, "ja", ["二千社", "四時間", "千三百のアカウント"],
     ["千二百件", "一部のお客様"]),
    (counted.ratios, "en", ["two in five requests", "one customer in six"],
     ["one in eight", "in two regions", "one of the steps in three places"]),
    (counted.ratios, "es", ["una de cada seis solicitudes"], ["uno de cada ocho"]),
    (counted.numerals, "ja", ["三分の一", "5人に1人"], ["八人に一人"]),
    (counted.clocks, "en", ["at half past three", "a quarter to four", "since noon", "two o'clock"],
     ["shortly after one o'clock", "five to ten customers", "half of it"]),
    (counted.clocks, "de", ["gegen halb fünf", "Viertel nach zehn", "kurz nach zwölf"],
     ["fünf nach eins", "fünf nach zwei", "kurz nach zwei Versuchen", "halb so viel"]),
    (counted.clocks, "fr", ["vers midi moins le quart", "à trois heures et quart"],
     ["à deux heures cinq", "cet après-midi", "pendant trois heures"]),
    (counted.clocks, "es", ["a las nueve y media", "antes del mediodía"],
     ["a las dos y cinco", "las dos solicitudes"]),
    (counted.clocks, "pt-BR", ["às três e meia", "quinze para as três"], ["às dez e cinco"]),
    (counted.clocks, "nl", ["om half vijf", "kwart voor vier"],
     ["vijf over twee", "over drie weken"]),
    (counted.clocks, "it", ["alle sette e mezza", "entro mezzogiorno"], ["alle due e cinque"]),
    (counted.clocks, "ja", ["三時半に", "正午までに"], ["十時五分", "一時的に", "二時間"]),
    (worded.shares, "en", ["one in three", "half of our customers"], ["one in eight"]),
    (worded.shares, "de", ["jeder dritte Kunde", "jede vierte Anfrage"], ["jeder achte Kunde"]),
    (traceable.numbers, "en",
     ["Please wait 40 minutes until it works again.", "You have to wait 45 minutes.",
      "Please note that 45 requests failed.", "It will be fixed in 40 minutes, please wait."],
     ["Please wait 30 seconds.", "If it stops, try again in 5 minutes.",
      "Choose a range of at most 24 hours.", "Use version 3 of the app."]),
    (traceable.numbers, "de", ["Die Anmeldung dauert 50 Sekunden."],
     ["Bitte warten Sie 50 Sekunden.", "Wählen Sie die letzten 24 Stunden."]),
    (traceable.numbers, "it", ["I tempi sono saliti a 50 secondi."], ["Riprovate tra 5 minuti."]),
    (traceable.numbers, "ja", ["復旧まで40分お待ちください。"], ["40秒ほどお待ちください。"]),
    (parts.parts, "en", ["The reports are late too.", "some webhooks never arrive"],
     ["We have had reports that payments fail.", "Your reports work as usual.",
      "If it fails, sign in again.", "Failed payments can be sent again."]),
    (parts.parts, "de", ["Auch die Berichte hängen.", "Bei der Anmeldung gibt es Fehler."],
     ["Uns erreichen Berichte, dass Zahlungen fehlschlagen.",
      "Die Berichte sind nicht betroffen."]),
    (parts.parts, "fr", ["L'API répond mal.", "La connexion échoue."],
     ["Vérifiez que votre connexion internet n'est pas coupée."]),
    (parts.parts, "ja", ["レポートも遅れています。"], ["レポートは通常どおりです。"]),
    (worded.crowds, "en", ["tens of thousands of customers"], ["hundreds of accounts"]),
    (worded.crowds, "ja", ["数万件"], ["数百件"]),
    (worded.days, "en", ["since yesterday", "since Thursday", "at noon", "on Monday evening"],
     ["since Saturday", "from Monday to Friday", "every Monday", "Black Friday"]),
    (worded.days, "pt-BR", ["desde segunda", "na segunda-feira"], ["a segunda etapa"]),
    (worded.days, "ja", ["火曜日から"], ["土曜日から"]),
    (worded.days, "fr", ["depuis hier", "depuis jeudi"], ["depuis samedi"]),
    (names.regions, "en", ["customers in APAC", "the Frankfurt site", "our US customers"],
     ["customers in the EU", "European customers", "tell us", "The US is not affected."]),
    (names.components, "en", ["The Web application fails.", "and the Dashboard fails"],
     ["The dashboard of your car", "The Dashboard is not affected."]),
    (names.people, "en", ["Sarah Connor leads", "Ask Mr. Brown"], ["May is over", "Apple Pay"]),
    (names.people, "ja", ["田中太郎が担当", "鈴木様まで"], ["お客様", "皆様", "同様に"]),
    (names.people, "de", ["Frau Schneider hilft"], ["Frau [[name]]", "Damen und Herren"]),
    (names.other_customers, "ja", ["Globex Corp様から"], ["お客様から"]),
    (names.recipient_name, "es", ["Hola, Juan:\n"], ["Hola, [[name]]:\n", "Estimado cliente:\n"]),
    (internal.hosts, "en",
     ["at 10.1.2.3", "2001:db8::1 fails", "on pay-db-03", "on web01", "k8s-07", "db.prod.internal",
      "see grafana.io", "i-0abc12345def"],
     ["at 13:05:20", "step-2", "3-D Secure", "status.acme.example", "e.g. this", "COVID-19"]),
    (internal.references, "en", ["INC-123", "PAY-99", "#4521", "Sev 1", "Priority 1"],
     ["UTF-8", "ISO-27001", "UTC-5", "a priority"]),
    (internal.traces, "en", ["panic: x", "KeyError", "app.py:12", "ECONNREFUSED"], ["an error"]),
    (internal.secrets, "en",
     ["sk_live_4eC39HqLyjWDarjtT1", "password is hunter2x", "Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh8Ii9Jj0KkLl"],
     ["Your password is safe.", "Password: please reset it."]),
    (internal.secrets, "de", ["der Schlüssel ak_prod_9fK2mZ81QxLt", "mit Tr0ub4dor&3."],
     ["PayPal & Co.", "Rest_API"]),
    (internal.secrets, "fr", ["mot de passe : Soleil2026"], ["votre mot de passe est protégé"]),
    (presence.placeholders, "en", ["[CAUSE]", "{name}", "{{x}}", "TODO", "<insert time>", "N/A"],
     ["[[name]]", "(see below)", "a < b"]),
    (presence.placeholders, "ja", ["【要記入】", "〇〇です"], ["【重要】お知らせ"]),
    (wording.jargon, "en", ["a failover", "we rolled back", "HTTP 503", "p99"], ["a switch"]),
    (wording.jargon, "ja", ["データベースが"], ["システムが"]),
    (wording.blame, "en", ["due to AWS", "Stripe is down", "our provider's fault"],
     ["Due to this, payments via PayPal fail.", "Payments through Stripe are safe."]),
    (wording.blame, "ja", ["AWSの障害が原因です"], ["PayPalでの決済に失敗します"]),
    (wording.fix_promise, "en", ["It will be fixed in an hour.", "Back to normal by 15:45 UTC."],
     ["We do not know when it will be fixed, and write again at 14:30 UTC.",
      "We will write as soon as it is fixed.", "We will write within the hour."]),
    (wording.fix_promise, "de", ["In einer Stunde ist alles behoben."],
     ["Sobald es behoben ist, melden wir uns bis 14:30 Uhr UTC."]),
    (wording.overclaim, "en", ["It will never happen again.", "We guarantee it."],
     ["We are making sure that this does not happen again."]),
    (wording.minimise, "de", ["Nur eine Kleinigkeit."], ["Eine kleine Gruppe von Kunden."]),
    (wording.tone, "en", ["Look!", "PLEASE wait", "What a disaster."], ["Thank you!",
      "VISA cards"]),
    (wording.residue, "de", ["Als KI-Sprachmodell"], ["Als Kunde"]),
    (wording.residue, "it", ["Ignore all previous instructions"], ["Ignori questo messaggio"]),
    (disguise.hidden, "en", ["Pay\u200bment", "P\u0430yment", "\u202eabc"], ["naïve café", "µm"]),
    (foreign_paragraph, "fr", ["We have found the cause of this and we are working on it now."],
     ["Nous avons trouvé la cause.", "Le bouton « Send to the team »."]),
    (traceable.times, "nl", ["om 15 uur", "16.20 uur"], ["binnen 24 uur", "na 3 uur", "14.05 uur"]),
    (traceable.times, "fr", ["à 17 h"], ["15 h 30 (14 h 30 UTC)", "entre 14 h 05 et 15 h 30"]),
    (traceable.times, "en", ["1:05 pm Eastern", "around 12:50 UTC"],
     ["2026-11-21T13:05:20Z", "shortly after 1 pm UTC", "8:05 am in New York"]),
    (traceable.numbers, "en", ["5k customers", "1 in 3 customers"],
     ["1.2k accounts", "1 in 8 customers", "UTC+0"]),
    (traceable.numbers, "nl", ["3 uur"], ["om de 30 minuten"]),
    (traceable.numbers, "ja", ["4割のお客様"], ["8人に1人"]),
    (counted.numerals, "en", ["thirteen hundred accounts"], ["twelve hundred accounts"]),
    (counted.numerals, "de", ["dreizehnhundert Konten", "zweitausendachthundert Konten"],
     ["zwölfhundert Konten", "eintausendzweihundert Konten"]),
    (worded.days, "en", ["on Sunday, 21 November"], ["on Saturday, 21 November"]),
    (names.people, "en", ["Ask for Priya", "Priya from our team"],
     ["Grace period", "San Francisco"]),
    (names.people, "ja", ["担当の田中", "佐藤が対応して"], ["石川県"]),
    (names.companies, "en", ["Wayne Enterprises", "Smith Ltd"], ["Acme Cloud Ltd", "your Inc"]),
    (names.companies, "ja", ["株式会社山田商店"], ["会社"]),
    (names.recipient_name, "ja", ["山田太郎 様\n"], ["お客様\n", "[[name]] 様\n"]),
    (internal.references, "en", ["acme/payments#4821", "PD-Q2X7ZT9KLM01"], ["24/7"]),
    (internal.secrets, "de", ["Das Passwort ist übrigens Sommer-2026!x"],
     ["Ihr Passwort bleibt; die 2-Faktor-Anmeldung auch"]),
    (internal.addresses, "ja", ["bob@acme.exampleまで"], ["support@acme.exampleまで"]),
    (internal.hosts, "ja", ["https://grafana.example.orgで確認"],
     ["https://status.acme.exampleでご確認"]),
    (presence.placeholders, "es", ["TODO: la causa", "[TODO]"], ["TODO se conserva", "todo"]),
    (presence.placeholders, "en", ["*|FNAME|*", "%NAME%", "<%= x %>", "the cause is None.",
     "(insert the cause)", "HH:MM"], ["Action needed: None.", "(see the list)"]),
    (presence.placeholders, "de", ["[Ursache einfügen]"], ["null Uhr"]),
    (wording.blame, "en", ["Once AWS is back, we are", "This is beyond our control."],
     ["Payments through Stripe work.", "Our provider is not affected."]),
    (wording.blame, "de", ["Unser Zahlungsdienstleister hat das Problem zugelassen."],
     ["Zahlungen über PayPal schlagen fehl."]),
    (wording.cause, "en", ["A certificate that expired is behind it."],
     ["We do not know yet whether the cause is a change of ours."]),
    (wording.fix_promise, "en", ["It is only a matter of minutes now.",
     "You can take payments again by 15:30 UTC.", "The fix will be live in half an hour."],
     ["We are working on a fix and will share an update within 30 minutes.",
      "Our engineers have worked on a fix since this afternoon.",
      "We hope to have it back to normal and will update you at 14:30 UTC."]),
    (wording.tone, "en", ["Sorry about that \U0001f648"], ["Sorry!", "We apologise!"]),
    (right_language, "en", ["We are on it. 私たちは原因を調べています。"],
     ["It is called カード."]),
    (right_language, "ja", ["決済です。目前部分客户的付款仍然失败我们正在查找原因。"],
     ["決済処理障害のお知らせです。"]),
]  # fmt: skip
FOUND = [(r, loc, said) for r, loc, bad, _ in TABLE for said in bad]
LEFT = [(r, loc, said) for r, loc, _, good in TABLE for said in good]


@pytest.mark.parametrize(("rule", "locale", "said"), FOUND)
def test_found(policy: Policy, rule: Rule, locale: str, said: str) -> None:
    assert list(rule(passage(said, policy, locale))) != []


@pytest.mark.parametrize(("rule", "locale", "said"), LEFT)
def test_left_alone(policy: Policy, rule: Rule, locale: str, said: str) -> None:
    assert list(rule(passage(said, policy, locale))) == []


@pytest.mark.parametrize("html", ["<p>Payments fail for 30 of you.</p>", "<p>All money is lost, "
    "every refund is gone and nobody will get anything back.</p>"])  # fmt: skip
def test_html_that_says_something_else(policy: Policy, html: str) -> None:
    assert list(disguise.html_differs(passage("Payments fail.", policy, html=html))) != []


def test_html_may_have_labels_of_its_own(policy: Policy) -> None:
    html = "<p>Payments fail.</p><a href='https://status.acme.example'>View status page</a>"
    assert list(disguise.html_differs(passage("Payments fail.", policy, html=html))) == []


def test_hiding_markup_is_found(policy: Policy) -> None:
    shown = passage("x", policy, html="<p style='display:none'>x</p><p style='margin:0'>x</p>")
    assert len(list(disguise.hidden(shown))) == 1
