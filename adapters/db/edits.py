"""What people change in drafts, read from the versions that stand in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import RowMapping, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.edits import changes, vocabulary, without_facts
from domain.message import DraftText, Facts

# One page of edited versions in memory at a time, and no more than so many in one report.
PAGE = 100
MOST_VERSIONS = 2000
MOST_PHRASES = 20_000
# A phrase of one incident alone may be that incident's own story.
FEWEST_INCIDENTS = 2

# The version that was let out, and the one it goes back to that no human wrote.
_SHARES = text(
    """
    WITH RECURSIVE chain AS (
        SELECT incident_id, version AS final, version, based_on, moment FROM drafts
        WHERE decision = 'approved' AND decided_at >= :since AND decided_at < :until
        UNION ALL
        SELECT c.incident_id, c.final, d.version, d.based_on, c.moment
        FROM chain c JOIN drafts d ON d.incident_id = c.incident_id AND d.version = c.based_on
    ), first AS (
        SELECT incident_id, final, version, moment FROM chain WHERE based_on IS NULL
    )
    SELECT f.moment, t.channel, t.locale, count(*) AS approved,
           count(*) FILTER (
               WHERE b.text = t.text AND b.subject IS NOT DISTINCT FROM t.subject
                 AND b.html IS NOT DISTINCT FROM t.html
           ) AS unedited
    FROM first f
    JOIN draft_texts t ON t.incident_id = f.incident_id AND t.version = f.final
    LEFT JOIN draft_texts b ON b.incident_id = f.incident_id AND b.version = f.version
         AND b.channel = t.channel AND b.locale = t.locale
    GROUP BY f.moment, t.channel, t.locale
    ORDER BY f.moment, t.channel, t.locale
    """
)
_EDITED = text(
    """
    SELECT d.incident_id, d.version, d.based_on, d.created_at, d.facts,
           b.based_on IS NULL AS of_a_draft
    FROM drafts d JOIN drafts b ON b.incident_id = d.incident_id AND b.version = d.based_on
    WHERE d.created_at >= :since AND d.created_at < :until
      AND (cast(:at AS timestamptz) IS NULL OR (d.created_at, d.incident_id, d.version)
           > (cast(:at AS timestamptz), :incident, :version))
    ORDER BY d.created_at, d.incident_id, d.version LIMIT :most
    """
)
_TEXTS = text(
    """
    SELECT incident_id, version, channel, locale, subject, text FROM draft_texts
    WHERE (incident_id, version) IN :wanted
    """
).bindparams(bindparam("wanted", expanding=True))


class Out(BaseModel):
    model_config = ConfigDict(frozen=True)


class UneditedShare(Out):
    """How many approved texts went out as they were drafted; `share` is from 0 to 1."""

    moment: str
    channel: str
    locale: str
    approved: int
    unedited: int
    share: float


class PhraseCount(Out):
    """A phrase that edits took out or put in, in how many edits and incidents."""

    phrase: str
    locale: str
    edits: int
    incidents: int
    channels: tuple[str, ...]


class EditReport(Out):
    """What people change most in a window of time, `until` exclusive.

    `share_unedited` is None where nothing was approved. `complete` is False where more versions
    were edited than one report reads; then the phrases are those of the earliest.
    """

    since: datetime
    until: datetime
    approved: int
    unedited: int
    share_unedited: float | None
    edited_versions: int
    complete: bool
    shares: tuple[UneditedShare, ...]
    removed: tuple[PhraseCount, ...]
    added: tuple[PhraseCount, ...]


class _Phrases:
    """Counts of phrases of one kind."""

    def __init__(self) -> None:
        self._edits: dict[tuple[str, str], int] = defaultdict(int)
        self._incidents: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._channels: dict[tuple[str, str], set[str]] = defaultdict(set)

    def add(self, phrase: str, text: DraftText, incident_id: str) -> None:
        key = phrase, text.locale
        if key not in self._edits and len(self._edits) >= MOST_PHRASES:
            return
        self._edits[key] += 1
        self._incidents[key].add(incident_id)
        self._channels[key].add(text.channel.value)

    def most(self, limit: int) -> tuple[PhraseCount, ...]:
        """Those of several incidents, the most widespread first."""
        counted = [
            PhraseCount(
                phrase=key[0],
                locale=key[1],
                edits=edits,
                incidents=len(self._incidents[key]),
                channels=tuple(sorted(self._channels[key])),
            )
            for key, edits in self._edits.items()
            if len(self._incidents[key]) >= FEWEST_INCIDENTS
        ]
        counted.sort(key=lambda p: (-p.incidents, -p.edits, p.locale, p.phrase))
        return tuple(counted[:limit])


class Edits:
    """Reads the report; nothing here changes anything."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def report(self, since: datetime, until: datetime, limit: int = 20) -> EditReport:
        """Shares of what was approved in the window, and phrases of what was edited in it."""
        kinds = {"removed": _Phrases(), "added": _Phrases()}
        async with self._engine.connect() as conn:
            await conn.execution_options(isolation_level="REPEATABLE READ")
            rows = await conn.execute(_SHARES, {"since": since, "until": until})
            shares = tuple(_share(row) for row in rows.mappings())
            read, complete = await self._phrases(conn, since, until, kinds)
        approved = sum(s.approved for s in shares)
        unedited = sum(s.unedited for s in shares)
        return EditReport(
            since=since,
            until=until,
            approved=approved,
            unedited=unedited,
            share_unedited=round(unedited / approved, 4) if approved else None,
            edited_versions=read,
            complete=complete,
            shares=shares,
            removed=kinds["removed"].most(limit),
            added=kinds["added"].most(limit),
        )

    async def _phrases(
        self,
        conn: AsyncConnection,
        since: datetime,
        until: datetime,
        kinds: Mapping[str, _Phrases],
    ) -> tuple[int, bool]:
        """Count phrases page by page; how many versions were read, and whether that was all."""
        after: dict[str, object] = {"at": None, "incident": "", "version": 0}
        read, known = 0, frozenset[str]()
        while read < MOST_VERSIONS:
            window = {"since": since, "until": until, "most": PAGE, **after}
            page = (await conn.execute(_EDITED, window)).mappings().all()
            if not page:
                return read, True
            texts = await _texts(conn, page)
            known |= _known(page, texts)
            for row in page:
                _count(row, texts, known, kinds)
            read += len(page)
            last = page[-1]
            after = {
                "at": last["created_at"],
                "incident": last["incident_id"],
                "version": last["version"],
            }
        return read, False


