"""Rows of a sheet: one call at a time for each sheet, and no sheet, and no buyer, waits for another's trouble."""

from typing import Any

import pytest
from sqlalchemy import Engine

from recipes.definition import Step
from recipes.engine.lanes import lane_of, lock_of
from recipes.models import Endpoint, RunState
from recipes.vault import Vault
from tests.conftest import both_databases
from tests.integrations.conftest import StartVendor
from tests.integrations.google_key import key_file, token_answer
from tests.integrations.spreadsheet import BATCH_GET, Spreadsheet
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = both_databases

HEADER = ["Order ID", "Status"]
REFUND = {
    "order": {"id": "order_1"},
    "refund": {"id": "re_1", "amount": 64.99, "status": "succeeded"},
    "customer": {"email": "jane@example.com"},
}


@pytest.fixture
def sheet() -> Spreadsheet:
    """The worksheet Orders of every spreadsheet."""
    return Spreadsheet("Orders", HEADER)


@pytest.fixture
def google(start_vendor: StartVendor, sheet: Spreadsheet) -> Vendor:
    """Google on loopback."""
    google = start_vendor("google-sheets.openapi.json")
    google.beside = {"POST /token": answer(token_answer())}
    google.answers |= sheet.answers()
    return google


@pytest.fixture
def kitchen(engine: Engine, vault: Vault, endpoint: Endpoint, google: Vendor) -> Kitchen:
    """An engine with Google on loopback."""
    return Kitchen(engine, vault, endpoint, {"google_sheets": google.url})


def _keep(kitchen: Kitchen, *spreadsheets: str) -> None:
    """A recipe for each spreadsheet, all with one connection."""
    connection = kitchen.connect("google_sheets", service_account=key_file())
    for each in spreadsheets:
        kitchen.recipe("order.completed", _row(connection, each, "paid"))


def _row(connection: int, spreadsheet: str, status: str) -> dict[str, Any]:
    fields = {
        "spreadsheet": spreadsheet,
        "worksheet": "Orders",
        "key_column": "Order ID",
        "key": "{{ order.id }}",
        "columns": {"Status": status},
    }
    return step("google_sheets", "put_row", connection, **fields)


def _deliver(kitchen: Kitchen, count: int) -> None:
    for number in range(1, count + 1):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))


def test_a_failing_sheet_holds_up_no_other(kitchen: Kitchen, google: Vendor, sheet: Spreadsheet) -> None:
    """Its retries go on for two days; the merchant's other sheets go on meanwhile, for the same buyer too."""
    google.answers[BATCH_GET.replace("{spreadsheetId}", "broken")] = answer({"error": {"code": 500}}, 500)
    _keep(kitchen, "broken", "whole")
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    assert kitchen.states() == [RunState.WAITING, RunState.SUCCEEDED]
    assert sheet.rows == [HEADER, ["order_1", "paid"]]


def test_a_row_that_failed_holds_up_no_other_buyers(kitchen: Kitchen, google: Vendor, sheet: Spreadsheet) -> None:
    """Each row is found by its own key, so that they may come in any order."""
    _keep(kitchen, "s1")
    google.script = [answer({"error": {"code": 500}}, 500)]
    _deliver(kitchen, 2)
    kitchen.work()
    assert kitchen.states() == [RunState.WAITING, RunState.SUCCEEDED]
    kitchen.later(minutes=1)
    kitchen.work()
    assert sheet.rows == [HEADER, ["order_2", "paid"], ["order_1", "paid"]]


def test_one_buyers_rows_are_written_in_the_order_of_the_events(
    kitchen: Kitchen, google: Vendor, sheet: Spreadsheet
) -> None:
    """A late retry would mark a refunded order as paid."""
    connection = kitchen.connect("google_sheets", service_account=key_file())
    kitchen.recipe("order.completed", _row(connection, "s1", "paid"))
    kitchen.recipe("order.refunded", _row(connection, "s1", "refunded"))
    google.script = [answer({"error": {"code": 500}}, 500)]
    kitchen.deliver("order.completed", order(1))
    kitchen.deliver("order.refunded", REFUND)
    kitchen.work()
    assert kitchen.states() == [RunState.WAITING, RunState.QUEUED]
    kitchen.later(minutes=1)
    kitchen.work()
    assert sheet.rows == [HEADER, ["order_1", "refunded"]]


