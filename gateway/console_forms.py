"""The console's forms as the same request bodies that the API takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData

from domain.errors import BadInput, FieldError, NotFound
from domain.incident import STATED
from domain.post_mortem import Statement
from domain.roles import Role
from gateway.commands import Call, Commands
from gateway.credits import CreditBody
from gateway.staff_shapes import (
    ConfirmBody,
    DecisionBody,
    FactsBody,
    HandOverBody,
    MessageBody,
    ReasonBody,
    SeverityBody,
    StartBody,
    TextBody,
    UpdateBody,
)

B = TypeVar("B", bound=BaseModel)
Run = Callable[[Commands, Call, str, FormData], Awaitable[object]]


async def submit(
    commands: Commands, call: Call, incident_id: str, name: str, form: FormData
) -> None:
    """Carry out the command of a form; raises as the API's commands do."""
    if name not in FORMS:
        raise NotFound("there is no such form")
    call.actor.need(Role.RESPONDER)
    await FORMS[name](commands, call, incident_id, form)


def start_body(form: FormData) -> StartBody:
    """The report of an incident."""
    return body_of(
        StartBody,
        title=word_of(form, "title"),
        description=word_of(form, "description") or "",
        components=words_of(form, "components"),
        regions=words_of(form, "regions"),
        severity=word_of(form, "severity"),
        customer_impact=word_of(form, "customer_impact") is not None,
        separate=word_of(form, "separate") is not None,
    )


def credit_body(form: FormData) -> CreditBody:
    """The decision on what is proposed."""
    return body_of(
        CreditBody,
        decision=word_of(form, "decision"),
        total=word_of(form, "total"),
        reason=word_of(form, "reason") or "",
    )


def statement_body(form: FormData, before: Statement) -> Statement:
    """What a human states for a post-mortem; a line of `visible` steps is for customers too.

    A step whose words stay keeps the owner and the date that it had.
    """
    known = {action.text: action.model_dump() for action in before.prevention}
    steps = [
        known.get(line.strip(), {}) | {"text": line.strip(), "visible": name == "visible"}
        for name in ("visible", "internal")
        for line in lines_of(form, name).split("\n")
        if line.strip()
    ]
    return body_of(
        Statement,
        summary=lines_of(form, "summary"),
        cause=lines_of(form, "cause"),
        fixed=lines_of(form, "fixed"),
        root_cause=lines_of(form, "root_cause"),
        error_rate_percent=word_of(form, "error_rate_percent") or None,
        prevention=steps,
    )


async def _approve(commands: Commands, call: Call, incident_id: str, form: FormData) -> object:
    return await commands.decide(call, incident_id, _decision(form, "approve"))


async def _reject(commands: Commands, call: Call, incident_id: str, form: FormData) -> object:
    if not word_of(form, "reason"):
        raise BadInput(
            "say why it is rejected", [FieldError(field="reason", allowed="a short reason")]
        )
    return await commands.decide(call, incident_id, _decision(form, "reject"))


async def _edit(commands: Commands, call: Call, incident_id: str, form: FormData) -> object:
    text = body_of(
        TextBody,
        channel=word_of(form, "channel"),
        locale=word_of(form, "locale"),
        subject=word_of(form, "subject"),
        text=lines_of(form, "text"),
        html=lines_of(form, "html") or None,
    )
    body = _decision(form, "edit", edits=[text.model_dump()])
    return await commands.decide(call, incident_id, body)


async def _update(commands: Commands, call: Call, incident_id: str, form: FormData) -> object:
    body = body_of(UpdateBody, message=lines_of(form, "message"), stage=word_of(form, "stage"))
    return await commands.post_update(call, incident_id, body)


