"""What humans state for a post-mortem: customers read what they may, colleagues all of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError

from domain.actions import TellStaff
from domain.events import PostMortemMoved
from domain.incident import (
    AudienceCount,
    IncidentState,
    Pending,
    PostMortemOffer,
    PostMortemState,
    Stage,
)
from domain.message import Channel, Moment
from domain.plan import plan
from domain.policy import Policy
from domain.post_mortem import PreventionAction, Statement, nudges, redacted, statement_findings
from domain.signal import Severity

AT = datetime(2026, 3, 10, 14, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATEMENT = Statement(
    summary="Payments failed for an hour.",
    cause="A change of ours had a fault.",
    root_cause="Migration 42 locked db-primary-7.internal.",
    prevention=(
        PreventionAction(text="We test changes twice", owner="Ada", visible=True),
        PreventionAction(text="Raise the limit on db-primary-7", due=date(2026, 4, 1)),
    ),
)


def test_customers_read_only_what_is_meant_for_them() -> None:
    told = STATEMENT.for_customers()
    assert told == {
        "summary": "Payments failed for an hour.",
        "cause": "A change of ours had a fault.",
        "prevention": "We test changes twice.",
    }
    whole = STATEMENT.for_colleagues()
    assert whole["cause"] == "Migration 42 locked db-primary-7.internal."
    assert whole["prevention"] == (
        "- We test changes twice (Ada)\n- Raise the limit on db-primary-7 (2026-04-01)"
    )


def test_what_is_not_known_is_not_there() -> None:
    assert Statement().for_customers() == Statement().for_colleagues() == {}


@pytest.mark.parametrize(
    ("field", "text", "rule", "where"),
    [
        ("summary", "db-primary-7.internal was down.", "internal", "summary:0"),
        ("cause", "See OPS-1234 for more.", "ticket_id", "cause:4"),
        ("fixed", "We set password=hunter22 anew.", "secret", "fixed:7"),
        ("summary", "As Globex Corporation told us.", "customer_name", "summary:3"),
        ("fixed", "Traceback (most recent call last)", "stack_trace", "fixed:0"),
        ("prevention", "We restart db-primary-7.internal.", "internal", "prevention.0.text:11"),
    ],
)
def test_what_customers_must_not_read_is_named(
    policy: Policy, field: str, text: str, rule: str, where: str
) -> None:
    given: object = text
    if field == "prevention":
        given = [{"text": text, "visible": True}]
    statement = Statement.model_validate({field: given})
    found = statement_findings(statement, policy, ["Globex Corporation"])
    assert (rule, where) in {(f.rule, f.where) for f in found}


def test_what_only_colleagues_read_may_say_anything(policy: Policy) -> None:
    assert statement_findings(STATEMENT, policy, []) == ()


def test_a_sensitive_paragraph_is_left_out_of_the_report_and_named(policy: Policy) -> None:
    notes = ["We look into it.\n\nIt is db-primary-7.internal.", "Works again."]
    kept, left_out = redacted(notes, policy, [])
    assert kept == ("We look into it.", "Works again.")
    assert [(f.where, f.rule) for f in left_out] == [("update 1, paragraph 2", "internal")]
    assert redacted(["token=abc123def456"], policy, [])[0] == ()


@pytest.mark.parametrize(
    "given",
    [
        {"summary": "a\x00b"},
        {"error_rate_percent": 101},
        {"prevention": [{"text": " "}]},
        {"prevention": [{"text": "x", "visibel": True}]},
        {"unknown": "x"},
        {"summary": "x" * 10_001},
    ],
)
def test_a_bad_statement_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Statement.model_validate(given)


def test_nudges_come_before_at_and_after_the_deadline() -> None:
    due = AT + 48 * HOUR
    made = nudges(due, [24 * HOUR, 4 * HOUR], 12 * HOUR)
    assert made[:4] == (due - 24 * HOUR, due - 4 * HOUR, due, due + 12 * HOUR)
    assert len(made) == 22, "it does not ask for ever"
    assert nudges(None, [HOUR], HOUR) == nudges(due, [], None) == ()


# What the incident makes of a nudge


def reviewing(**changes: object) -> IncidentState:
    """A resolved incident whose post-mortem waits for its reviewer, due at 14:00."""
    pending = Pending(
        draft=3, moment=Moment.POST_MORTEM, number=1, hash="h", channels=(), stage=Stage.RESOLVED,
        asked_at=AT - HOUR,
    )  # fmt: skip
    return IncidentState(
        id="inc_a", severity=Severity.P1, category="local_degradation", started_at=AT - 3 * HOUR,
        opened_at=AT - 3 * HOUR, stage=Stage.RESOLVED, post_mortem=PostMortemState.DRAFTED,
        post_mortem_due=AT, pending=pending, steps=9,
    ).model_copy(update=changes)  # fmt: skip


def asked(state: IncidentState, policy: Policy, now: datetime) -> tuple[IncidentState, list[str]]:
    nudge = PostMortemMoved(state=PostMortemState.DUE)
    state, actions = plan(state, nudge, now, policy)
    lines = [f"{a.key} {a.data.get('who', '')}".strip() for a in actions if a.kind == "note"]
    assert any(isinstance(a, TellStaff) for a in actions) is (len(lines) > 1)
    return state, lines


def test_before_the_deadline_the_reviewer_is_reminded(policy: Policy) -> None:
    state, lines = asked(reviewing(), policy, AT - HOUR)
    chain = policy.people.roles["approver"]
    assert lines == ["post_mortem_due", f"reminded {chain[0]}"]
    assert state.post_mortem is PostMortemState.DRAFTED and state.pending is not None


def test_past_the_deadline_the_next_person_is_asked_and_the_last_one_again(
    policy: Policy,
) -> None:
    state, chain = reviewing(), policy.people.roles["approver"]
    for turn in range(len(chain) + 1):
        state, lines = asked(state, policy, AT + turn * HOUR)
        who = chain[min(turn + 1, len(chain) - 1)]
        assert lines == ["post_mortem_due", f"escalated {who}"]


def test_a_nudge_that_comes_late_changes_nothing(policy: Policy) -> None:
    before = reviewing(post_mortem=PostMortemState.PUBLISHED, pending=None)
    state, lines = asked(before, policy, AT)
    assert lines == [] and state.post_mortem is PostMortemState.PUBLISHED


def test_a_nudge_while_it_is_being_written_is_only_noted(policy: Policy) -> None:
    before = reviewing(post_mortem=PostMortemState.DUE, pending=None)
    state, lines = asked(before, policy, AT)
    assert lines == ["post_mortem_due"] and state.post_mortem is PostMortemState.DUE


def test_what_is_published_is_mailed_to_those_who_were_told(policy: Policy) -> None:
    audience = AudienceCount(audience_id="aud_1", accounts=3, recipients=5)
    published = PostMortemMoved(state=PostMortemState.PUBLISHED, version=3, hash="h")
    state = reviewing(pending=None, audience=audience)
    _, actions = plan(state, published, AT, policy)
    (sent,) = [a for a in actions if a.kind == "broadcast"]
    assert sent.audience_id == "aud_1" and sent.version == 3
    assert {Channel.EMAIL, Channel.STATUS_PAGE} <= set(sent.channels)


def test_what_is_completed_internally_is_sent_to_nobody(policy: Policy) -> None:
    done = PostMortemMoved(state=PostMortemState.COMPLETED, version=3, hash="h")
    _, actions = plan(reviewing(pending=None), done, AT, policy)
    assert not [a for a in actions if a.kind == "broadcast"]


def test_a_report_that_was_not_published_is_put_before_its_reviewers_again(
    policy: Policy,
) -> None:
    refused = PostMortemMoved(state=PostMortemState.DRAFTED, version=3, hash="h", invalid=True)
    state, _ = plan(reviewing(pending=None, decided=(3,)), refused, AT, policy)
    assert state.pending is not None and state.pending.draft == 3 and state.pending.invalid
    assert state.offer is None or isinstance(state.offer, PostMortemOffer)
