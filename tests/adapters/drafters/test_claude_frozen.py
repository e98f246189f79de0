"""Frozen facts: what a model's words must hold, must not hold, and may hold."""

from __future__ import annotations

import pytest

from adapters.drafters.frozen import frozen
from domain.policy import Policy
from tests.adapters.drafters.claude_world import facts

USES = ("[[components]]", "[[regions]]")
NOTES = {"message": "Use version 2.3 of the Roadrunner app, or call us before 18:00."}

GOOD = [
    ("en", "We see problems with [[components]] in [[regions]]. Payments may fail."),
    ("en", "[[components]] in [[regions]]: Signing in works. Acme Cloud is sorry."),
    ("en", "[[components]], [[regions]]. Please use version 2.3 of the Roadrunner app."),
    ("en", "- [[components]] [[regions]]\n- Nothing else is affected."),
    ("de", "Es gibt eine Störung bei [[components]] in [[regions]]. Das Team sucht die Ursache."),
    ("de", "[[components]], [[regions]]: Nutzen Sie bis 18:00 die Version 2.3 der App."),
    ("fr", "Un incident touche [[components]] [[regions]]. L'équipe d'Acme Cloud s'en occupe."),
    ("es", "¿Qué ocurre? Hay problemas en [[components]] [[regions]]. Puede escribir a Uds."),
    ("it", "Problemi con [[components]] ([[regions]]). Ci scusiamo con Lei per il disagio."),
    ("pt-BR", "Problemas em [[components]] [[regions]]. Algumas integrações não respondem."),
    ("en", "We know. (See below.) Please wait. [[components]] [[regions]]"),
    ("nl", "Problemen met [[components]] in [[regions]]. De betalingsverwerking hapert."),
    ("ja", "[[regions]]の[[components]]で問題が発生しております。ご不便をおかけしております。"),
]
BAD = [
    ("en", "Problems with [[components]].", "facts_differ", "no [[regions]]"),
    ("en", "[[components]] [[regions]] [[time:eta]]", "placeholder", "[[time:eta]]"),
    ("en", "[[components]] [[regions]] [[ components ]]", "placeholder", "[[ components ]]"),
    ("en", "[[components]] [[regions]] [[name", "placeholder", "[["),
    ("en", "[[components]] [[regions]]: 3 customers", "number", "3"),
    ("en", "[[components]] [[regions]] since 14:30", "number", "14:30"),
    ("en", "[[components]] [[regions]], 12,5 %", "number", "12,5"),
    ("ja", "[[components]][[regions]]は14時30分に", "number", "14"),
    ("ja", "[[components]][[regions]]は\uff11\uff14時に", "number", "\uff11\uff14"),
    ("en", "[[components]] [[regions]] and Contoso know.", "name", "Contoso"),
    ("en", "[[components]] [[regions]] on Tuesday", "name", "Tuesday"),
    ("en", "[[components]] [[regions]] in Germany", "name", "Germany"),
    ("en", "[[components]] [[regions]] at AWS", "name", "AWS"),
    ("de", "[[components]] [[regions]]: PostgreSQL ist langsam.", "name", "PostgreSQL"),
    ("de", "[[components]] [[regions]]: Das AWS-Team weiß Bescheid.", "name", "AWS-Team"),
    ("fr", "[[components]] [[regions]], chez notre client Dupont.", "name", "Dupont"),
    ("fr", "[[components]] [[regions]] souffrent d'Amazon.", "name", "d'Amazon"),
    ("ja", "[[components]][[regions]]はCloudflareの障害です。", "name", "Cloudflare"),
    ("en", "[[components]] [[regions]] https://x.example", "link", "https://x.example"),
    ("en", "[[components]] [[regions]] www.x.example", "link", "www.x.example"),
    ("en", "[[components]] [[regions]] a@x.example", "link", "a@x.example"),
    ("en", "[[components]] [[regions]] <i>now</i>", "markup", "<i>"),
    ("en", "[[components]] [[regions]] [here](x)", "markup", "]("),
]


@pytest.mark.parametrize(("locale", "words"), GOOD)
def test_good_words_pass(locale: str, words: str, policy: Policy) -> None:
    what = facts(policy, notes=NOTES)
    assert frozen(words, "email/x/text", locale, USES, what, policy) == ()


@pytest.mark.parametrize(("locale", "words", "rule", "found"), BAD)
def test_bad_words_are_named(
    locale: str, words: str, rule: str, found: str, policy: Policy
) -> None:
    findings = frozen(words, "email/x/text", locale, USES, facts(policy), policy)
    assert (rule, found) in {(f.rule, f.found) for f in findings}
    wrong = next(f for f in findings if f.found == found)
    offset = int(wrong.where.rpartition(":")[2])
    assert rule == "facts_differ" or words[offset:].startswith(found)
    assert wrong.suggestion
