from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.customers import Allowed, read_row
from domain.customers_file import CustomersFile
from domain.errors import BadInput
from domain.policy import Policy

ROW = {"account_id": "a1", "contact_id": "c1", "email": "ada@example.com"}


@pytest.fixture
def allowed(policy: Policy) -> Allowed:
    return Allowed.by(policy, {"Europe/Berlin", "UTC"})


def faults(allowed: Allowed, **cells: str) -> dict[str, str]:
    with pytest.raises(BadInput) as caught:
        read_row(ROW | cells, allowed)
    return {fault.field: fault.allowed for fault in caught.value.errors}


def test_a_full_row_is_read_into_types(allowed: Allowed) -> None:
    row = read_row(
        ROW
        | {
            "plan": "PRO", "features": " payments ; rest-api;payments", "region": "EU",
            "activity": "payments=2026-03-10T15:00:00+01:00;dashboard=2026-03-01",
            "phone": "+49 (30) 123-4567", "locale": "pt_br", "arr": "1200.5", "channels": "sms",
            "timezone": "Europe/Berlin", "email": "ada@Bücher.example",
        },
        allowed,
    )  # fmt: skip
    assert (row.plan, row.region, row.locale) == ("pro", "eu", "pt-BR")
    assert row.features == ("payments", "rest-api")
    assert row.activity == {
        "payments": datetime(2026, 3, 10, 14, tzinfo=UTC),
        "dashboard": datetime(2026, 3, 1, tzinfo=UTC),
    }
    assert (row.phone, str(row.arr), row.channels) == ("+49301234567", "1200.50", ("sms",))
    assert row.email == "ada@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "email",
    ["ada", "ada@localhost", "a b@example.com", "a@example.com\nBcc: b@example.com", "@example.com",
     "a@b@example.com", "Ada <ada@example.com>", "a@-x.example", "a,b@example.com",
     "ä@example.com"],
)  # fmt: skip
def test_what_is_not_one_address_is_refused(email: str, allowed: Allowed) -> None:
    assert "email" in faults(allowed, email=email)


@pytest.mark.parametrize(
    ("column", "value", "allows"),
    [
        ("plan", "gold", "free, pro, enterprise"),
        ("features", "payments;paymnts", "payments"),
        ("activity", "payments", "component=time"),
        ("last_active_at", "2026-03-10 14:00", "zone"),
        ("timezone", "Berlin", "Europe/Berlin"),
        ("locale", "german", "pt-BR"),
        ("arr", "NaN", "1200.50"),
        ("arr", "-1", "1200.50"),
        ("phone", "030 1234567", "+49"),
        ("channels", "email;fax", "in_app"),
        ("teams_webhook", "http://example.com", "https://"),
        ("renewal_date", "10.3.2026", "2026-03-10"),
        ("contact_name", "Ada\r\nBcc: x", "printable"),
        ("account_id", "", "required"),
    ],
)
def test_a_bad_cell_names_what_is_allowed(
    column: str, value: str, allows: str, allowed: Allowed
) -> None:
    assert allows in faults(allowed, **{column: value})[column]


def read(text: str | bytes, allowed: Allowed, ignore_unknown: bool = False) -> CustomersFile:
    data = text.encode() if isinstance(text, str) else text
    return CustomersFile(data.splitlines(keepends=True), allowed, ignore_unknown)


def test_rows_are_found_by_line_in_any_column_order_and_with_bom(allowed: Allowed) -> None:
    header = "\ufeffemail,contact_id,account_name,account_id\n"
    text = header + 'a@example.com,c1,"Say ""hi""",a1\n\nx,c2,,a1\n'
    (first, row), (line, bad) = list(read(text, allowed))
    assert not isinstance(row, list) and row.account_name == 'Say "hi"'
    assert isinstance(bad, list)
    assert (first, line) == (2, 4)
    assert bad[0].field == "line 4, column email"


def test_a_contact_may_stand_once_and_rows_have_all_cells(allowed: Allowed) -> None:
    text = "account_id,contact_id,email\na,c,a@example.com\nb,c,b@example.com\na,d\n"
    _, (_, twice), (_, short) = list(read(text, allowed))
    assert isinstance(twice, list) and "line 2" in twice[0].allowed
    assert isinstance(short, list) and short[0].value == "2 cells"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("account_id;contact_id;email\n", "separated by ';'"),
        ("account_id,email\n", "contact_id"),
        ("account_id,contact_id,email,acount_name\n", "did you mean account_name"),
        ("account_id,contact_id,email,email\n", "once"),
        ("account_id,contact_id,email\n".encode("utf-16"), "UTF-16"),
        (b"account_id,contact_id,email\n" + b"a,\xe4,x\n", "line 2: byte 3"),
        ('account_id,contact_id,email\na,"b,c@example.com\n', "CSV"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    text: str | bytes, says: str, allowed: Allowed
) -> None:
    with pytest.raises(BadInput) as caught:
        list(read(text, allowed))
    told = f"{caught.value} {[e.model_dump() for e in caught.value.errors]}"
    assert says in told


def test_unknown_columns_are_left_out_on_request(allowed: Allowed) -> None:
    file = read("account_id,contact_id,email,shoe\na,c,a@example.com,43\n", allowed, True)
    assert file.ignored == ("shoe",)
    assert len(list(file)) == 1
