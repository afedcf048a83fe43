"""Ledger: rows in Pocketwire's own tables, for merchants who have no spreadsheet elsewhere."""

from integrations.errors import ActionError
from integrations.http import TIMEOUTS, Timeouts
from integrations.kit import Call, Form, Integration, Outcome, action, pairs, text


class Credentials(Form):
    """Nothing: the tables are the merchant's already."""


def connect(credentials: Credentials, base: str, timeouts: Timeouts = TIMEOUTS, /) -> None:
    """No client: rows are written through the call."""


def explain(error: Exception) -> ActionError | None:
    """Nothing is called, so there is nothing of its own to explain."""
    return None


def check(client: None) -> str:
    """There is nothing that could be wrong."""
    return "Tables in Pocketwire"


class Row(Form):
    """A row of a table, found by its key."""

    table: str = text("Table", default="Orders", help="Made with its first row.")
    key: str = text("Key", help="What tells the row apart, such as the order's number.")
    columns: dict[str, str] = pairs("Columns")


@action("Add or update a row", repeatable=True, overwrites=True)
def put_row(call: Call, form: Row) -> Outcome:
    """Adds the row, or updates the columns named; the rest of it stays."""
    is_new = call.rows.put(form.table, form.key, form.columns)
    if is_new is None:
        return Outcome(f"Row {form.key} of {form.table} was left as it is: a test event changes no row of a real one.")
    return Outcome(f"Row {form.key} {'added to' if is_new else 'updated in'} {form.table}.")


integration = Integration(
    name="ledger",
    title="Ledger",
    summary="Keep rows in tables here, to look at and to download.",
    credentials=Credentials,
    connect=connect,
    check=check,
    explain=explain,
    actions=(put_row,),
    how_to_connect="Nothing to connect: the tables are kept by Pocketwire itself. "
    "You see their rows under Ledger, and download them for any spreadsheet.",
)
