"""The read side: what merchants see of their events, runs and rows, and nothing of anybody else's."""

import csv
import io
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from recipes import engine as runs
from recipes import ledger
from recipes.db import reading, transaction
from recipes.endpoints import EARLIER_SECRET, TOO_LARGE, endpoint_of, rejections, set_secret
from recipes.models import Endpoint, Event, LedgerRow, Merchant, Mode, Origin, RejectedDelivery, RunState
from recipes.rows import MerchantRows
from recipes.spool import Delivery
from recipes.storing import store
from recipes.vault import Vault
from tests.conftest import NOW, both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = both_databases

STRANGER = 999


@pytest.fixture
def busy(kitchen: Kitchen, slack: Vendor) -> Kitchen:
    """Three sales: one posted, one refused by Slack for good, one still waiting."""
    connection = kitchen.connect("slack")
    kitchen.recipe("order.completed", step("slack", "post_message", connection, channel="C1", text="{{ order.id }}"))
    slack.script = [
        answer({"ok": True, "channel": "C1", "ts": "1.2"}),
        answer({"ok": False, "error": "is_archived"}),
        answer({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": "30"}),
    ]
    for number in (1, 2, 3):
        kitchen.deliver("order.completed", order(number, f"buyer{number}@example.com"))
        kitchen.later(seconds=1)
        kitchen.work()
    return kitchen


def test_runs_are_listed_newest_first_in_plain_words(busy: Kitchen) -> None:
    with reading(busy.engine) as session:
        page = ledger.runs_page(session, busy.endpoint.merchant_id)
    assert [run.state for run in page.items] == [RunState.WAITING, RunState.FAILED, RunState.SUCCEEDED]
    assert [run.state_words for run in page.items] == ["waiting for its next try", "failed", "done"]
    assert [run.due_at is not None for run in page.items] == [True, False, False]
    assert page.items[0].subject == "buyer3@example.com"
    assert page.items[0].app == "slack"
    assert page.next_before_id is None


def test_a_run_behind_another_of_its_buyer_says_so(busy: Kitchen) -> None:
    """It is not about to run, however long the one ahead takes; another buyer's is."""
    for number, buyer in ((4, "buyer3@example.com"), (5, "buyer4@example.com")):
        busy.deliver("order.completed", order(number, buyer))
    busy.later(seconds=1)
    with transaction(busy.engine) as session:
        runs.fan_out(session, now=busy.now)
    with reading(busy.engine) as session:
        free, behind, ahead, *_ = ledger.runs_page(session, busy.endpoint.merchant_id).items
        detail = ledger.run_detail(session, busy.endpoint.merchant_id, behind.id)
    assert (free.state_words, free.ahead) == ("about to run", None)
    assert behind.state_words == "waits for an earlier run"
    assert behind.ahead is not None
    assert (behind.ahead.run_id, behind.ahead.due_at) == (ahead.id, ahead.due_at)
    assert detail is not None
    assert detail.line.ahead == behind.ahead


def test_what_can_be_asked_of_a_run_follows_its_state(busy: Kitchen) -> None:
    with reading(busy.engine) as session:
        waiting, failed, done = ledger.runs_page(session, busy.endpoint.merchant_id).items
    assert (waiting.can_run_again, waiting.can_be_cancelled, waiting.can_be_marked_done) == (False, True, False)
    assert (failed.can_run_again, failed.can_be_cancelled, failed.can_be_marked_done) == (True, True, False)
    assert (done.can_run_again, done.can_be_cancelled, done.can_be_marked_done) == (True, False, False)


def test_pages_go_on_where_the_last_one_ended(busy: Kitchen) -> None:
    mine = busy.endpoint.merchant_id
    with reading(busy.engine) as session:
        first = ledger.runs_page(session, mine, limit=2)
        second = ledger.runs_page(session, mine, before_id=first.next_before_id, limit=2)
        events = ledger.events_page(session, mine, limit=2)
        older = ledger.events_page(session, mine, before_id=events.next_before_id, limit=2)
    assert [len(first.items), len(second.items), second.next_before_id] == [2, 1, None]
    assert [len(events.items), len(older.items), older.next_before_id] == [2, 1, None]


def test_runs_and_events_can_be_narrowed(busy: Kitchen) -> None:
    mine = busy.endpoint.merchant_id
    with reading(busy.engine) as session:
        failed = ledger.runs_page(session, mine, states=[RunState.FAILED])
        of_recipe = ledger.runs_page(session, mine, recipe_id=failed.items[0].recipe_id)
        of_connection = ledger.runs_page(session, mine, connection_id=12345)
        sales = ledger.events_page(session, mine, type="order.completed")
        refunds = ledger.events_page(session, mine, type="order.refunded")
        one_buyer = ledger.events_page(session, mine, subject=" Buyer1@Example.com ")
        test_side = ledger.events_page(session, mine, mode="test")
    found = [len(page.items) for page in (failed, of_recipe, of_connection, sales, refunds, one_buyer, test_side)]
    assert found == [1, 3, 0, 3, 0, 1, 0]


def test_an_events_outcome_says_what_came_of_it(busy: Kitchen) -> None:
    with reading(busy.engine) as session:
        lines = ledger.events_page(session, busy.endpoint.merchant_id).items
    assert [line.outcome for line in lines] == ["1 under way.", "1 failed.", "1 done."]


def test_samples_and_their_runs_are_not_counted(busy: Kitchen) -> None:
    """A merchant who tries things out does not see sales that never were; what fails of them is still told."""
    mine = busy.endpoint.merchant_id
    with reading(busy.engine) as session:
        before = ledger.counters(session, mine, busy.now)
    busy.deliver("order.completed", order(7, "buyer7@example.com"), origin=Origin.SAMPLE)
    busy.work()
    with reading(busy.engine) as session:
        counted = ledger.counters(session, mine, busy.now)
        newest = ledger.runs_page(session, mine).items[0]
        event = ledger.events_page(session, mine).items[0]
    assert (newest.state, newest.origin, event.origin) == (RunState.SUCCEEDED, Origin.SAMPLE, Origin.SAMPLE)
    assert counted == before
    assert (counted.events, counted.done, counted.failed, counted.under_way, counted.retrying) == (3, 1, 1, 1, 1)


def test_an_event_that_nothing_ran_for_says_so(kitchen: Kitchen) -> None:
    kitchen.deliver("order.completed", order(1))
    mine = kitchen.endpoint.merchant_id
    with reading(kitchen.engine) as session:
        assert ledger.events_page(session, mine).items[0].outcome == "About to be looked at."
    kitchen.work()
    with reading(kitchen.engine) as session:
        assert ledger.events_page(session, mine).items[0].outcome == "No recipe is on for this."


def test_a_runs_page_has_its_steps_and_every_attempt(busy: Kitchen) -> None:
    busy.later(minutes=5)
    busy.work()
    with reading(busy.engine) as session:
        newest = ledger.runs_page(session, busy.endpoint.merchant_id).items[0]
        detail = ledger.run_detail(session, busy.endpoint.merchant_id, newest.id)
    assert detail is not None
    assert [(each.app_title, each.action_title, each.progress) for each in detail.steps] == [
        ("Slack", "Post a message", "done")
    ]
    assert [attempt.result_words for attempt in detail.attempts] == ["to be tried again", "done"]
    assert detail.attempts[0].request["text"] == "order_3"
    assert detail.attempts[0].status == 429


def test_an_events_page_has_its_facts_and_runs_and_no_private_link(busy: Kitchen) -> None:
    link = "https://app.pocketsflow.com/portal/secret"
    busy.deliver(
        "customer.subscription.created",
        {
            "subscription": {"id": "offer_1"},
            "subscriptionCustomer": {"id": "sub_1", "status": "active", "active": True},
            "subscriptionCustomerId": "sub_1",
            "customer": {"email": "jane@example.com"},
            "status": "active",
            "portalUrl": link,
        },
    )
    with reading(busy.engine) as session:
        newest, *_, oldest = ledger.events_page(session, busy.endpoint.merchant_id).items
        detail = ledger.event_detail(session, busy.endpoint.merchant_id, newest.id)
        sale = ledger.event_detail(session, busy.endpoint.merchant_id, oldest.id)
    assert detail is not None
    assert link not in repr(detail)
    assert ("Buyer's e-mail", "jane@example.com") in detail.facts
    assert sale is not None
    assert [run.state for run in sale.runs] == [RunState.SUCCEEDED]
    assert sale.payload is not None
    assert sale.payload["order"] == {"id": "order_1"}


def test_a_body_that_is_no_json_is_shown_as_it_came(kitchen: Kitchen) -> None:
    delivery = Delivery(
        endpoint_id=kitchen.endpoint.id or 0, merchant_id=kitchen.endpoint.merchant_id, mode=Mode.LIVE,
        event_header="order.completed", timestamp_header=None, received_at=NOW,
        body=b'\xffnot json {"portalUrl": "https://secret"}',
    )  # fmt: skip
    store(kitchen.engine, [delivery])
    with reading(kitchen.engine) as session:
        (line,) = ledger.events_page(session, kitchen.endpoint.merchant_id).items
        detail = ledger.event_detail(session, kitchen.endpoint.merchant_id, line.id)
    assert detail is not None
    assert (detail.payload, detail.text, detail.runs) == (None, '\ufffdnot json {"portalUrl": "kept private"}', [])
    assert line.outcome.endswith(".")


def test_a_stranger_finds_nothing(busy: Kitchen) -> None:
    with reading(busy.engine) as session:
        run = ledger.runs_page(session, busy.endpoint.merchant_id).items[0]
        assert ledger.run_detail(session, STRANGER, run.id) is None
        assert ledger.event_detail(session, STRANGER, run.event_id) is None
        assert ledger.runs_of_event(session, STRANGER, run.event_id) == []
        assert ledger.runs_page(session, STRANGER).items == []
        assert ledger.events_page(session, STRANGER).items == []
        assert ledger.tables(session, STRANGER) == []
        assert ledger.counters(session, STRANGER, busy.now).events == 0


def test_counters_are_of_the_last_seven_days(busy: Kitchen) -> None:
    with reading(busy.engine) as session:
        now = ledger.counters(session, busy.endpoint.merchant_id, busy.now)
        later = ledger.counters(session, busy.endpoint.merchant_id, busy.now + timedelta(days=8))
    assert (now.events, now.done, now.failed, now.under_way, now.skipped, now.unsure) == (3, 1, 1, 1, 0, 0)
    assert now.left_out == 0
    assert (later.events, later.done, later.failed) == (0, 0, 0)


# ── What needs the merchant ──────────────────────────────────────────────────────────────────────────────


def test_all_is_well_needs_nothing(kitchen: Kitchen) -> None:
    with reading(kitchen.engine) as session:
        assert ledger.needs_attention(session, kitchen.endpoint.merchant_id, kitchen.now) == []


def test_failed_runs_are_told_by_recipe_with_the_latest_reason(busy: Kitchen) -> None:
    with reading(busy.engine) as session:
        (item,) = ledger.needs_attention(session, busy.endpoint.merchant_id, busy.now)
    assert item.sentence == "“A recipe”: 1 run failed."
    assert item.note == "This channel is archived: choose another one."
    assert (item.fix, item.state, item.count) == (ledger.Fix.LOOK_AT_RUNS, RunState.FAILED, 1)
    assert item.run_id is not None
    with transaction(busy.engine) as session:
        runs.cancel(session, busy.endpoint.merchant_id, item.run_id, now=busy.now)
    with reading(busy.engine) as session:
        assert ledger.needs_attention(session, busy.endpoint.merchant_id, busy.now) == []


def test_what_a_sample_met_needs_nobody(kitchen: Kitchen) -> None:
    """Nobody waits for what it was to do; a real failure of the same recipe is told alone."""
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger"), key="", columns={}))
    kitchen.deliver("order.completed", order(1), origin=Origin.SAMPLE)
    kitchen.work()
    assert kitchen.states() == [RunState.FAILED]
    with reading(kitchen.engine) as session:
        assert ledger.needs_attention(session, kitchen.endpoint.merchant_id, kitchen.now) == []
    kitchen.deliver("order.completed", order(2))
    kitchen.work()
    kitchen.deliver("order.completed", order(3), origin=Origin.SAMPLE)
    kitchen.work()
    with reading(kitchen.engine) as session:
        (item,) = ledger.needs_attention(session, kitchen.endpoint.merchant_id, kitchen.now)
    assert (item.count, item.run_id) == (1, 2)


def test_a_row_that_a_sample_writes_is_marked(kitchen: Kitchen) -> None:
    """What the engine knows of the event is told to the table."""
    fields = {"table": "Orders", "key": "{{ order.id }}", "columns": {"A": "1"}}
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger"), **fields))
    kitchen.deliver("order.completed", order(1), origin=Origin.SAMPLE)
    kitchen.deliver("order.completed", order(2))
    kitchen.work()
    with reading(kitchen.engine) as session:
        table = ledger.table(session, kitchen.endpoint.merchant_id, "Orders")
    assert table is not None
    assert {row.key: row.is_test for row in table.rows} == {"order_1": True, "order_2": False}


def test_a_sample_changes_no_row_that_a_real_event_wrote(kitchen: Kitchen) -> None:
    """A merchant who tries a recipe out with the number of a real order; the other way round the row becomes real."""
    fields = {"table": "Orders", "key": "{{ order.id }}", "columns": {"Name": "{{ buyer.email }}"}}
    kitchen.recipe("order.completed", step("ledger", "put_row", kitchen.connect("ledger"), **fields))
    sale, sample = order(1, "jane@example.com"), {**order(1, "test@example.com"), "amount": 1.0}
    kitchen.deliver("order.completed", sale)
    kitchen.work()
    kitchen.deliver("order.completed", sample, origin=Origin.SAMPLE)
    kitchen.deliver("order.completed", order(2, "test@example.com"), origin=Origin.SAMPLE)
    kitchen.deliver("order.completed", order(2, "joe@example.com"))
    kitchen.work()
    with reading(kitchen.engine) as session:
        table = ledger.table(session, kitchen.endpoint.merchant_id, "Orders")
    assert table is not None
    assert {row.key: (row.cells[-1], row.is_test) for row in table.rows} == {
        "order_1": ("jane@example.com", False),
        "order_2": ("joe@example.com", False),
    }
    left = "Row order_1 of Orders was left as it is: a test event changes no row of a real one."
    assert kitchen.runs()[1].outcome == left


def test_a_paused_connection_says_how_many_runs_wait(kitchen: Kitchen) -> None:
    connection = kitchen.connect("slack")
    kitchen.recipe("order.completed", step("slack", "post_message", connection, channel="C1", text="Hi"))
    with transaction(kitchen.engine) as session:
        runs.hold(session, connection, reason="Slack does not accept our token.", now=NOW)
    with reading(kitchen.engine) as session:
        (item,) = ledger.needs_attention(session, kitchen.endpoint.merchant_id, kitchen.now)
    assert item.sentence == "Reconnect Slack: its recipes wait until then."
    for number in range(12):
        kitchen.deliver("order.completed", order(number))
    kitchen.work()
    with reading(kitchen.engine) as session:
        (item,) = ledger.needs_attention(session, kitchen.endpoint.merchant_id, kitchen.now)
    assert item.sentence == "Reconnect Slack: 12 runs are waiting."
    assert item.note == "Slack does not accept our token."
    assert (item.fix, item.connection_id, item.count) == (ledger.Fix.RECONNECT, connection, 12)


def test_a_live_endpoint_without_a_secret_asks_for_it(engine: Engine, merchant: Merchant) -> None:
    mine = merchant.id or 0
    with transaction(engine) as session:
        live = endpoint_of(session, mine, Mode.LIVE, NOW)
        endpoint_of(session, mine, Mode.TEST, NOW)
    with reading(engine) as session:
        (item,) = ledger.needs_attention(session, mine, NOW)
    assert (item.kind, item.fix, item.endpoint_id, item.mode) == (
        "secret_missing",
        ledger.Fix.SET_SECRET,
        live.id,
        Mode.LIVE,
    )


def test_deliveries_on_an_earlier_secret_are_told_before_it_ends(
    engine: Engine, vault: Vault, endpoint: Endpoint
) -> None:
    """A wrong secret was pasted over the right one: for a day all goes on, and then all would be lost."""
    with transaction(engine) as session:
        set_secret(session, vault, session.get_one(Endpoint, endpoint.id), "not_the_secret_at_all", NOW)
        session.add(
            RejectedDelivery(endpoint_id=endpoint.id or 0, reason=EARLIER_SECRET, count=2, first_at=NOW, last_at=NOW)
        )
    with reading(engine) as session:
        (item,) = ledger.needs_attention(session, endpoint.merchant_id, NOW)
        assert rejections(session, session.get_one(Endpoint, endpoint.id)) == []
    assert item.sentence == "Pocketsflow still signs with an earlier secret than the one pasted last."
    assert "good until 12:00 on Saturday, 25 July" in item.note


def test_refused_deliveries_are_told_until_one_is_taken(kitchen: Kitchen) -> None:
    """What came after them proves that the secret is right; a sample of ours proves nothing."""
    endpoint = kitchen.endpoint
    with transaction(kitchen.engine) as session:
        session.add(
            RejectedDelivery(
                endpoint_id=endpoint.id or 0, reason="the signature was wrong", count=1, first_at=NOW, last_at=NOW
            )
        )
    kitchen.later(seconds=1)
    kitchen.deliver("order.completed", order(1))
    with transaction(kitchen.engine) as session:
        event = session.exec(select(Event)).one()
        for origin, told in ((Origin.SAMPLE, ["deliveries_refused"]), (Origin.WEBHOOK, [])):
            event.origin = origin
            session.flush()
            assert [item.kind for item in ledger.needs_attention(session, endpoint.merchant_id, kitchen.now)] == told


@pytest.mark.parametrize(
    ("reason", "fix", "note"),
    [
        ("the signature was wrong", ledger.Fix.SET_SECRET, "Check that the signing secret"),
        (TOO_LARGE, ledger.Fix.LOOK_AT_ADDRESS, "somebody else may know this address"),
    ],
)
def test_a_refusal_comes_with_what_mends_it(
    engine: Engine, endpoint: Endpoint, reason: str, fix: ledger.Fix, note: str
) -> None:
    """The secret has nothing to do with the size."""
    with transaction(engine) as session:
        session.add(RejectedDelivery(endpoint_id=endpoint.id or 0, reason=reason, count=1, first_at=NOW, last_at=NOW))
        session.flush()
        [item] = ledger.needs_attention(session, endpoint.merchant_id, NOW)
    assert item.fix is fix
    assert note in item.note


def test_refused_deliveries_are_told_since_when_in_the_stores_own_time(engine: Engine, endpoint: Endpoint) -> None:
    late = NOW.replace(hour=23)
    with transaction(engine) as session:
        session.get_one(Merchant, endpoint.merchant_id).time_zone = "Europe/Berlin"
        session.add(
            RejectedDelivery(
                endpoint_id=endpoint.id or 0, reason="the signature was wrong", count=3, first_at=late, last_at=late
            )
        )
    with reading(engine) as session:
        (item,) = ledger.needs_attention(session, endpoint.merchant_id, late)
        assert ledger.needs_attention(session, endpoint.merchant_id, late + timedelta(days=8)) == []
    assert item.sentence == "3 deliveries refused since Saturday, 25 July: the signature was wrong."


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def rows(engine: Engine, merchant: Merchant) -> int:
    """Two orders in the Ledger, of which the second has one more column; the merchant's id."""
    mine = merchant.id or 0
    writer = MerchantRows(engine, mine, lambda: NOW)
    writer.put("Orders", "order_1", {"Email": "zoë@example.com", "Amount": "-64.99"})
    writer.put("Orders", "order_2", {"Email": "=HYPERLINK(1)", "Amount": "5", "Note": 'a, "b"\nc'})
    with transaction(engine) as session:
        other = Merchant(name="Eve's", created_at=NOW)
        session.add(other)
    MerchantRows(engine, other.id or 0, lambda: NOW).put("Orders", "order_9", {"Secret": "of another"})
    return mine


def test_a_table_is_shown_newest_first_with_every_column(engine: Engine, rows: int) -> None:
    with reading(engine) as session:
        (line,) = ledger.tables(session, rows)
        table = ledger.table(session, rows, "Orders")
        first = ledger.table(session, rows, "Orders", limit=1)
        assert ledger.table(session, rows, "Refunds") is None
    assert (line.name, line.rows) == ("Orders", 2)
    assert table is not None
    assert table.columns == ["Email", "Amount", "Note"]
    assert [(row.key, row.cells[1:]) for row in table.rows] == [
        ("order_2", ["5", 'a, "b"\nc']),
        ("order_1", ["-64.99", ""]),
    ]
    assert first is not None
    assert (len(first.rows), first.next_before_id) == (1, first.rows[0].id)


def test_what_only_test_events_wrote_is_marked_until_a_real_one_does(engine: Engine, rows: int) -> None:
    """A merchant who counts orders leaves them out; a table without any has no column for it."""
    for_tests = MerchantRows(engine, rows, lambda: NOW, is_test=True)
    for_tests.put("Orders", "order_1", {"Amount": "5"})
    for key in ("order_3", "order_4"):
        for_tests.put("Orders", key, {"Amount": "1"})
    MerchantRows(engine, rows, lambda: NOW).put("Orders", "order_4", {"Amount": "2"})
    with reading(engine) as session:
        table = ledger.table(session, rows, "Orders")
        lines = "".join(ledger.table_csv(session, rows, "Orders")).removeprefix("\ufeff").splitlines()
    assert table is not None
    assert [(row.key, row.is_test) for row in table.rows] == [
        ("order_4", False),
        ("order_3", True),
        ("order_2", False),
        ("order_1", False),
    ]
    assert lines[0] == "Key,Email,Amount,Note,Test event"
    assert [line for line in lines if line.endswith(",test")] == ["order_3,,1,,test"]


def test_a_row_that_a_test_event_began_begins_anew_with_a_real_one(engine: Engine, rows: int) -> None:
    """Nothing of the test is left in the row of a real order."""
    MerchantRows(engine, rows, lambda: NOW, is_test=True).put("Orders", "order_5", {"Amount": "1", "Note": "a test"})
    later = NOW + timedelta(days=1)
    real = MerchantRows(engine, rows, lambda: later)
    assert real.put("Orders", "order_5", {"Amount": "2"}) is True
    assert real.put("Orders", "order_5", {"Email": "zoë@example.com"}) is False
    with reading(engine) as session:
        row = session.exec(select(LedgerRow).where(LedgerRow.key == "order_5")).one()
    assert (row.columns, row.created_at) == ({"Amount": "2", "Email": "zoë@example.com"}, later)


def test_a_table_as_csv_holds_every_row_and_no_formula(engine: Engine, rows: int) -> None:
    """What a buyer wrote must not be computed when the file is opened; a negative number stays a number."""
    with reading(engine) as session:
        text = "".join(ledger.table_csv(session, rows, "Orders"))
    assert text.startswith("\ufeff")
    assert list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))) == [
        ["Key", "Email", "Amount", "Note"],
        ["order_1", "zoë@example.com", "-64.99", ""],
        ["order_2", "'=HYPERLINK(1)", "5", 'a, "b"\nc'],
    ]
