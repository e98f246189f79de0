"""What runs are started with: read once for all of them where it is the same."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.policy import Policy
from domain.signal import AlertBatch
from workflows.messages import IncidentStart


def start(policy: Policy, policy_hash: str) -> IncidentStart:
    given = IncidentStart(
        incident_id="inc_1",
        policy_hash=policy_hash,
        policy=policy,
        batch=AlertBatch(watermark=1, received=1, firing=1),
        opened_at=datetime(2026, 11, 21, tzinfo=UTC),
    )
    return IncidentStart.model_validate_json(given.model_dump_json())


def test_runs_share_their_policy(policy: Policy) -> None:
    other = policy.model_copy(update={"plans": ("only",)})
    first, second = start(policy, policy.hash), start(policy, policy.hash)
    assert first.policy == policy and first.policy is second.policy
    changed = start(other, other.hash).policy
    assert changed == other and changed != policy


def test_a_policy_under_another_name_is_kept_to_its_run(policy: Policy) -> None:
    other = policy.model_copy(update={"plans": ("only",)})
    assert start(other, "wrong").policy == other
    assert start(policy, "wrong").policy == policy
