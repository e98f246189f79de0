"""Believable customers for the demo, tests and benchmarks: the same ones for the same seed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import yaml
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import ImportRow

NAMES = Path(__file__).parents[2] / "content" / "demo" / "names.yaml"
ASCII = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
CHUNK = 20_000
CSV_COLUMNS = (
    *("account_id", "account_name", "plan", "segment", "region", "arr", "monthly_fee"),
    *("features", "activity", "last_active_at", "csm"),
    *("contact_id", "contact_name", "email", "phone", "locale", "timezone", "channels"),
)

# Shares as they are usual for a company that sells software by subscription.
PLANS = {"free": 0.5, "pro": 0.38, "enterprise": 0.12}
SEGMENTS = {"free": "smb", "pro": "mid-market", "enterprise": "enterprise"}
YEARLY = {"free": (0, 0), "pro": (1_200, 18_000), "enterprise": (30_000, 400_000)}
REGIONS = {"us": 0.45, "eu": 0.4, "apac": 0.15}
TIMEZONES = {
    "us": ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"),
    "eu": ("Europe/Berlin", "Europe/Vienna", "Europe/Zurich", "Europe/London", "Europe/Paris"),
    "apac": ("Asia/Singapore", "Asia/Tokyo", "Australia/Sydney", "Asia/Kolkata"),
}
GERMAN = ("Europe/Berlin", "Europe/Vienna", "Europe/Zurich")
FEATURES = {
    "dashboard": 0.95,
    "authentication": 0.9,
    "reporting": 0.5,
    "rest-api": 0.45,
    "graphql-api": 0.15,
    "webhooks": 0.25,
    "payments": 0.55,
    "slack-integration": 0.3,
    "email-delivery": 0.4,
}


@dataclass(frozen=True)
class Contact:
    id: str
    email: str
    name: str
    phone: str | None
    locale: str
    channels: tuple[str, ...]


@dataclass(frozen=True)
class Account:
    id: str
    name: str
    plan: str
    region: str
    timezone: str
    arr: int
    features: tuple[str, ...]
    activity: dict[str, datetime]
    csm: str | None
    contacts: list[Contact] = field(default_factory=list)

    @property
    def segment(self) -> str:
        return SEGMENTS[self.plan]


def generate(n: int, seed: int, now: datetime) -> Iterator[Account]:
    """Accounts with `n` contacts in all; the first few are always the same people."""
    random = Random(seed)
    first = _names()["first"]
    number, left = 0, n
    while left > 0:
        account = _account(random, number, now, first[number] if number < len(first) else None)
        del account.contacts[left:]
        left -= len(account.contacts)
        number += 1
        yield account


def write_csv(path: Path, n: int, seed: int, now: datetime) -> None:
    """Write `n` contacts as a file for `customers import`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(CSV_COLUMNS)
        for a in generate(n, seed, now):
            activity = ";".join(f"{k}={at.isoformat()}" for k, at in a.activity.items())
            fee, last = f"{a.arr / 12:.2f}", max(a.activity.values()).isoformat()
            account = [a.id, a.name, a.plan, a.segment, a.region, a.arr, fee]
            account += [";".join(a.features), activity, last, a.csm or ""]
            for c in a.contacts:
                contact = [c.id, c.name, c.email, c.phone or "", c.locale, a.timezone]
                writer.writerow([*account, *contact, ";".join(c.channels)])


async def load(engine: AsyncEngine, n: int, seed: int, now: datetime) -> None:
    """Put `n` contacts straight into an empty database: a million in about a minute."""
    accounts = generate(n, seed, now)
    total = 0
    async with engine.begin() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        if not isinstance(driver, AsyncConnection):
            raise TypeError("the engine does not use psycopg")
        while chunk := list(islice(accounts, CHUNK)):
            total += len(chunk)
            await _copy_accounts(driver, chunk, now)
            await _copy_contacts(driver, chunk, now)
        counts = {"at": now, "accounts": total, "contacts": n, "skipped": 0}
        await connection.execute(insert(ImportRow).values(counts))
        await connection.execute(text("ANALYZE accounts, contacts"))


