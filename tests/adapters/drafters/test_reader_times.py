"""One mail, four readers, on the nights the clocks change: each reads the same instant, twice."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapters.drafters.compose import Composer
from adapters.drafters.templates import TemplateDrafter
from domain.message import Channel, DraftVersion, Facts, Moment, Recipient
from domain.ports import DraftRequest
from runtime.policy_file import load_policy

CONTENT = Path(__file__).parents[3] / "content"
POLICY = load_policy(CONTENT / "policy/default.yaml")
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
KOLKATA, LORD_HOWE = "Asia/Kolkata", "Australia/Lord_Howe"
READERS = (BERLIN, NEW_YORK, KOLKATA, LORD_HOWE)
OFTEN = {Moment.INITIAL: "next_update", Moment.UPDATE: "next_update",
         Moment.RESOLUTION: "restored_at"}  # fmt: skip
_SAID = re.compile(r"(\d\d:\d\d) (\S+) \((?:[^()]*, )?(\d\d:\d\d) UTC\)")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


async def mails(moment: Moment, now: datetime, **times: datetime) -> dict[str, str]:
    """Zone → the mail's text, and the HTML after it, as one broadcast writes them."""
    facts = Facts(
        incident_id="inc_abcdefghijkl",
        moment=moment,
        severity="P1",
        stage="resolved" if moment is Moment.RESOLUTION else "investigating",
        category="local_degradation",
        components=("payments",),
        component_names={"en": ("Payments",)},
        times=times,
        notes={"what": "New storage", "impact": "unavailable"},
        links={"status": "https://status.acme.example", "incident": "https://status.acme.example"},
    )
    request = DraftRequest(facts=facts, channels=(Channel.EMAIL,), locales=("en",))
    draft = DraftVersion(
        incident_id=facts.incident_id,
        version=1,
        moment=moment,
        number=1,
        texts=await TemplateDrafter(CONTENT).write(request, POLICY),
        facts=facts,
        audience_rule="all",
        hash="h",
        created_at=now,
    )
    composer = Composer(
        POLICY,
        "https://status.acme.example",
        secret="s" * 32,
        content_dir=CONTENT,
        clock=lambda: now,
    )
    found = {}
    for number, zone in enumerate(READERS):
        reader = Recipient(delivery_id=number, contact_id=f"c{number}", timezone=zone)
        mail = composer.compose(
            draft, Channel.EMAIL, reader,
            next_update_at=times.get("next_update"), thread_key="t", key="k",
        )  # fmt: skip
        found[zone] = f"{mail.text}\n{mail.html}"
    return found


# The instant, and how each of the four reads it.
NIGHTS = [
    # Berlin has 02:30 twice.
    ("2026-10-25T00:30", ("02:30 CEST", "20:30 EDT", "06:00 IST", "11:30 UTC+11:00")),
    ("2026-10-25T01:30", ("02:30 CET", "21:30 EDT", "07:00 IST", "12:30 UTC+11:00")),
    # Berlin has no 02:30.
    ("2026-03-29T00:59", ("01:59 CET", "20:59 EDT", "06:29 IST", "11:59 UTC+11:00")),
    ("2026-03-29T01:30", ("03:30 CEST", "21:30 EDT", "07:00 IST", "12:30 UTC+11:00")),
    # New York has 01:30 twice, a week after Berlin.
    ("2026-11-01T05:30", ("06:30 CET", "01:30 EDT", "11:00 IST", "16:30 UTC+11:00")),
    ("2026-11-01T06:30", ("07:30 CET", "01:30 EST", "12:00 IST", "17:30 UTC+11:00")),
    # New York has no 02:30.
    ("2026-03-08T07:30", ("08:30 CET", "03:30 EDT", "13:00 IST", "18:30 UTC+11:00")),
    # Lord Howe goes back by half an hour: 01:45 comes twice.
    ("2026-04-04T14:45", ("16:45 CEST", "10:45 EDT", "20:15 IST", "01:45 UTC+11:00")),
    ("2026-04-04T15:15", ("17:15 CEST", "11:15 EDT", "20:45 IST", "01:45 UTC+10:30")),
    # And forward by half an hour: there is no 02:15.
    ("2026-10-03T15:45", ("17:45 CEST", "11:45 EDT", "21:15 IST", "02:45 UTC+11:00")),
]


