"""What Slack sends, read with care: anything that is not in its form names the field at fault."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from domain.errors import BadInput, FieldError
from runtime.doors import SLACK_ACTIONS, SLACK_REASON, SlackAction

# Slack sends a form with one field, or a command's dozen.
MAX_FIELDS = 50

M = TypeVar("M", bound=BaseModel)
SlackId = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{3,30}$")]
Short = Annotated[str, StringConstraints(max_length=255)]


class _Model(BaseModel):
    # Slack adds fields at will.
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Named(_Model):
    id: SlackId


class _Element(_Model):
    action_id: Short
    action_ts: Annotated[str, StringConstraints(pattern=r"^[0-9.]{1,40}$")]
    value: Annotated[str, StringConstraints(max_length=2000)] = ""


class _Typed(_Model):
    value: Annotated[str, StringConstraints(max_length=3000)] | None = None


class _State(_Model):
    values: dict[str, dict[str, _Typed]] = Field(default_factory=dict)


class _Interaction(_Model):
    type: Short
    user: _Named
    channel: _Named | None = None
    actions: Annotated[tuple[_Element, ...], Field(max_length=25)] = ()
    state: _State | None = None


class _Button(_Model):
    incident: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")]
    draft: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,128}$")] | None = None


class Command(_Model):
    """A slash command: who, where, and what stands after its name."""

    user_id: SlackId
    channel_id: SlackId
    trigger_id: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=3000)] = ""


def read_interaction(body: bytes, correlation_id: str) -> SlackAction | None:
    """The click that a body carries; None for one that asks nothing of us. Raises BadInput."""
    payload = _form(body).get("payload")
    if payload is None:
        raise BadInput(
            "this is no interaction of Slack's",
            [FieldError(field="payload", value=None, allowed="a form field with JSON")],
        )
    given = _read(_Interaction, payload, "payload")
    if given.type != "block_actions":
        return None
    element = next((e for e in given.actions if e.action_id in SLACK_ACTIONS), None)
    if element is None:
        return None
    button = _read(_Button, element.value, "payload.actions.value")
    action = SLACK_ACTIONS[element.action_id]
    if action in ("approve", "reject") and (button.draft is None or button.hash is None):
        raise BadInput(
            "this button names no draft",
            [FieldError(field="payload.actions.value", value=None, allowed="draft and hash")],
        )
    if given.channel is None:
        raise BadInput(
            "this button stands in no channel",
            [FieldError(field="payload.channel", value=None, allowed="the channel's id")],
        )
    return SlackAction(
        id=_identity(given.user.id, element.action_ts, element.action_id, element.value),
        user_id=given.user.id,
        action=action,
        place=given.channel.id,
        incident_id=button.incident,
        draft=button.draft,
        hash=button.hash,
        reason=_reason(given.state),
        correlation_id=correlation_id,
    )


def read_command(body: bytes) -> Command:
    """A slash command; raises BadInput."""
    return _read(Command, json.dumps(_form(body)), "form")


def start_action(command: Command, title: str, correlation_id: str) -> SlackAction:
    """The report of an incident by command; the same invocation is the same report."""
    return SlackAction(
        id=_identity(command.user_id, command.trigger_id, "start"),
        user_id=command.user_id,
        action="start",
        place=command.channel_id,
        title=title,
        correlation_id=correlation_id,
    )


def _identity(*parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"slack_{digest[:32]}"


def _reason(state: _State | None) -> str:
    blocks = state.values.values() if state else ()
    typed = (block[SLACK_REASON].value for block in blocks if SLACK_REASON in block)
    given = " ".join(next((value for value in typed if value), "").split())
    return "".join(c for c in given if c.isprintable())[:1000]


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=True,
            max_num_fields=MAX_FIELDS,
            errors="strict",
        )
    except ValueError as error:
        raise BadInput(
            "the body is not a form",
            [FieldError(field="body", value=None, allowed="application/x-www-form-urlencoded")],
        ) from error
    return dict(pairs)


def _read(model: type[M], given: str, field: str) -> M:
    try:
        return model.model_validate_json(given)
    except ValidationError as error:
        found = [
            FieldError(
                field=".".join((field, *(str(part) for part in item["loc"])))[:200],
                # What people wrote is not repeated.
                value=None,
                allowed=item["msg"],
            )
            for item in error.errors(include_url=False, include_input=False)[:20]
        ]
        raise BadInput("this is not in Slack's form", found) from error