async def _copy_accounts(driver: AsyncConnection[Any], chunk: list[Account], now: datetime) -> None:
    columns = (
        "id, name, plan, segment, region, arr, monthly_fee, features, activity, last_active_at, "
        "regimes, csm, imported_at"
    )
    async with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY accounts ({columns}) FROM STDIN") as copy,
    ):
        for a in chunk:
            activity = {key: at.isoformat() for key, at in a.activity.items()}
            money = (a.arr, round(a.arr / 12, 2))
            used = (list(a.features), Jsonb(activity), max(a.activity.values()))
            named = (a.id, a.name, a.plan, a.segment, a.region)
            await copy.write_row((*named, *money, *used, [], a.csm, now))


async def _copy_contacts(driver: AsyncConnection[Any], chunk: list[Account], now: datetime) -> None:
    columns = "id, account_id, email, name, phone, locale, timezone, channels, imported_at"
    async with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY contacts ({columns}) FROM STDIN") as copy,
    ):
        for a in chunk:
            for c in a.contacts:
                person = (c.id, a.id, c.email, c.name, c.phone, c.locale)
                await copy.write_row((*person, a.timezone, list(c.channels), now))


def _account(random: Random, number: int, now: datetime, told: dict[str, Any] | None) -> Account:
    names = _names()
    region = told["region"] if told else _weighted(random, REGIONS)
    plan = told["plan"] if told else _weighted(random, PLANS)
    words = names["companies"]
    low, high = YEARLY[plan]
    # Everybody of the first few pays through us, so that a demo about payments reaches them.
    features = tuple(
        key
        for key, share in FEATURES.items()
        if random.random() < share or key == "dashboard" or (told and key == "payments")
    )
    account = Account(
        id=f"acc-{number + 1:06}",
        name=told["company"]
        if told
        else f"{random.choice(words['first'])} {random.choice(words['second'])}",
        plan=plan,
        region=region,
        timezone=told["timezone"] if told else random.choice(TIMEZONES[region]),
        arr=random.randint(low, high) // 100 * 100,
        features=features,
        # Most use a feature daily, some have not come back for weeks.
        activity={
            key: now - timedelta(minutes=int(random.expovariate(1 / 2_000))) for key in features
        },
        csm=_person(random, "en") if plan == "enterprise" else None,
    )
    people = told["contacts"] if told else [None] * min(1 + int(random.expovariate(0.5)), 12)
    account.contacts.extend(
        _contact(random, account, index, person) for index, person in enumerate(people)
    )
    return account


def _contact(random: Random, account: Account, index: int, told: dict[str, str] | None) -> Contact:
    german = account.timezone in GERMAN and random.random() < 0.85
    locale = told["locale"] if told else "de" if german else "en"
    name = told["name"] if told else _person(random, locale)
    channels: tuple[str, ...] = ("email", "in_app") if random.random() < 0.9 else ("in_app",)
    phone = None
    if account.plan == "enterprise" and index == 0:
        # Number ranges that the regulators keep free for fiction.
        digits = random.randint(0, 999)
        phone = f"+493023125{digits:03}" if locale == "de" else f"+120255501{digits % 100:02}"
        channels = ("email", "in_app", "sms")
    host = _slug(account.name, "-")
    suffix = "" if told else f"-{account.id.removeprefix('acc-').lstrip('0')}"
    mailbox = _slug(name, ".") + ("" if index == 0 or told else f".{index + 1}")
    return Contact(
        id=f"con-{account.id.removeprefix('acc-')}-{index + 1:02}",
        email=f"{mailbox}@{host}{suffix}.example",
        name=name,
        phone=phone,
        locale=locale,
        channels=("email", "in_app") if told and phone is None else channels,
    )


def _person(random: Random, locale: str) -> str:
    names = _names()["people"][locale]
    return f"{random.choice(names['first'])} {random.choice(names['last'])}"


def _slug(name: str, separator: str) -> str:
    return separator.join(name.translate(ASCII).lower().split())


def _weighted(random: Random, weights: dict[str, float]) -> str:
    return random.choices(list(weights), weights=list(weights.values()))[0]


@cache
def _names() -> dict[str, Any]:
    names: dict[str, Any] = yaml.safe_load(NAMES.read_text(encoding="utf-8"))
    return names
