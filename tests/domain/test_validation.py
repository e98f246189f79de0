"""Each rule with what it finds and what it leaves alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.message import Channel, DraftText, DraftVersion, Facts, Finding, Moment
from domain.policy import Policy
from domain.validation import sensitive_findings, validate_draft, validate_text

FACTS = Facts(
    incident_id="inc_abcdefghijkl", moment=Moment.UPDATE, number=2, severity="P1",
    stage="investigating", category="regional_outage", components=("payments",),
    component_names={"en": ("Payment processing",), "de": ("Zahlungsabwicklung",)},
    regions=("eu",),
    times={"impact_start": datetime(2026, 11, 21, 13, 5, 20, tzinfo=UTC),
           "next_update": datetime(2026, 11, 21, 14, 30, 45, tzinfo=UTC)},
    numbers={"share_percent": 12.5, "duration_minutes": 85.0, "accounts": 1200.0},
    notes={"message": "Card 7 of 9 is affected since 08:15."},
    links={"status": "https://status.acme.example"},
)  # fmt: skip
# So that what must be there is there, and a test sees only its own finding.
GOOD_END = " Next update by [[time:next_update]]. [[link:status]]"


def check(
    policy: Policy, body: str, *, locale: str = "en", channel: Channel = Channel.EMAIL,
    subject: str | None = "Update 2: Payment processing", html: str | None = None,
    facts: Facts = FACTS, end: str = GOOD_END, others: tuple[str, ...] = (),
) -> list[Finding]:  # fmt: skip
    text = DraftText(channel=channel, locale=locale, subject=subject, text=body + end, html=html)
    return list(validate_text(text, facts, policy, others))


BAD = [
    # status link, next update, length
    ("status_link", {"body": "x", "end": " Next update by [[time:next_update]]."}),
    ("status_link", {"body": "https://other.example", "end": " by [[time:next_update]]"}),
    ("next_update", {"body": "We will write again. [[link:status]]", "end": ""}),
    ("next_update", {"body": "Next update by 14:31 UTC. [[link:status]]", "end": ""}),
    ("length", {"body": "word " * 70, "channel": Channel.SMS}),
    # placeholders
    ("placeholder", {"body": "Dear {{ name }}, hello."}),
    ("placeholder", {"body": "{% if x %}"}),
    ("placeholder", {"body": "TODO: write this."}),
    ("placeholder", {"body": "Since XXX we know."}),
    ("placeholder", {"body": "Hello <name>, we know."}),
    ("placeholder", {"body": "We know [insert cause] now."}),
    ("placeholder", {"body": "Restored at [[time:restored_at]]."}),
    ("placeholder", {"body": "See [[link:report]]."}),
    ("placeholder", {"body": "[[company]] and [[ name ]]"}),
    ("placeholder", {"body": "Hello [[name]]", "channel": Channel.STATUS_PAGE}),
    # facts
    ("number", {"body": "About 30% of customers are affected."}),
    ("number", {"body": "It took 45 minutes."}),
    ("number", {"body": "1,500 accounts are affected."}),
    ("number", {"body": "Etwa 13,5 % der Kunden sind betroffen.", "locale": "de"}),
    ("time", {"body": "It began at 13:10 UTC."}),
    ("time", {"body": "It began at 13:05 CET."}),
    ("time", {"body": "It began at 2 pm."}),
    ("time", {"body": "Es begann um 15 Uhr.", "locale": "de"}),
    ("time", {"body": "It began on 2026-11-19."}),
    ("time", {"body": "It began on 3 November."}),
    ("time", {"body": "Es begann am 19.11.2026.", "locale": "de"}),
    ("component", {"body": "The Web application is affected too."}),
    ("component", {"body": "Payment processing and REST API fail."}),
    ("component", {"body": "Auch das Dashboard ist betroffen.", "locale": "de"}),
    ("region", {"body": "Customers in the EU and in APAC notice it."}),
    ("name", {"body": "Dear Grace Hopper,\nwe know."}),
    ("name", {"body": "Sehr geehrte Frau Meier,\nwir wissen es.", "locale": "de"}),
    ("customer_name", {"body": "Globex Corp reported it.", "others": ("Globex Corp", "IBM")}),
    # internal
    ("internal", {"body": "The server 10.0.3.17 failed."}),
    ("internal", {"body": "The server fe80:0:0:1::12 failed."}),
    ("internal", {"body": "The host db-01.prod.acme.net failed."}),
    ("internal", {"body": "See postgres-primary and pig208."}),
    ("internal", {"body": "See payments.default.svc.cluster.local for it."}),
    ("internal", {"body": "Look at db-04 for it."}),
    ("internal", {"body": "See /var/log/app/error.log for it."}),
    ("internal", {"body": "This is a P1 for us."}),
    ("link", {"body": "See https://grafana.acme-internal.example/d/1 for it."}),
    ("address", {"body": "Write to grace@acme.example for it."}),
    ("ticket_id", {"body": "We track it as OPS-1234 here."}),
    ("ticket_id", {"body": "We track it as INC0012345 here."}),
    ("ticket_id", {"body": "We track it as inc_abcdefghijkl here."}),
    ("stack_trace", {"body": "Traceback (most recent call last)"}),
    ("stack_trace", {"body": "We saw a NullPointerException there."}),
    ("stack_trace", {"body": "x\n    at com.acme.Pay.charge(Pay.java:12)"}),
    ("secret", {"body": "password: hunter2secret"}),
    ("secret", {"body": "key AKIAIOSFODNN7EXAMPLE there"}),
    ("secret", {"body": "xoxb-123456789-abcdef"}),
    # wording
    ("jargon", {"body": "We did a rollback of the service."}),
    ("jargon", {"body": "Latency is high."}),
    ("jargon", {"body": "Die Datenbanken sind langsam.", "locale": "de"}),
    ("blame", {"body": "This was caused by our hosting company."}),
    ("blame", {"body": "AWS is responsible for it."}),
    ("blame", {"body": "Wegen einer Störung bei Cloudflare ist es so.", "locale": "de"}),
    ("fix_promise", {"body": "It will be fixed within 2 hours."}),
    ("fix_promise", {"body": "The service will be restored shortly."}),
    ("fix_promise", {"body": "We expect to resolve it by 14:30 UTC."}),
    ("fix_promise", {"body": "All will be back by [[time:next_update]]."}),
    ("fix_promise", {"body": "Die Störung wird in Kürze behoben sein.", "locale": "de"}),
    ("tone", {"body": "We are working on it!"}),
    ("tone", {"body": "IMPORTANT: read this."}),
    ("tone", {"body": "Oops, what a mess."}),
    ("tone", {"body": "Das ist eine Katastrophe.", "locale": "de"}),
    ("language", {"body": "Wir haben die Ursache gefunden und arbeiten an der Lösung."}),
    ("language", {"body": "We have found the cause and are working on it.", "locale": "de"}),
    ("subject", {"body": "x", "subject": "P1: Payment processing"}),
    ("subject", {"body": "x", "subject": "Update\r\nBcc: x"}),
    ("subject", {"body": "x", "subject": None}),
    ("markup", {"body": "x", "html": "<script>x</script>" + GOOD_END}),
    ("markup", {"body": "x", "html": '<a href="javascript:x">x</a>' + GOOD_END}),
    ("markup", {"body": "x", "html": "<b onclick=x>x</b>" + GOOD_END}),
    ("number", {"body": "x", "html": "<p>About <b>30</b>%</p>" + GOOD_END}),
]


@pytest.mark.parametrize(("rule", "draft"), BAD)
def test_what_a_rule_finds(policy: Policy, rule: str, draft: dict[str, object]) -> None:
    found = check(policy, **draft)  # type: ignore[arg-type]  # a table of keyword arguments
    assert rule in {f.rule for f in found}, found


GOOD = [
    {"body": "Hello [[name]],\n\nabout 12.5% of customers in the EU are affected since 13:05 UTC."},
    {"body": "It took 1 hour 25 minutes, or 85 minutes. 1,200 accounts are affected."},
    {"body": "It began on 21 November 2026 at 14:05 CET, that is 2026-11-21 13:05 UTC."},
    {"body": "It began at 1:05 p.m. UTC on Nov 21st."},
    {"body": "Next update by 14:30 UTC. https://status.acme.example/incidents/1", "end": ""},
    {"body": "Card 7 of 9 is affected since 08:15. We write every 30 minutes."},
    {"body": "Etwa 12,5 % der Kunden, 1.200 Konten, seit 14:05 Uhr MEZ am 21.11.2026.",
     "locale": "de"},
    {"body": "Our team is here 24/7. We do this:\n1. We look.\n2. We repair."},
    {"body": "We use UTF-8, TLS-1 and COVID-19 tests, e.g. for reports. z.B. so: i.e. this."},
    {"body": "Write to support@acme.example. Reports and webhooks work as usual."},
    {"body": "Reporting a problem helps us. The dashboard of your car is fine."},
    {"body": "Hello there,\nHello all, this is said to you."},
    {"body": "Guten Tag [[name]],\nes tut uns leid. Wir sind verantwortlich.", "locale": "de"},
    {"body": "We will send the next update within 30 minutes. We will post more soon."},
    {"body": "The data that Stripe holds is safe. We are responsible for your data."},
    {"body": "Signing in from the USA by SSO is not affected."},
    {"body": "Acme Cloud is watching. The Acme Cloud team"},
    {"body": "Ask us about time: we answer it."},
    {"body": "x", "html": '<p style="margin:0">Hi <a href="[[link:status]]">[[link:status]]</a> '
                          "&amp; [[time:next_update]]</p>"},
]  # fmt: skip


@pytest.mark.parametrize("draft", GOOD)
def test_what_the_rules_leave_alone(policy: Policy, draft: dict[str, object]) -> None:
    assert check(policy, **draft) == []  # type: ignore[arg-type]  # a table of keyword arguments


def test_a_finding_says_where(policy: Policy) -> None:
    (found,) = check(policy, "We did a rollback.")
    assert found == Finding(
        rule="jargon", where="email/en/text:9", found="rollback", suggestion="undoing a change"
    )


def test_a_secret_is_not_repeated(policy: Policy) -> None:
    for finding in check(policy, "password: hunter2secret and AKIAIOSFODNN7EXAMPLE"):
        assert "hunter2" not in finding.found and "EXAMPLE" not in finding.found


def test_an_eta_may_be_promised(policy: Policy) -> None:
    facts = FACTS.model_copy(
        update={"times": {**FACTS.times, "eta": datetime(2026, 11, 21, 16, 0, tzinfo=UTC)}}
    )
    for said in ("It will be fixed by [[time:eta]].", "It will be fixed by 16:00 UTC."):
        assert check(policy, said, facts=facts) == []
    assert check(policy, "It will be fixed by 14:30 UTC.", facts=facts) != []


def test_without_a_promise_none_is_missed(policy: Policy) -> None:
    facts = FACTS.model_copy(update={"moment": Moment.RESOLUTION})
    assert check(policy, "It is over. [[link:status]]", facts=facts, end="") == []


def test_staff_may_speak_among_themselves(policy: Policy) -> None:
    body = "P1: latency on the database, inc_abcdefghijkl, OPS-12."
    assert check(policy, body, channel=Channel.INTERNAL) == []


def test_a_name_fits_the_recipient_it_is_allowed_for(policy: Policy) -> None:
    facts = FACTS.model_copy(update={"names": ("Grace Hopper",)})
    assert check(policy, "Dear Grace Hopper,\nwe know.", facts=facts) == []


def test_all_texts_of_a_version_are_checked(policy: Policy) -> None:
    texts = tuple(
        DraftText(channel=c, locale="en", subject="s", text="Latency." + GOOD_END)
        for c in (Channel.EMAIL, Channel.SLACK)
    )
    draft = DraftVersion(
        incident_id="inc_abcdefghijkl", version=1, moment=Moment.UPDATE, number=2, texts=texts,
        facts=FACTS, audience_rule="", hash="", created_at=datetime(2026, 11, 21, tzinfo=UTC),
    )  # fmt: skip
    assert {f.where for f in validate_draft(draft, policy)} == {
        "email/en/text:0",
        "slack/en/text:0",
    }


def test_a_report_with_something_sensitive_is_held_back(policy: Policy) -> None:
    assert sensitive_findings("Payments failed from 13:05 to 14:30, 30 % of them.", policy) == ()
    report = "Host db-01.prod.acme.net at 10.0.0.1; Globex Corp paid; AWS is responsible; OPS-7"
    rules = {f.rule for f in sensitive_findings(report, policy, ["Globex Corp"])}
    assert rules == {"internal", "customer_name", "blame", "ticket_id"}


@pytest.mark.parametrize("size", [1, 20_000])
def test_hostile_text_is_judged_in_time(policy: Policy, size: int) -> None:
    for piece in ("a" * 50, "a.", "<a ", "1.", "[[", "a-", "::", "A.B-", "in 1", "&#"):
        check(policy, piece * (size // len(piece) + 1))
