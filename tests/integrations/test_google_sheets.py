"""Google Sheets through gspread, against a stand-in that checks each request and keeps a sheet's cells."""

from typing import Any

import pytest

from integrations.errors import ActionError, Permanent, Temporary, Unauthorized, Unsure
from integrations.google_sheets import Credentials, check, connect, integration, spreadsheets, worksheets
from integrations.http import Timeouts
from integrations.kit import FormError, Option, Outcome, validate
from tests.integrations import calls
from tests.integrations.conftest import StartVendor
from tests.integrations.google_key import ACCOUNT, key_file, token_answer
from tests.integrations.spreadsheet import APPEND, BATCH_GET, BATCH_UPDATE, SHEET, Spreadsheet
from tests.integrations.vendor import Answer, Vendor, answer

CREDENTIALS = validate(Credentials, {"service_account": key_file()})
FILES = "GET /drive/v3/files"
TOKEN = "POST /token"
HEADER = ["Order ID", "Buyer", "Amount"]


@pytest.fixture
def vendor(start_vendor: StartVendor) -> Vendor:
    """Google: its token endpoint, Drive and Sheets under one address, as with an operator's base address."""
    vendor = start_vendor("google-sheets.openapi.json")
    vendor.beside = {TOKEN: answer(token_answer()), FILES: answer({"files": [{"id": "s1", "name": "Shop"}]})}
    return vendor


def put(vendor: Vendor, sheet: Spreadsheet | None = None, key: str = "order_1", **columns: str) -> Outcome:
    """Puts a row, with a client of its own."""
    if sheet:
        vendor.answers |= sheet.answers()
    values = {"spreadsheet": "s1", "worksheet": sheet.title if sheet else "Orders", "key": key, "columns": columns}
    return calls.perform(integration, connect(CREDENTIALS, vendor.url), "put_row", values)


def refused(code: int, message: str, **more: Any) -> Answer:
    """Google's error document."""
    return answer({"error": {"code": code, "message": message, **more}}, code)


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_sheet_gets_its_header_with_the_first_row(vendor: Vendor) -> None:
    """One write, so that nothing can come between."""
    sheet = Spreadsheet("Orders")
    outcome = put(vendor, sheet, Buyer="Ada", Amount="49.00")
    assert sheet.rows == [HEADER, ["order_1", "Ada", 49.0]]
    assert len(vendor.seen(BATCH_UPDATE)) == 1
    assert not vendor.seen(APPEND)
    assert outcome.sentence == "Row order_1 added to Orders."


def test_a_new_row_is_appended_with_one_read_and_one_write(vendor: Vendor) -> None:
    """The quota is counted by calls: 60 reads and 60 writes a minute."""
    sheet = Spreadsheet("Orders", HEADER, ["order_0", "Bo", 1])
    put(vendor, sheet, Amount="7", Buyer="Ada")
    assert sheet.rows[2:] == [["order_1", "Ada", 7]]
    assert [len(vendor.seen(each)) for each in (BATCH_GET, APPEND, BATCH_UPDATE)] == [1, 1, 0]


def test_a_repeat_never_doubles_a_row(vendor: Vendor) -> None:
    """The action is declared repeatable: this is what that rests on."""
    sheet = Spreadsheet("Orders", HEADER)
    sentences = [put(vendor, sheet, Buyer="Ada").sentence for _ in range(3)]
    assert sheet.rows == [HEADER, ["order_1", "Ada"]]
    assert sentences == ["Row order_1 added to Orders.", *["Row order_1 updated in Orders."] * 2]
    assert integration.action("put_row").repeatable
    assert integration.action("put_row").one_at_a_time == ("spreadsheet", "worksheet")


def test_an_update_touches_the_named_cells_only(vendor: Vendor) -> None:
    """Notes and formulas of the merchant's own stay."""
    sheet = Spreadsheet("Orders", [*HEADER, "Note"], ["order_0", "Bo", 1], ["order_1", "Ada", 7, "=mine"])
    put(vendor, sheet, Amount="0")
    assert sheet.rows == [[*HEADER, "Note"], ["order_0", "Bo", 1], ["order_1", "Ada", 0, "=mine"]]
    changed = {each["range"] for each in vendor.seen(BATCH_UPDATE)[0].json["data"]}
    assert changed == {"'Orders'!A3", "'Orders'!C3"}


