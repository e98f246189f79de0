"""The corpus of drafts: by rule, how many bad ones are caught and how many good ones refused."""

from __future__ import annotations

import sys
from collections import Counter
from time import process_time

import pytest

from domain.policy import Policy
from tests.domain.rules.corpus import Case, cases, is_caught_by, judge

SETS = ("tuned", "held", "blind", "second", "third")
TUNED = [c for c in cases() if c.set == "tuned"]
Table = dict[str, Counter[str]]


def table(policy: Policy, *sets: str) -> Table:
    """By rule: how many drafts, how many are refused, and how many for the reason they have."""
    rows: Table = {}
    for case in cases():
        if case.set in sets:
            found = {f.rule for f in judge(case, policy)}
            row = rows.setdefault(case.rule or "(good)", Counter())
            row.update(drafts=1, refused=int(bool(found)), reason=int(is_caught_by(case, found)))
    return rows


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


@pytest.mark.parametrize(
    ("which", "least"), [("held", 0.97), ("blind", 0.92), ("second", 0.95), ("third", 0.95)]
)
def test_nearly_all_bad_drafts_are_refused_and_nearly_no_good_one(
    policy: Policy, which: str, least: float
) -> None:
    rows = table(policy, which)
    good = rows.pop("(good)")
    refused = sum(row["refused"] for row in rows.values())
    assert refused / sum(row["drafts"] for row in rows.values()) >= least, rows
    assert good["refused"] / good["drafts"] <= 0.02, good


def test_print_the_table(policy: Policy) -> None:
    """With -s, the table of docs/validation.md."""
    lines = ["| rule | drafts | refused | for this reason |", "|---|---|---|---|"]
    for which in SETS:
        rows = table(policy, which)
        lines.append(f"| **{which}** | | | |")
        lines += [
            f"| {rule} | {row['drafts']} | {row['refused']} "
            f"| {row['reason'] if rule != '(good)' else '-'} |"
            for rule, row in sorted(rows.items())
        ]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert len(lines) > 2 * len(SETS)


def test_judging_a_text_takes_no_time(policy: Policy) -> None:
    """Processor time of one text with all rules; generous, because test machines are busy."""
    some = [c for c in cases() if c.name.endswith(("-good-0", "-good-1"))]
    for case in some:
        judge(case, policy)
    begun = process_time()
    for case in some:
        judge(case, policy)
    assert (process_time() - begun) / len(some) < 0.01
