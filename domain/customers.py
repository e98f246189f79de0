"""A row of the customers file: one contact with what is known of its account."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo

from domain.errors import BadInput, FieldError
from domain.message import PER_ACCOUNT, PER_CONTACT, Channel
from domain.policy import Policy

REQUIRED = ("account_id", "contact_id", "email")
DEFAULT_CHANNELS = (Channel.EMAIL.value, Channel.IN_APP.value)
SHOWN = 80

_EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_HOST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|\d{3}))?")
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
_WEB = re.compile(r"https://[^\s/?#@\\]+(?:[/?#][^\s\\]*)?")
_CHANNELS = [c.value for c in Channel if c in PER_CONTACT | PER_ACCOUNT]


@dataclass(frozen=True)
class Allowed:
    """The names that cells may refer to: the policy's own, and the time zones of the machine."""

    plans: tuple[str, ...]
    segments: tuple[str, ...]
    regions: tuple[str, ...]
    components: tuple[str, ...]
    timezones: frozenset[str]

    @classmethod
    def by(cls, policy: Policy, timezones: Iterable[str]) -> Allowed:
        components = tuple(c.key for c in policy.component_list())
        known = (policy.plans, policy.segments, policy.regions, components)
        return cls(*known, timezones=frozenset(timezones))


def _names(info: ValidationInfo) -> Allowed:
    if not isinstance(info.context, Allowed):
        raise TypeError("a customer row is read with `read_row`")
    return info.context


def _text(value: str) -> str:
    if len(value) > 200 or not value.isprintable():
        raise ValueError("one line of at most 200 printable characters")
    return value


def _email(value: str) -> str:
    local, at, host = value.rpartition("@")
    try:
        # Internationalised domains travel in their ASCII form.
        host = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        host = ""
    valid = at and len(local) <= 64 and len(value) <= 254
    if not (valid and _EMAIL.fullmatch(local) and _HOST.fullmatch(host)):
        raise ValueError("one e-mail address such as ada@example.com")
    return f"{local}@{host}"


def _one_of(field: str) -> BeforeValidator:
    def check(value: str, info: ValidationInfo) -> str:
        return _known(value, getattr(_names(info), field))

    return BeforeValidator(check)


def _known(value: str, names: tuple[str, ...]) -> str:
    if value in names:
        return value
    for name in names:
        if name.lower() == value.lower():
            return name
    raise ValueError(", ".join(names))


def _list(value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in value.split(";") if part.strip()))


def _features(value: str, info: ValidationInfo) -> tuple[str, ...]:
    return _keys(value, _names(info).components)


# The contacts of one account repeat these cells, and they are the costly ones.
@lru_cache(maxsize=1024)
def _keys(value: str, components: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_known(part, components) for part in _list(value))


def _regimes(value: str) -> tuple[str, ...]:
    return tuple(_text(part).lower() for part in _list(value))


def _channels(value: str) -> tuple[str, ...]:
    return tuple(_known(part, tuple(_CHANNELS)) for part in _list(value))


def _instant(value: str) -> datetime:
    at: datetime | None
    try:
        if len(value) == len("2026-03-10"):
            return datetime.combine(date.fromisoformat(value), time(), UTC)
        at = datetime.fromisoformat(value)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError("a time with its zone such as 2026-03-10T14:00:00Z, or a date (UTC)")
    return at.astimezone(UTC)


def _activity(value: str, info: ValidationInfo) -> dict[str, datetime]:
    return dict(_pairs(value, _names(info).components))


@lru_cache(maxsize=1024)
def _pairs(value: str, components: tuple[str, ...]) -> tuple[tuple[str, datetime], ...]:
    found = []
    for pair in _list(value):
        component, equals, at = pair.partition("=")
        if not equals:
            raise ValueError("component=time pairs such as payments=2026-03-10T14:00:00Z")
        found.append((_known(component.strip(), components), _instant(at.strip())))
    return tuple(found)


def _money(value: str) -> Decimal:
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount < 10**12:
        raise ValueError("an amount such as 1200 or 1200.50")
    return amount.quantize(Decimal("0.01"))


def _date(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise ValueError("a date such as 2026-03-10") from None


def _phone(value: str) -> str:
    digits = re.sub(r"[ ()./-]", "", value)
    if not _PHONE.fullmatch(digits):
        raise ValueError("an international number such as +49 30 1234567")
    return digits


def _locale(value: str) -> str:
    match = _LOCALE.fullmatch(value)
    if match is None:
        raise ValueError("a language tag such as de or pt-BR")
    language, script, region = match.groups()
    parts = (language.lower(), script and script.title(), region and region.upper())
    return "-".join(part for part in parts if part)


def _timezone(value: str, info: ValidationInfo) -> str:
    if value not in _names(info).timezones:
        raise ValueError("a time zone name such as Europe/Berlin")
    return value


def _web(value: str) -> str:
    if len(value) > 2000 or not value.isprintable() or not _WEB.fullmatch(value):
        raise ValueError("an https:// address")
    return value


Text = Annotated[str, BeforeValidator(_text)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
Money = Annotated[Decimal, BeforeValidator(_money)]


class CustomerRow(BaseModel):
    """A valid row; an empty cell is None, and what None means is for who stores it."""

    model_config = ConfigDict(frozen=True)

    account_id: Text
    contact_id: Text
    email: Annotated[str, BeforeValidator(_email)]
    account_name: Text | None = None
    plan: Annotated[str, _one_of("plans")] | None = None
    segment: Annotated[str, _one_of("segments")] | None = None
    region: Annotated[str, _one_of("regions")] | None = None
    arr: Money | None = None
    monthly_fee: Money | None = None
    features: Annotated[tuple[str, ...], BeforeValidator(_features)] | None = None
    activity: Annotated[dict[str, datetime], BeforeValidator(_activity)] | None = None
    last_active_at: Instant | None = None
    regimes: Annotated[tuple[str, ...], BeforeValidator(_regimes)] | None = None
    csm: Text | None = None
    csm_manager: Text | None = None
    sponsor: Text | None = None
    renewal_date: Annotated[str, BeforeValidator(_date)] | None = None
    slack_channel: Text | None = None
    teams_webhook: Annotated[str, BeforeValidator(_web)] | None = None
    contact_name: Text | None = None
    phone: Annotated[str, BeforeValidator(_phone)] | None = None
    locale: Annotated[str, BeforeValidator(_locale)] | None = None
    timezone: Annotated[str, BeforeValidator(_timezone)] | None = None
    channels: Annotated[tuple[str, ...], BeforeValidator(_channels)] | None = None


COLUMNS = tuple(CustomerRow.model_fields)


def read_row(cells: Mapping[str, str], allowed: Allowed) -> CustomerRow:
    """The row of these cells; raises BadInput whose errors name the columns at fault."""
    given = {name: cell for name, value in cells.items() if (cell := value.strip())}
    try:
        return CustomerRow.model_validate(given, context=allowed)
    except ValidationError as error:
        faults = [_fault(dict(item)) for item in error.errors(include_url=False)]
    raise BadInput("the row is not valid", faults)


def _fault(error: dict[str, Any]) -> FieldError:
    if error["type"] == "missing":
        return FieldError(field=str(error["loc"][0]), value=None, allowed="a value, it is required")
    allowed = error["msg"].removeprefix("Value error, ")
    return FieldError(field=str(error["loc"][0]), value=error["input"][:SHOWN], allowed=allowed)
