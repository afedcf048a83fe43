"""The tables: columns and constraints, no input or output.

Rows are checked with plain models at the edge; what must hold whatever the code does is a constraint here.
"""

from recipes.models.gifts import Gift
from recipes.models.incoming import Endpoint, Event, IdentityKey, IdentityMemory, RejectedDelivery
from recipes.models.people import Account, FirstRun, Membership, Merchant, Notice
from recipes.models.runs import Attempt, LedgerRow, LetThrough, Run
from recipes.models.shelf import Connection, ConnectionPace, OffPeriod, Recipe, RecipeVersion, UnsavedForm
from recipes.models.words import (
    DELAYED_STATES,
    DUE_STATES,
    OPEN_STATES,
    TROUBLED_STATES,
    UNFINISHED_STATES,
    AttemptResult,
    ConnectionState,
    Kept,
    Mode,
    Origin,
    RunsOn,
    RunState,
    Standing,
    among,
)

__all__ = [
    "DELAYED_STATES",
    "DUE_STATES",
    "OPEN_STATES",
    "TROUBLED_STATES",
    "UNFINISHED_STATES",
    "Account",
    "Attempt",
    "AttemptResult",
    "Connection",
    "ConnectionPace",
    "ConnectionState",
    "Endpoint",
    "Event",
    "FirstRun",
    "Gift",
    "IdentityKey",
    "IdentityMemory",
    "Kept",
    "LedgerRow",
    "LetThrough",
    "Membership",
    "Merchant",
    "Mode",
    "Notice",
    "OffPeriod",
    "Origin",
    "Recipe",
    "RecipeVersion",
    "RejectedDelivery",
    "Run",
    "RunState",
    "RunsOn",
    "Standing",
    "UnsavedForm",
    "among",
]
