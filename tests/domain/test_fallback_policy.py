"""The fallback order: what may stand in it, and that the end follows whom it reached."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from domain.events import BroadcastDone, ResolveRequested
from domain.incident import Draft
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.policy_sections import Delivery
from tests.domain.story import Story

EMAIL, IN_APP, SMS = Channel.EMAIL, Channel.IN_APP, Channel.SMS


def delivery(policy: Policy, fallback: dict[str, Any]) -> Delivery:
    return Delivery.model_validate(policy.delivery.model_dump(mode="json") | {"fallback": fallback})


@pytest.mark.parametrize(
    ("fallback", "named"),
    [
        ({"email": ["email"]}, "fallback.email: 'email'"),
        ({"email": ["in_app", "in_app"]}, "fallback.email: 'in_app'"),
        ({"email": ["status_page"]}, "fallback.email: 'status_page'"),
        ({"email": ["slack"]}, "fallback.email: 'slack'"),
        ({"status_page": ["email"]}, "fallback: 'status_page'"),
        ({"email": ["carrier_pigeon"]}, "carrier_pigeon"),
    ],
)
def test_only_another_channel_of_the_same_person(
    policy: Policy, fallback: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        delivery(policy, fallback)
    assert named in str(refused.value)


def test_an_empty_order_leaves_a_stored_policy_its_hash(policy: Policy) -> None:
    stored = policy.model_dump(mode="json")
    del stored["delivery"]["fallback"]
    old = Policy.model_validate(stored)
    assert "fallback" not in old.model_dump(mode="json")["delivery"]
    assert old.hash != policy.hash


def test_texts_are_wanted_for_what_is_not_written_to_anyway(policy: Policy) -> None:
    order = delivery(policy, {"email": ["in_app", "sms"], "sms": ["email"]})
    assert order.fallbacks((EMAIL, Channel.STATUS_PAGE)) == (IN_APP, SMS)
    assert order.fallbacks((EMAIL, IN_APP)) == (SMS,)
    assert order.fallbacks((Channel.INTERNAL,)) == ()


def test_the_end_is_owed_where_somebody_was_told_instead(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    assert story.approve() is None
    story.tell(BroadcastDone(broadcast=2, moment=Moment.INITIAL, instead=(SMS,)))
    # The policy names no fallback by now, and text messages go with no P2.
    unnamed = policy.delivery.model_copy(update={"fallback": {}})
    story.policy = policy.model_copy(update={"delivery": unnamed})
    story.tell(ResolveRequested(by="ada"))
    end = [a for _, a in story.actions if isinstance(a, Draft)][-1]
    assert end.moment is Moment.RESOLUTION and SMS in end.channels