@pytest.mark.parametrize(("instant", "said"), NIGHTS, ids=lambda x: x if isinstance(x, str) else "")
@pytest.mark.parametrize("moment", OFTEN)
async def test_everybody_reads_their_own_time_and_utc(
    moment: Moment, instant: str, said: tuple[str, ...]
) -> None:
    when = at(instant)
    key = OFTEN[moment]
    now = when + timedelta(minutes=5) * (1 if key == "restored_at" else -1)
    start = {"impact_start": when - timedelta(hours=2)}
    for zone, mail in (await mails(moment, now, **start, **{key: when})).items():
        there = said[READERS.index(zone)]
        utc = rf"\((?:[^()]*, )?{when:%H:%M} UTC\)"
        # In the text and in the HTML.
        assert len(re.findall(rf"{re.escape(there)} {utc}", mail)) >= 2, (zone, mail)


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        # An hour of work from 02:30 to 02:30, and half an hour of it on Lord Howe at no time.
        ("2026-10-25T00:30", "2026-10-25T01:30", {BERLIN: ("02:30 CEST", "02:30 CET")}),
        ("2026-03-29T00:30", "2026-03-29T01:30", {BERLIN: ("01:30 CET", "03:30 CEST")}),
        ("2026-11-01T05:45", "2026-11-01T06:15", {NEW_YORK: ("01:45 EDT", "01:15 EST")}),
        ("2026-04-04T14:50", "2026-04-04T15:20",
         {LORD_HOWE: ("01:50 UTC+11:00", "01:50 UTC+10:30")}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("moment", [Moment.MAINTENANCE_NOTICE, Moment.MAINTENANCE_REMINDER])
async def test_a_maintenance_across_the_change_has_its_true_length(
    moment: Moment, begin: str, end: str, said: dict[str, tuple[str, str]]
) -> None:
    starts, ends = at(begin), at(end)
    found = await mails(moment, starts - timedelta(days=3), starts_at=starts, ends_at=ends)
    for zone, (first, last) in said.items():
        assert first in found[zone] and last in found[zone], found[zone]
    for zone, mail in found.items():
        here = ZoneInfo(zone)
        days = {starts.astimezone(here).date(), ends.astimezone(here).date()}
        for day in days:
            assert f"{day:%b} {day.day}, {day.year}" in mail, mail


async def test_every_time_in_a_mail_is_one_instant_in_both_zones() -> None:
    """No pair of a local time and UTC disagrees, whatever the hour of the year's two changes."""
    for first in ("2026-10-24T20:00", "2026-03-28T20:00", "2026-11-01T00:00", "2026-04-04T10:00"):
        for half_hours in range(0, 24, 3):
            when = at(first) + timedelta(minutes=30 * half_hours)
            now = when - timedelta(minutes=10)
            found = await mails(
                Moment.INITIAL, now, impact_start=when - timedelta(hours=1), next_update=when
            )
            for zone, mail in found.items():
                pairs = _SAID.findall(mail)
                assert len(pairs) >= 4, mail
                for local, _, utc in pairs:
                    same = [
                        t
                        for t in (when, when - timedelta(hours=1))
                        if f"{t:%H:%M}" == utc and f"{t.astimezone(ZoneInfo(zone)):%H:%M}" == local
                    ]
                    assert same, (zone, local, utc)


async def test_one_broadcast_over_midnight_dates_each_readers_day() -> None:
    now = datetime(2026, 10, 24, 21, 50, tzinfo=UTC)
    found = await mails(
        Moment.INITIAL,
        now,
        impact_start=now,
        next_update=datetime(2026, 10, 24, 22, 20, tzinfo=UTC),
    )
    assert "Oct 25, 2026, 00:20 CEST (Oct 24, 2026, 22:20 UTC)" in found[BERLIN]
    assert "18:20 EDT (22:20 UTC)" in found[NEW_YORK]
    assert "03:50 IST (Oct 24, 2026, 22:20 UTC)" in found[KOLKATA]
    assert "09:20 UTC+11:00 (Oct 24, 2026, 22:20 UTC)" in found[LORD_HOWE]
