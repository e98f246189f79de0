"""Accounts and contacts: a customers file goes in as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import available_timezones

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection as Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import append_in
from adapters.db.erased import Erased, load_erased
from adapters.db.models import ImportRow
from domain.customers import DEFAULT_CHANNELS, Allowed, CustomerRow
from domain.customers_file import CustomersFile
from domain.errors import BadInput, FieldError
from domain.policy import Policy

BATCH = 5_000
# More would only scroll the first ones off the screen.
REPORTED = 50

# Column of the file → column of the table and its type while staged.
ACCOUNT = {
    "account_name": ("name", "text"),
    "plan": ("plan", "text"),
    "segment": ("segment", "text"),
    "region": ("region", "text"),
    "arr": ("arr", "numeric"),
    "monthly_fee": ("monthly_fee", "numeric"),
    "features": ("features", "jsonb"),
    "activity": ("activity", "jsonb"),
    "last_active_at": ("last_active_at", "timestamptz"),
    "regimes": ("regimes", "jsonb"),
    "csm": ("csm", "text"),
    "csm_manager": ("csm_manager", "text"),
    "sponsor": ("sponsor", "text"),
    "renewal_date": ("renewal_date", "text"),
    "slack_channel": ("slack_channel", "text"),
    "teams_webhook": ("teams_webhook", "text"),
}
CONTACT = {
    "contact_name": ("name", "text"),
    "phone": ("phone", "text"),
    "locale": ("locale", "text"),
    "timezone": ("timezone", "text"),
    "channels": ("channels", "text[]"),
}
# What a column holds that must hold something.
EMPTY = {
    "features": "'{}'::text[]",
    "regimes": "'{}'::text[]",
    "activity": "'{}'::jsonb",
    "locale": "CAST(:locale AS text)",
    "timezone": "CAST(:timezone AS text)",
    "channels": "CAST(:channels AS text[])",
}


class ImportReport(BaseModel):
    """What an import did; `problems` are the first ones, `skipped` counts all bad rows.

    `erased` counts rows left out because their person was erased, `readmitted` those taken back.
    """

    model_config = ConfigDict(frozen=True)

    accounts: int
    contacts: int
    skipped: int
    erased: int = 0
    readmitted: int = 0
    ignored_columns: tuple[str, ...]
    problems: tuple[FieldError, ...]


class CustomerStore:
    """Writes customers; `Audiences` reads them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def import_csv(
        self,
        lines: Iterable[bytes],
        policy: Policy,
        now: datetime,
        *,
        by: str,
        ignore_unknown: bool = False,
        skip_bad: bool = False,
        erasure_key: str | None = None,
        readmit_erased: bool = False,
        progress: Callable[[int], None] = lambda rows: None,
    ) -> ImportReport:
        """Create and update accounts and contacts in one transaction; raises BadInput.

        `lines` is an open binary file. Columns that the file lacks keep what they hold. Where
        rows of one account differ, the last cell that is not empty counts. Without `skip_bad` a
        bad row makes the whole import fail. People who were erased are recognised with
        `erasure_key` and left out, unless `readmit_erased` takes them back; then what they had
        refused stays refused. `progress` is told the rows read so far.
        """
        allowed = Allowed.by(policy, available_timezones())
        file = CustomersFile(lines, allowed, ignore_unknown)
        async with self.engine.begin() as connection:
            staging = _Staging(await _driver(connection), file.columns)
            await staging.create()
            erased = await load_erased(connection, erasure_key, readmit_erased)
            problems, skipped = await self._stage(file, staging, erased, progress)
            if skipped and not skip_bad:
                raise BadInput(f"bad rows: {skipped}; nothing was imported", problems)
            defaults = {
                "locale": policy.locales[0] if policy.locales else "en",
                "timezone": policy.company.timezone,
                "channels": list(DEFAULT_CHANNELS),
                "now": now,
            }
            accounts = await connection.execute(text(staging.accounts_sql()), defaults)
            contacts = await connection.execute(text(staging.contacts_sql()), defaults)
            counts = {"accounts": accounts.rowcount, "contacts": contacts.rowcount}
            await erased.apply(connection, now)
            await connection.execute(insert(ImportRow).values(at=now, skipped=skipped, **counts))
            # The next audience may be asked for before autovacuum has looked.
            await connection.execute(text("ANALYZE accounts, contacts"))
            people = {"erased": erased.left_out, "readmitted": erased.readmitted}
            body = counts | {"skipped": skipped} | {k: n for k, n in people.items() if n}
            await append_in(connection, "import", by, body, now)
        return ImportReport(
            skipped=skipped,
            ignored_columns=file.ignored,
            problems=tuple(problems),
            **counts,
            **people,
        )

    async def features_in_use(self) -> set[str]:
        """Component keys that at least one active account lists."""
        statement = text("SELECT DISTINCT unnest(features) FROM accounts WHERE active")
        async with self.engine.connect() as connection:
            return set((await connection.scalars(statement)).all())

    async def _stage(
        self,
        file: CustomersFile,
        staging: _Staging,
        erased: Erased,
        progress: Callable[[int], None],
    ) -> tuple[list[FieldError], int]:
        problems: list[FieldError] = []
        rows = iter(file)
        skipped = read = 0
        while batch := list(islice(rows, BATCH)):
            good = [
                (line, row)
                for line, row in batch
                if isinstance(row, CustomerRow) and erased.admits(row)
            ]
            bad = [faults for _, faults in batch if isinstance(faults, list)]
            skipped += len(bad)
            problems += [fault for faults in bad for fault in faults]
            del problems[REPORTED:]
            await staging.add(good)
            read += len(batch)
            progress(read)
        return problems, skipped


