"""Another policy for a running incident: what follows at once, and what was told stays true."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.events import AlertsReceived, PolicyAdopted
from domain.incident import TimerKind
from domain.policy import Policy
from domain.policy_change import SHOWN, changes, unfit
from domain.signal import AlertBatch, Severity
from tests.domain.story import Story, batch

MINUTE = timedelta(minutes=1)


def with_figures(policy: Policy, **sections: dict[str, Any]) -> Policy:
    """The policy with figures of some sections replaced."""
    content = policy.model_dump(mode="json")
    for name, figures in sections.items():
        content[name] |= figures
    return Policy.model_validate(content)


def rhythm(policy: Policy, severity: str, every: str) -> Policy:
    content = policy.model_dump(mode="json")
    content["severities"][severity]["update_every"] = every
    return Policy.model_validate(content)


def ended(watermark: int) -> AlertBatch:
    """Nothing fires any more."""
    return batch(watermark, firing=0, severity=None, confirms=False)


def adopt(story: Story, policy: Policy) -> None:
    story.policy = policy
    story.tell(PolicyAdopted(by="ada", hash=policy.hash, old="before"))


def test_a_shorter_rhythm_counts_from_the_last_update(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.approve()
    story.pass_time(10 * MINUTE)
    adopt(story, rhythm(policy, "P2", "20m"))
    assert story.state.promise is not None
    assert story.state.promise.due == now + 20 * MINUTE
    assert len(story.promises("superseded")) == 1
    (note,) = story.noted("policy_changed")
    assert note.data == {"by": "ada", "old": "before", "new": story.policy.hash}


def test_a_longer_rhythm_keeps_what_was_promised(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.approve()
    adopt(story, rhythm(policy, "P2", "4h"))
    story.pass_time(61 * MINUTE)
    assert len(story.promises("kept")) == 1
    assert story.state.promise is not None
    assert story.state.promise.due >= now + timedelta(hours=4), "the next one is the new rhythm's"


def test_leads_of_a_promise_move(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.approve()
    adopt(story, with_figures(policy, promises={"remind_before": "20m", "holding_lead": "5m"}))
    assert story.state.timers[TimerKind.PROMISE_REMINDER] == now + 40 * MINUTE
    assert story.state.timers[TimerKind.PROMISE] == now + 55 * MINUTE


def test_silence_is_noticed_sooner_never_later(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    due = story.state.timers[TimerKind.APPROVAL_ESCALATION]
    story.pass_time(MINUTE)
    adopt(story, with_figures(policy, approval={"escalate_after": "2m"}))
    assert story.state.timers[TimerKind.APPROVAL_ESCALATION] == now + 3 * MINUTE
    adopt(story, with_figures(policy, approval={"escalate_after": "2h"}))
    assert story.state.timers[TimerKind.APPROVAL_ESCALATION] == now + 3 * MINUTE < due


def test_what_waits_keeps_its_texts_but_may_need_a_second_person(
    policy: Policy, now: datetime
) -> None:
    story = Story(policy, now)
    before = story.state.pending
    assert before is not None
    adopt(story, with_figures(policy, approval={"four_eyes": True}))
    assert story.approve("ada") is None
    assert story.broadcasts() == []
    adopt(story, policy)
    assert story.state.pending is not None
    assert story.state.pending.approvals_needed == 2, "it was shown as needing two"
    assert story.state.pending.hash == before.hash
    assert story.approve("bob") is None
    assert len(story.broadcasts()) == 1


def test_quiet_counts_from_the_last_alert(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.approve()
    story.tell(AlertsReceived(batch=ended(2)))
    story.pass_time(6 * MINUTE)
    adopt(story, with_figures(policy, resolution={"stable_for": "5m"}))
    story.pass_time(timedelta(0))
    assert story.state.drafting is not None or story.state.pending is not None
    assert story.drafts()[-1].moment == "resolution"


def test_gates_and_routes_follow_with_the_next_message(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.approve()
    content = policy.model_dump(mode="json")
    content["gates"].insert(0, {"severities": ["P2"], "moments": ["resolution"], "gate": "auto"})
    adopt(story, Policy.model_validate(content))
    story.tell(AlertsReceived(batch=ended(2)))
    story.pass_time(10 * MINUTE)
    assert story.moments()[-1] == "resolution"


def test_the_same_policy_again_is_refused(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    assert story.command(PolicyAdopted(by="ada", hash="next")) is None
    assert story.command(PolicyAdopted(by="ada", hash="next")) == "same_policy"


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        ({"components": ("payments", "moon-base")}, "no component 'moon-base'"),
        ({"category": "weather"}, "no category 'weather'"),
        ({"regions": ("mars",)}, "no region 'mars'"),
    ],
)
def test_what_an_incident_uses_must_be_there(
    policy: Policy, now: datetime, change: dict[str, Any], lacking: str
) -> None:
    state = Story(policy, now).state
    assert unfit(policy, state) == ()
    assert any(lacking in line for line in unfit(policy, state.model_copy(update=change)))


def test_somebody_must_be_there_to_approve(policy: Policy, now: datetime) -> None:
    roles: dict[str, list[str]] = {role: ["x"] for role in policy.people.roles}
    nobody = with_figures(policy, people={"roles": roles | {"approver": []}})
    assert unfit(nobody, Story(policy, now).state) == (
        "nobody holds the role 'approver', which approves",
    )


def test_changes_are_named_by_path_and_cut(policy: Policy) -> None:
    content = policy.model_dump(mode="json")
    content["severities"]["P1"]["update_every"] = "20m"
    content["components"][1]["names"]["en"] = "x" * 500
    content["classify"].insert(0, {"severity": "P1", "reason": "new", "when": {}})
    content["classify"].pop(0)
    content["confirm"].reverse()
    found = {c.path: c for c in changes(policy, Policy.model_validate(content))}
    assert (found["severities.P1.update_every"].old, found["severities.P1.update_every"].new) == (
        "30m",
        "20m",
    )
    named = found["components.[api].names.en"]
    assert named.old == "API"
    assert named.new is not None and len(named.new) == SHOWN
    assert "confirm (order)" in found
    assert len(found) == 3
    assert changes(policy, policy) == ()


def test_a_new_first_rule_is_one_change(policy: Policy) -> None:
    content = policy.model_dump(mode="json")
    rule = {"severity": "P1", "reason": "payments are always P1"}
    content["classify"].insert(0, {"when": {"components": ["payments"]}, **rule})
    (found,) = changes(policy, Policy.model_validate(content))
    assert found.path == "classify.[payments are always P1]"
    assert found.old is None
    assert Severity.P1 in (found.new or "")
