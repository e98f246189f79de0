"""The corpus of drafts: by rule, how many bad ones are caught and how many good ones refused."""

from __future__ import annotations

from collections import Counter
from time import process_time

import pytest
from corpus import Case, cases, judge

from domain.policy import Policy

TUNED = [c for c in cases() if not c.held]
HELD = [c for c in cases() if c.held]


@pytest.mark.parametrize("case", TUNED, ids=lambda c: c.name)
def test_a_draft_breaks_the_rule_that_it_was_written_to_break(policy: Policy, case: Case) -> None:
    found = judge(case, policy)
    if case.rule:
        assert case.rule in {f.rule for f in found}, case.draft.text
    else:
        assert found == (), case.draft.text


def test_the_corpus_is_large_and_in_every_language() -> None:
    bad = Counter(c.draft.locale for c in cases() if c.rule)
    good = Counter(c.draft.locale for c in cases() if not c.rule)
    assert bad.total() >= 150 and good.total() >= 100
    assert len(bad) == len(good) == 8
    assert min(bad.values()) >= 25 and min(good.values()) >= 15


def test_what_was_held_back_is_reported(
    policy: Policy, record_property: pytest.RecordProperty
) -> None:
    """Not tuned to: a bar below what it reaches, and the table in the test's report."""
    table: dict[str, Counter[str]] = {}
    for case in HELD:
        found = {f.rule for f in judge(case, policy)}
        row = table.setdefault(case.rule or "good", Counter())
        row["drafts"] += 1
        row["refused"] += bool(found)
        row["by the rule"] += case.rule in found
    for rule, row in sorted(table.items()):
        record_property(rule, dict(row))
    good = table.pop("good")
    caught = sum(row["refused"] for row in table.values())
    bad = sum(row["drafts"] for row in table.values())
    assert caught / bad >= 0.9, table
    assert good["refused"] / good["drafts"] <= 0.05, good


def test_judging_a_text_takes_no_time(policy: Policy) -> None:
    """Processor time of one text with all rules; generous, because test machines are busy."""
    some = [c for c in cases() if c.name.endswith(("-good-0", "-good-1"))]
    for case in some:
        judge(case, policy)
    begun = process_time()
    for case in some:
        judge(case, policy)
    assert (process_time() - begun) / len(some) < 0.02