def test_a_column_that_the_sheet_lacks_is_added_at_its_right_end(vendor: Vendor) -> None:
    """For new rows and for old ones; the refund's recipe may name columns that the sale's does not."""
    sheet = Spreadsheet("Orders", HEADER, ["order_1", "Ada", 7])
    put(vendor, sheet, Refunded="yes")
    put(vendor, sheet, key="order_2", Coupon="SPRING")
    assert sheet.rows == [
        [*HEADER, "Refunded", "Coupon"],
        ["order_1", "Ada", 7, "yes"],
        ["order_2", "", "", "", "SPRING"],
    ]


def test_columns_are_told_apart_whatever_their_case_and_spaces(vendor: Vendor) -> None:
    """A merchant who tidies the header does not get a second set of columns."""
    sheet = Spreadsheet("Orders", [" ORDER  id", "buyer ", "Amount"], ["order_1"])
    put(vendor, sheet, Buyer="Ada")
    assert sheet.rows == [[" ORDER  id", "buyer ", "Amount"], ["order_1", "Ada"]]


def test_the_key_column_may_stand_anywhere(vendor: Vendor) -> None:
    """One more read finds it."""
    sheet = Spreadsheet("Orders", ["Buyer", "", "Order ID"], ["Bo", "", "order_0"], ["Ada", "x", "order_1"])
    put(vendor, sheet, Buyer="Ada Lovelace")
    put(vendor, sheet, key="order_2", Buyer="Cy")
    assert sheet.rows[2:] == [["Ada Lovelace", "x", "order_1"], ["Cy", "", "order_2"]]


def test_a_key_that_looks_like_a_number_is_found_again(vendor: Vendor) -> None:
    """Also where the merchant typed it, so that the sheet keeps a number. The header is never a row."""
    sheet = Spreadsheet("Orders", ["1042", "Buyer"], [1042.0])
    vendor.answers |= sheet.answers()
    form = {"spreadsheet": "s1", "worksheet": "Orders", "key_column": "1042", "columns": {"Buyer": "Ada"}}
    for key in ("1042", "1043", "1043"):
        calls.perform(integration, connect(CREDENTIALS, vendor.url), "put_row", form | {"key": key})
    assert sheet.rows == [["1042", "Buyer"], ["1042", "Ada"], ["1043", "Ada"]]


@pytest.mark.parametrize(
    ("text", "cell"),
    [("49", 49), ("-0.50", -0.5), *((text, text) for text in ("=1+1", "007", "+49 30", "1e5", "9" * 18, "٣"))],
)
def test_plain_numbers_are_numbers_and_all_else_is_text(vendor: Vendor, text: str, cell: Any) -> None:
    """Amounts can be added up; a buyer's formula, a telephone number and a long id stay as written."""
    sheet = Spreadsheet("Orders", ["Order ID", "Value"])
    put(vendor, sheet, Value=text)
    assert sheet.rows[1] == ["order_1", cell]
    assert isinstance(sheet.rows[1][1], type(cell))


def test_a_worksheets_name_may_hold_quotes(vendor: Vendor) -> None:
    """In a range's name they are doubled."""
    sheet = Spreadsheet("Ada's orders!", HEADER)
    assert put(vendor, sheet, Buyer="Ada").sentence == "Row order_1 added to Ada's orders!."
    assert len(sheet.rows) == 2


