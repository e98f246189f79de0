"""Who may act in Slack is said in the policy, and a slip there is found before anything starts."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from domain.policy_sections import People

ROLES = {"commander": ("Ada", "Bob"), "approver": ("Bob",)}


def test_a_slack_user_has_the_roles_of_the_name() -> None:
    people = People.model_validate({"roles": ROLES, "slack": {"U0BOB": "Bob", "W0BOB": "Bob"}})
    assert people.roles_of("Bob") == {"commander", "approver"}
    assert people.roles_of("Eve") == frozenset()
    assert people.slack_users("Bob") == ("U0BOB", "W0BOB")
    assert people.slack_users("Ada") == ()


@pytest.mark.parametrize(
    ("slack", "said"),
    [
        ({"U0EVE": "Eve"}, "slack.U0EVE: 'Eve' has no role; allowed: Ada, Bob"),
        ({"@ada": "Ada"}, "should match pattern"),
        ({"u0ada": "Ada"}, "should match pattern"),
    ],
)
def test_a_slip_is_named(slack: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match="slack") as caught:
        People.model_validate({"roles": ROLES, "slack": slack})
    assert said in str(caught.value)