class _Staging:
    """Temporary tables of the columns that the file has; gone with the transaction."""

    def __init__(self, connection: AsyncConnection[Any], columns: Sequence[str]) -> None:
        self._connection = connection
        self._account = {name: ACCOUNT[name] for name in columns if name in ACCOUNT}
        self._contact = {name: CONTACT[name] for name in columns if name in CONTACT}
        self._last: tuple[str, tuple[Any, ...]] | None = None

    async def create(self) -> None:
        accounts = "".join(f", {name} {kind}" for name, kind in self._account.values())
        contacts = "".join(f", {name} {kind}" for name, kind in self._contact.values())
        for table in (
            f"staged_accounts (line bigint, id text{accounts})",
            f"staged_contacts (id text, account_id text, email text{contacts})",
        ):
            await self._connection.execute(f"CREATE TEMPORARY TABLE {table} ON COMMIT DROP")

    async def add(self, rows: Sequence[tuple[int, CustomerRow]]) -> None:
        accounts = []
        for line, row in rows:
            cells = tuple(getattr(row, name) for name in self._account)
            # Contacts of one account mostly follow each other and repeat it word for word.
            if (row.account_id, cells) != self._last:
                self._last = (row.account_id, cells)
                accounts.append((line, row.account_id, *map(_staged, cells)))
        contacts = [
            (row.contact_id, row.account_id, row.email,
             *(_as_list(getattr(row, name)) for name in self._contact))
            for _, row in rows
        ]  # fmt: skip
        await self._copy("staged_accounts", accounts)
        await self._copy("staged_contacts", contacts)

    async def _copy(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        async with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY {table} FROM STDIN") as copy,
        ):
            for row in rows:
                await copy.write_row(row)

    def accounts_sql(self) -> str:
        merged = {
            column: _unstaged(
                f"(array_agg({column} ORDER BY line DESC) FILTER (WHERE {column} IS NOT NULL))[1]",
                kind,
                EMPTY.get(column),
            )
            for column, kind in self._account.values()
        }
        absent = {c: EMPTY[c] for c in ("features", "regimes", "activity") if c not in merged}
        return _upsert(
            "accounts", {"id": "id"}, merged, absent, "staged_accounts GROUP BY id", "active = true"
        )

    def contacts_sql(self) -> str:
        given = {
            column: f"coalesce({column}, {EMPTY[column]})" if column in EMPTY else column
            for column, _ in self._contact.values()
        }
        given |= {"account_id": "account_id", "email": "email"}
        absent = {c: EMPTY[c] for c in ("locale", "timezone", "channels") if c not in given}
        return _upsert("contacts", {"id": "id"}, given, absent, "staged_contacts")


def _upsert(
    table: str,
    key: dict[str, str],
    given: dict[str, str],
    absent: dict[str, str],
    source: str,
    *always: str,
) -> str:
    columns = key | given | absent | {"imported_at": "CAST(:now AS timestamptz)"}
    changes = [f"{column} = excluded.{column}" for column in (*given, "imported_at")]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} "
        f"FROM {source} "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join([*changes, *always])}"
    )


def _unstaged(expression: str, kind: str, empty: str | None) -> str:
    if empty is None:
        return expression
    if empty.endswith("text[]"):
        array = f"ARRAY(SELECT jsonb_array_elements_text({expression}))"
        return f"coalesce({array}, {empty})"
    return f"coalesce({expression}, {empty})"


def _staged(value: Any) -> Any:
    if isinstance(value, tuple):
        return Jsonb(list(value))
    if isinstance(value, dict):
        return Jsonb({key: at.isoformat() for key, at in value.items()})
    return value


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


async def _driver(connection: Connection) -> AsyncConnection[Any]:
    """The psycopg connection under SQLAlchemy's: COPY is beyond the latter."""
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, AsyncConnection):
        raise TypeError("the engine does not use psycopg")
    return driver
