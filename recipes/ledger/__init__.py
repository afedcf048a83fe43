"""The read side: pages of events and runs, counters, what needs the merchant, the tables of the Ledger.

Everything that goes out is a plain value; every finder takes the merchant, and a stranger's id is not found.
"""

from recipes.ledger.attention import Attention, Fix, needs_attention
from recipes.ledger.counters import Counters, counters, has_succeeded
from recipes.ledger.events import EventDetail, EventLine, event_detail, events_page
from recipes.ledger.leaving import leave_event
from recipes.ledger.pages import LARGEST_PAGE, Page
from recipes.ledger.quiet import Silence, silences
from recipes.ledger.runs import (
    STATE_WORDS,
    AttemptLine,
    RunDetail,
    RunLine,
    StepLine,
    run_detail,
    runs_of_event,
    runs_page,
)
from recipes.ledger.tables import (
    Table,
    TableLine,
    TableRow,
    delete_key,
    delete_row,
    table,
    table_csv,
    table_row,
    tables,
)

__all__ = [
    "LARGEST_PAGE",
    "STATE_WORDS",
    "AttemptLine",
    "Attention",
    "Counters",
    "EventDetail",
    "EventLine",
    "Fix",
    "Page",
    "RunDetail",
    "RunLine",
    "Silence",
    "StepLine",
    "Table",
    "TableLine",
    "TableRow",
    "counters",
    "delete_key",
    "delete_row",
    "event_detail",
    "events_page",
    "has_succeeded",
    "leave_event",
    "needs_attention",
    "run_detail",
    "runs_of_event",
    "runs_page",
    "silences",
    "table",
    "table_csv",
    "table_row",
    "tables",
]