_Texts = Mapping[tuple[str, int], Mapping[tuple[str, str], DraftText]]


async def _texts(conn: AsyncConnection, page: Sequence[RowMapping]) -> _Texts:
    wanted = {
        (row["incident_id"], number) for row in page for number in (row["version"], row["based_on"])
    }
    rows = await conn.execute(_TEXTS, {"wanted": sorted(wanted)})
    found: dict[tuple[str, int], dict[tuple[str, str], DraftText]] = defaultdict(dict)
    for row in rows.mappings():
        text_ = DraftText(
            channel=row["channel"], locale=row["locale"], subject=row["subject"], text=row["text"]
        )
        found[row["incident_id"], row["version"]][row["channel"], row["locale"]] = text_
    return found


def _known(page: Iterable[RowMapping], texts: _Texts) -> frozenset[str]:
    """Words of the texts before any edit, without what humans had put into them."""
    return vocabulary(
        without_facts(part, Facts.model_validate(row["facts"]))
        for row in page
        if row["of_a_draft"]
        for text_ in texts.get((row["incident_id"], row["based_on"]), {}).values()
        for part in (text_.subject or "", text_.text)
    )


def _count(
    row: RowMapping, texts: _Texts, known: frozenset[str], kinds: Mapping[str, _Phrases]
) -> None:
    facts = Facts.model_validate(row["facts"])
    before = texts.get((row["incident_id"], row["based_on"]), {})
    for place, after in texts.get((row["incident_id"], row["version"]), {}).items():
        if place not in before:
            continue
        for change in set(changes(before[place], after, facts, known)):
            kinds[change.kind].add(change.phrase, after, row["incident_id"])


def _share(row: RowMapping) -> UneditedShare:
    share = round(row["unedited"] / row["approved"], 4)
    return UneditedShare(**row, share=share)