async def _facts(commands: Commands, call: Call, incident_id: str, form: FormData) -> object:
    """An empty field of this form says nothing: taking back is for the API and the CLI."""
    given: dict[str, object] = {key: words for key in STATED if (words := lines_of(form, key))}
    if (eta := word_of(form, "eta")) is not None:
        given["eta"] = f"{eta}Z"  # the field holds a time without a zone, and is labelled UTC
    if (percent := word_of(form, "share_percent")) is not None:
        given["affected_share"] = _share(percent)
    return await commands.facts(call, incident_id, body_of(FactsBody, **given))


async def _severity(commands: Commands, call: Call, incident_id: str, form: FormData) -> object:
    body = body_of(
        SeverityBody, severity=word_of(form, "severity"), reason=word_of(form, "reason") or ""
    )
    return await commands.severity(call, incident_id, body)


async def _confirm(commands: Commands, call: Call, incident_id: str, form: FormData) -> object:
    body = body_of(
        ConfirmBody,
        components=words_of(form, "components"),
        regions=words_of(form, "regions"),
        severity=word_of(form, "severity"),
    )
    return await commands.confirm(call, incident_id, body)


async def _dismiss(commands: Commands, call: Call, incident_id: str, form: FormData) -> object:
    body = body_of(ReasonBody, reason=word_of(form, "reason") or "")
    return await commands.dismiss(call, incident_id, body)


async def _resolve(commands: Commands, call: Call, incident_id: str, form: FormData) -> object:
    body = body_of(MessageBody, message=lines_of(form, "message") or None)
    return await commands.resolve(call, incident_id, body)


async def _false_alarm(commands: Commands, call: Call, incident_id: str, form: FormData) -> object:
    body = body_of(MessageBody, message=lines_of(form, "message") or None)
    return await commands.false_alarm(call, incident_id, body)


async def _hand_over(commands: Commands, call: Call, incident_id: str, form: FormData) -> object:
    body = body_of(HandOverBody, role=word_of(form, "role"), to=word_of(form, "to"))
    return await commands.hand_over(call, incident_id, body)


async def _acknowledge(commands: Commands, call: Call, incident_id: str, form: FormData) -> object:
    return await commands.acknowledge(call, incident_id)


FORMS: dict[str, Run] = {
    "acknowledge": _acknowledge,
    "approve": _approve,
    "reject": _reject,
    "edit": _edit,
    "update": _update,
    "facts": _facts,
    "severity": _severity,
    "confirm": _confirm,
    "dismiss": _dismiss,
    "resolve": _resolve,
    "false-alarm": _false_alarm,
    "hand-over": _hand_over,
}


def _share(percent: str) -> object:
    """A percentage as a share of one; what is no number is left for the body to refuse."""
    try:
        return float(percent.replace(",", ".").removesuffix("%")) / 100
    except ValueError:
        return percent


def _decision(form: FormData, decision: str, **more: Any) -> DecisionBody:
    return body_of(
        DecisionBody,
        draft=word_of(form, "draft"),
        decision=decision,
        reason=word_of(form, "reason") or "",
        **more,
    )


def word_of(form: FormData, name: str) -> str | None:
    """A field's value; an empty field is none."""
    value = form.get(name)
    return value.strip() or None if isinstance(value, str) else None


def lines_of(form: FormData, name: str) -> str:
    """A text of several lines; empty where nothing was written."""
    # A browser sends line breaks as CR LF, whatever the text had.
    return (word_of(form, name) or "").replace("\r\n", "\n")


def words_of(form: FormData, name: str) -> tuple[str, ...]:
    """The values of a field that may stand there several times."""
    return tuple(v for v in form.getlist(name) if isinstance(v, str) and v)


def body_of(model: type[B], **values: object) -> B:
    """The request body that a form amounts to. Raises BadInput that names its fields at fault."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        errors = [
            FieldError(
                field=".".join(map(str, item["loc"])),
                value=str(item["input"])[:80] if item["input"] is not None else None,
                allowed=str((item.get("ctx") or {}).get("expected") or item["msg"]),
            )
            for item in error.errors()
        ]
        raise BadInput("something in this form is missing or not allowed", errors) from error
