"""Every recorded incident, told in mails of ours, passes validation."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.drafters.templates import TemplateDrafter
from domain.errors import BadInput
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.ports import DraftRequest
from domain.validation import validate_text
from runtime.gallery.recorded import (
    Record,
    load_mapping,
    pick,
    read_records,
    story,
    with_components,
)

ROOT = Path(__file__).parents[3]
CONTENT = ROOT / "content"
FILE = ROOT.parent / "shared/data/github_status/incidents_to_2024.jsonl"
MAPPING = load_mapping(CONTENT)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    if not FILE.exists():
        pytest.skip(f"the recorded incidents are not there: {FILE}")
    return read_records(FILE)


def test_each_recorded_incident_tells_a_story(records: list[Record], policy: Policy) -> None:
    known = with_components(policy, records)
    assert len(records) == 399
    for record in records:
        told = story(record, MAPPING, known)
        assert len(told) == len(record.updates), record.id
        assert told[-1][1].moment in (Moment.RESOLUTION, Moment.MAINTENANCE_DONE), record.id
        numbers = [facts.number for _, facts in told if facts.moment is Moment.UPDATE]
        assert numbers == list(range(1, len(numbers) + 1)), record.id
        for entry, facts in told:
            planned = facts.category == "maintenance"
            assert planned or facts.times["impact_start"] <= entry.at, record.id
            assert facts.times.get("next_update", entry.at) >= entry.at, record.id
            began = facts.times.get("impact_start", facts.times.get("started_at", entry.at))
            assert facts.times.get("restored_at", facts.times.get("ended_at", began)) >= began
    assert {facts.stage for r in records for _, facts in story(r, MAPPING, known)} == {
        "investigating", "identified", "monitoring", "resolved", "scheduled", "in_progress",
        "completed",
    }  # fmt: skip


# In two halves, which can run side by side.
@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.timeout(240)
async def test_all_their_mails_pass_validation(
    records: list[Record], policy: Policy, half: int
) -> None:
    known, drafter = with_components(policy, records), TemplateDrafter(CONTENT)
    mails = 0
    for at, record in enumerate(records):
        if at % 2 != half:
            continue
        told = story(record, MAPPING, known)
        updates = [facts for _, facts in told if facts.moment is Moment.UPDATE]
        # The first message, the last news and the end; every language reads one of them.
        chosen = [told[0][1], *updates[-1:], told[-1][1]]
        others = [locale for locale in policy.locales if locale not in ("en", "de")]
        for nth, facts in enumerate(chosen):
            locales = ("en", "de", *others[nth::3])
            request = DraftRequest(facts=facts, channels=(Channel.EMAIL,), locales=locales)
            texts = await drafter.write(request, known)
            assert [text.locale for text in texts] == list(locales)
            for text in texts:
                findings = validate_text(text, facts, known)
                assert findings == (), (record.id, text.text, findings)
                mails += 1
    assert mails > 3 * 2 * 199


def test_twenty_of_them_are_there_to_be_read(records: list[Record]) -> None:
    assert len({chosen.id for chosen in MAPPING.twenty}) == 20
    for chosen in MAPPING.twenty:
        record, at = pick(records, chosen)
        assert record.id == chosen.id and record.updates[at]


def test_a_file_of_something_else_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "other.jsonl"
    entry = {"at": "2026-01-01T00:00:00Z", "status": "Resolved", "message": ""}
    good = Record.model_validate(
        {"id": "1", "impact": "minor", "started_at": entry["at"], "updates": [entry]}
    )
    file.write_text(good.model_dump_json() + "\n{}\n")
    with pytest.raises(BadInput, match="line 2"):
        read_records(file)
    with pytest.raises(BadInput, match="cannot be read"):
        read_records(tmp_path / "nowhere.jsonl")