@pytest.mark.parametrize(
    ("rows", "columns", "sentence"),
    [
        ([["Order ID", "Sum", "sum"]], {"Sum": "1"}, "Orders has two columns called Sum: rename one of them."),
        ([["Order ID", "order id"]], {"Sum": "1"}, "Orders has two columns called Order ID: rename one of them."),
        ([["", "Order ID"]], {}, "Cell A1 of Orders is empty: the columns' names have to begin there."),
        ([[], ["", ""], ["Order ID"]], {}, "Cell A1 of Orders is empty: the columns' names have to begin there."),
        ([HEADER], {"Buyer": "Ada", "BUYER": "Bo"}, "The recipe names the column BUYER twice: take one of them out."),
        ([HEADER], {" ": "Ada"}, "One of the recipe's columns has no name: give it one."),
    ],
)
def test_where_it_would_have_to_guess_it_writes_nothing(
    vendor: Vendor, rows: list[list[Any]], columns: dict[str, str], sentence: str
) -> None:
    """A row in the wrong columns is worse than a run that says what to put right."""
    sheet = Spreadsheet("Orders", *rows)
    with pytest.raises(Permanent) as caught:
        put(vendor, sheet, **columns)
    assert caught.value.sentence == sentence
    assert not vendor.seen(APPEND)
    assert not vendor.seen(BATCH_UPDATE)


# ── Refusals ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("refusal", "meaning", "words"),
    [
        (refused(400, "Unable to parse range: 'Orders'!1:1"), Permanent, "no longer has this worksheet"),
        (refused(400, "Range ('Orders'!AA1) exceeds grid limits."), Permanent, "no free column"),
        (refused(400, "You are trying to edit a protected cell or object."), Permanent, "is protected"),
        (refused(403, "You are trying to edit a protected cell or object."), Permanent, "is protected"),
        (refused(403, "The caller does not have permission"), Permanent, "as an editor"),
        (refused(403, "Google Sheets API has not been used in project 1 before"), Unauthorized, "Switch both on"),
        (refused(403, "No", details=[{"reason": "SERVICE_DISABLED"}]), Unauthorized, "Switch both on"),
        (refused(403, "No", errors=[{"reason": "userRateLimitExceeded"}]), Temporary, "slow down"),
        (refused(404, "Requested entity was not found."), Permanent, "was deleted, or is no longer shared"),
        (refused(500, "Internal error"), Unsure, "problem of its own"),
        (answer("<html>Bad gateway</html>", 502), Unsure, "HTTP 502"),
        (answer({"error": "invalid_grant", "error_description": "Bad"}, 400), Unauthorized, "does not accept"),
        (answer({"error": "nonsense"}, 400), Permanent, "Google Sheets says: nonsense"),
        (answer("<html>Sign in</html>"), Unsure, "could not be read"),
    ],
)
def test_a_refusal_says_what_to_do(vendor: Vendor, refusal: Answer, meaning: type[ActionError], words: str) -> None:
    """Also where gspread's own reading fails: a page of HTML, an error that is a text."""
    vendor.answers[BATCH_GET] = refusal
    with pytest.raises(meaning) as caught:
        put(vendor)
    assert words in caught.value.sentence


@pytest.mark.parametrize(("headers", "seconds"), [({}, 60), ({"Retry-After": "7"}, 7)])
def test_a_used_up_quota_waits_for_the_next_minute(vendor: Vendor, headers: dict[str, str], seconds: float) -> None:
    """Google counts by the minute and seldom says how long to wait."""
    vendor.answers[BATCH_GET] = answer({"error": {"code": 429, "message": "Quota exceeded"}}, 429, headers)
    with pytest.raises(Temporary) as caught:
        put(vendor)
    assert caught.value.after is not None
    assert caught.value.after.total_seconds() == seconds


def test_a_redirect_is_not_followed(vendor: Vendor, start_vendor: StartVendor) -> None:
    """A POST that becomes a GET would pass for a row that was never written."""
    elsewhere = start_vendor("google-sheets.openapi.json")
    vendor.answers[BATCH_GET] = answer(status=302, headers={"Location": elsewhere.url})
    with pytest.raises(Permanent, match="another address"):
        put(vendor)
    assert not elsewhere.calls