def test_no_two_rows_of_a_sheet_are_under_way_at_once(kitchen: Kitchen, sheet: Spreadsheet) -> None:
    """Both would look for the key, not find it, and append. Neither in one claim nor in two."""
    _keep(kitchen, "s1")
    _deliver(kitchen, 3)
    for left in (3, 2, 1):
        first = kitchen.claim()
        assert [len(first), len(kitchen.claim())] == [1, 0], left
        kitchen.finish(first)
    assert sheet.rows == [HEADER, ["order_1", "paid"], ["order_2", "paid"], ["order_3", "paid"]]


def test_rows_of_two_sheets_are(kitchen: Kitchen) -> None:
    """However many of the first sheet's come before them."""
    connection = kitchen.connect("google_sheets", service_account=key_file())
    kitchen.recipe("order.completed", _row(connection, "s1", "paid"))
    kitchen.recipe("order.refunded", _row(connection, "s2", "refunded"))
    _deliver(kitchen, 10)
    kitchen.deliver("order.refunded", REFUND)
    claimed = kitchen.claim()
    assert [each.definition.steps[0].fields["spreadsheet"] for each in claimed] == ["s1", "s2"]


def test_a_row_that_was_under_way_when_the_engine_died_frees_its_sheet(kitchen: Kitchen) -> None:
    """Once its lease has run out."""
    _keep(kitchen, "s1")
    _deliver(kitchen, 2)
    assert len(kitchen.claim()) == 1
    kitchen.later(minutes=3)
    assert kitchen.claim() == []
    kitchen.recover()
    assert len(kitchen.claim()) == 1


# ── How they are told apart ──────────────────────────────────────────────────────────────────────────────


def _lane(spreadsheet: Any, worksheet: Any, subject: str | None = "jane@example.com") -> str:
    fields = {"spreadsheet": spreadsheet, "worksheet": worksheet}
    row = Step(app="google_sheets", action="put_row", connection_id=5, fields=fields)
    return lane_of(row, subject=subject, event_id=7)


def test_a_lane_can_be_read() -> None:
    """By whoever looks into the table."""
    assert _lane("1AbC", "Orders 2026") == "google_sheets:5/1AbC/Orders 2026:jane@example.com"
    assert _lane("1AbC", "Orders", None) == "google_sheets:5/1AbC/Orders:#7"
    assert lock_of(_lane("1AbC", "Orders")) == "google_sheets:5/1AbC/Orders:"


def test_other_actions_have_no_lock() -> None:
    """Whatever the buyer is called."""
    tag = Step(app="mailchimp", action="add_tag", connection_id=3)
    gone = Step(app="google_sheets", action="gone", connection_id=5, fields={"spreadsheet": "s1"})
    lanes = [lane_of(each, subject="a/b:c/d:e@example.com", event_id=7) for each in (tag, gone)]
    assert lanes == ["mailchimp:3:a/b:c/d:e@example.com", "google_sheets:5:a/b:c/d:e@example.com"]
    assert [lock_of(lane) for lane in [*lanes, "google_sheets:5"]] == [None] * 3


def test_names_do_not_run_into_each_other() -> None:
    """Whatever marks they hold; what is no name at all is taken as it is, and a very long one made short."""
    pairs = [
        ("a/b", "c"),
        ("a", "b/c"),
        ("a:b", "c"),
        ("a", "b:c"),
        ("{{ order.id }}", "c"),
        (7, True),
        ("", ""),
        ("\ud800", "c"),
        ("ä" * 500, "c"),
    ]
    locks = [lock_of(_lane(*pair)) for pair in pairs]
    assert len(set(locks)) == len(pairs)
    assert None not in locks
    assert lock_of(_lane(" a ", "c")) == lock_of(_lane("a", "c"))
    assert max(len(str(lock)) for lock in locks) < 400
