"""Policies that releases before this one recorded are read, judged by, and keep their hash."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.message import Channel, DraftText, Facts, Moment
from domain.policy import Policy
from domain.policy_tone import Blame, Tone
from domain.rules.earlier import complete
from domain.validation import validate_text

HISTORIES = Path(__file__).parents[1] / "histories"
FACTS = Facts(
    incident_id="inc_abcdefghijkl", moment=Moment.UPDATE, number=2, severity="P1",
    stage="investigating", category="local_degradation", components=("payments",),
    component_names={"en": ("Payment processing",), "de": ("Zahlungsabwicklung",)},
    links={"status": "https://status.acme.example"}, numbers={"duration_minutes": 30.0},
)  # fmt: skip


def payloads(node: Any) -> Iterator[Any]:
    """Everything that a history carries as JSON."""
    if isinstance(node, dict):
        if isinstance(node.get("data"), str) and "metadata" in node:
            yield json.loads(base64.b64decode(node["data"]) or b"null")
        for item in node.values():
            yield from payloads(item)
    elif isinstance(node, list):
        for item in node:
            yield from payloads(item)


def recorded(release: str) -> tuple[str, dict[str, Any]]:
    """The hash an incident began under, and the policy as the release wrote it."""
    text = (HISTORIES / release / "approved--incident-1.json").read_text("utf-8")
    carried = [p for p in payloads(json.loads(text)) if isinstance(p, dict)]
    begun = next(p["policy_hash"] for p in carried if "policy_hash" in p)
    return begun, next(p for p in carried if "gates" in p and "tone" in p)


@pytest.fixture(scope="module")
def earlier() -> Policy:
    return Policy.model_validate(recorded("0.2.0")[1])


@pytest.mark.parametrize("release", ["0.1.0", "0.2.0"])
def test_a_recorded_policy_is_read_and_written_as_it_was(release: str) -> None:
    _, content = recorded(release)
    policy = Policy.model_validate(content)
    assert policy.tone.blame["en"].before == tuple(content["tone"]["blame"]["en"])
    written = policy.model_dump(mode="json")["tone"]
    assert {k: v for k, v in written.items() if k in content["tone"]} == content["tone"]
    assert not written.keys() - content["tone"].keys(), "a worker of then would refuse it"


def test_it_keeps_the_hash_that_its_incidents_name() -> None:
    begun, content = recorded("0.2.0")
    policy = Policy.model_validate(content)
    assert policy.hash == begun
    assert Policy.model_validate_json(policy.model_dump_json()).hash == begun


def test_one_list_of_blame_says_both(earlier: Policy) -> None:
    assert Blame.model_validate(["due to"]) == Blame(before=("due to",), after=("due to",))
    assert Blame.model_validate(["due to"]).model_dump_json() == '["due to"]'
    apart = Blame(before=("due to",), after=("is down",))
    assert Blame.model_validate(apart.model_dump()) == apart


@pytest.mark.parametrize(
    ("locale", "said", "rules"),
    [
        ("en", "We write every 30 minutes, and our support is there 24/7.", set()),
        ("de", "Die Störung dauert seit 30 Minuten.", set()),
        ("en", "This is due to AWS.", {"blame"}),
        ("en", "It will be fixed in two hours.", {"fix_promise", "number"}),
        ("de", "Es wird behoben, in zwei Stunden.", {"fix_promise", "number"}),
        ("en", "The cause is [insert cause].", {"placeholder"}),
    ],
)
def test_its_incidents_are_still_judged(
    earlier: Policy, locale: str, said: str, rules: set[str]
) -> None:
    text = DraftText(
        channel=Channel.EMAIL, locale=locale, subject="x", text=f"{said} [[link:status]]"
    )
    assert {f.rule for f in validate_text(text, FACTS, earlier)} == rules


def test_words_of_its_own_are_not_added_to(earlier: Policy, policy: Policy) -> None:
    assert complete(policy.tone) is policy.tone
    assert complete(Tone()) == Tone(), "no words at all is a choice"
    assert complete(earlier.tone).spans and not earlier.tone.spans