def test_a_silent_service_is_left_after_the_time_out(vendor: Vendor) -> None:
    """gspread by itself would wait for ever."""
    vendor.answers[BATCH_GET] = vendor.hang
    client = connect(CREDENTIALS, vendor.url, Timeouts(connect=0.2, total=0.3))
    with pytest.raises(Unsure):
        calls.perform(integration, client, "put_row", {"spreadsheet": "s", "worksheet": "w", "key": "k", "columns": {}})
    assert len(vendor.seen(BATCH_GET)) == 1


# ── Connecting and choosing ──────────────────────────────────────────────────────────────────────────────


def test_check_names_the_account_and_asks_both_apis(vendor: Vendor) -> None:
    """Each of the two is switched on by itself in Google Cloud."""
    vendor.answers[f"GET {SHEET}"] = answer({"sheets": []})
    assert check(connect(CREDENTIALS, vendor.url)) == f"{ACCOUNT}, 1 spreadsheet shared with it"
    assert vendor.seen(f"GET {SHEET}")
    vendor.beside[FILES] = answer({"files": []})
    assert check(connect(CREDENTIALS, vendor.url)) == f"{ACCOUNT}, no spreadsheet shared with it"


def test_spreadsheets_are_read_page_by_page_up_to_a_thousand(start_vendor: StartVendor) -> None:
    """The request is checked against Drive's own description."""
    vendor = start_vendor("google-drive.openapi.json")
    vendor.beside[TOKEN] = answer(token_answer())
    pages = [[{"id": f"{page}-{n}", "name": f"Sheet {page}"} for n in range(450)] for page in range(4)]
    vendor.script = [answer({"files": page, "nextPageToken": "more"}) for page in pages]
    found = spreadsheets(connect(CREDENTIALS, vendor.url), {})
    assert len(found) == 1000
    assert found[450] == Option("1-0", "Sheet 1")
    asked = vendor.seen(FILES)
    assert [request.args.get("pageToken") for request in asked] == [None, "more", "more"]
    assert "mimeType = 'application/vnd.google-apps.spreadsheet'" in asked[0].args["q"]


def test_pages_without_spreadsheets_end_too(vendor: Vendor) -> None:
    """A page of Drive's may be empty and still have a next one."""
    vendor.beside[FILES] = answer({"files": [], "nextPageToken": "more"})
    assert spreadsheets(connect(CREDENTIALS, vendor.url), {}) == []


def test_worksheets_follow_the_spreadsheet(vendor: Vendor) -> None:
    """A chart's own sheet has no cells. Nothing is asked before a spreadsheet is chosen."""
    titled = [{"title": "Orders", "sheetType": "GRID"}, {"title": "Chart", "sheetType": "OBJECT"}, {"title": "Old"}]
    vendor.answers[f"GET {SHEET}"] = answer({"sheets": [{"properties": each} for each in titled]})
    client = connect(CREDENTIALS, vendor.url)
    assert worksheets(client, {}) == []
    assert not vendor.calls
    assert worksheets(client, {"spreadsheet": "s1"}) == [Option("Orders", "Orders"), Option("Old", "Old")]


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("not json", "Paste the whole key file"),
        ("[" * 100_000, "Paste the whole key file"),
        ('"text"', "not a service account's key"),
        (key_file(type="authorized_user"), "not a service account's key"),
        (key_file(client_email=None), "has no client_email"),
        (key_file(private_key=7), "has no private_key"),
        (key_file(token_uri="https://evil.example/token"), "token_uri has to be https://oauth2.googleapis.com/token"),
        (key_file(token_uri="https://oauth2.googleapis.com/token?"), "token_uri has to be"),
        (key_file(private_key="-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----\n"), "cannot be read"),
    ],
    ids=["text", "deep", "json", "user", "no-email", "no-key", "evil", "almost", "bad-key"],
)
def test_a_wrong_key_file_is_refused_with_its_fix(text: str, fix: str) -> None:
    """A pasted file must not choose where the signed request goes, and never shows in the refusal."""
    with pytest.raises(FormError) as caught:
        validate(Credentials, {"service_account": text})
    assert fix in caught.value.problems["service_account"]
    assert "BEGIN PRIVATE KEY" not in str(caught.value)
    assert caught.value.__cause__ is None
