"""What 10,000 merchants leave behind in PostgreSQL: past events, each with its keys, its finished run and its try.

A few merchants have much, most have little: the first of 10,000 gets 4.6 % of all events, half of them get an eighth.
It is spread evenly over six days, which is how long 10,000,000 events take at 50,000,000 a month.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from benchmarks import deliveries
from recipes.migrations import migrate

MERCHANTS = 10_000
A_MONTH = 50_000_000
PER_DAY = A_MONTH / 30
_PART = 100_000

_CONFIGURED = (
    "INSERT INTO merchant (id, name, time_zone, created_at) SELECT i, 'Store ' || i, 'UTC', :then"
    " FROM generate_series(1, :merchants) AS i",
    "INSERT INTO endpoint (id, merchant_id, mode, token, created_at) SELECT i, i, 'live', md5('token' || i), :then"
    " FROM generate_series(1, :merchants) AS i",
    "INSERT INTO connection (id, merchant_id, app, name, credentials, revision, state, paused_reason, account,"
    " created_at) SELECT i, i, 'mailchimp', 'Mailchimp', '', 1, 'active', '', 'Acme', :then"
    " FROM generate_series(1, :merchants) AS i",
    "INSERT INTO recipe (id, merchant_id, name, title, event_type, runs_on, enabled, enabled_at, version, created_at)"
    " SELECT i, i, 'subscribe', 'Add the buyer', 'order.completed', 'live', true, :then, 1, :then"
    " FROM generate_series(1, :merchants) AS i",
    "INSERT INTO recipe_version (id, recipe_id, version, definition, created_at, created_by) SELECT i, i, 1,"
    ' CAST(\'{"event": "order.completed", "steps": [{"app": "mailchimp", "action": "add_subscriber",'
    ' "connection_id": \''
    ' || i || \', "fields": {"audience": "a1b2c3", "email": "{{ buyer.email }}"}}]}\' AS json), :then, \'\''
    " FROM generate_series(1, :merchants) AS i",
)
# The merchant of an event follows from its number, so that all statements agree on it.
_OWNER = "(1 + floor(:merchants * power((hashint8(i)::bigint + 2147483648) / 4294967296.0, 3)))::int"
_WHEN = "CAST(:begin AS timestamptz) + i * CAST(:apart AS interval)"
_NUMBERS = "FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS i"
_PAST = (
    "INSERT INTO event (id, merchant_id, endpoint_id, mode, type, origin, standing, standing_reason, subject,"
    f" occurred_at, received_at, body, fanned_out_at) SELECT i, {_OWNER}, {_OWNER}, 'live',"
    " (ARRAY['order.completed', 'payment_intent.succeeded', 'invoice.paid', 'customer.created'])"
    "[1 + CAST(i % 4 AS int)],"
    f" 'webhook', 'ready', '', 'buyer-' || i || '@example.com', {_WHEN}, {_WHEN}, :body, {_WHEN}"
    f" {_NUMBERS}",
    f"INSERT INTO identity_key (endpoint_id, key, event_id, until) SELECT {_OWNER},"
    f" 'order.completed:order_' || left(md5('a' || i), 24), i, NULL {_NUMBERS}",
    f"INSERT INTO identity_key (endpoint_id, key, event_id, until) SELECT {_OWNER},"
    f" 'same:order.completed:' || md5('b' || i), i, {_WHEN} + interval '10 minutes'"
    f" {_NUMBERS}",
    "INSERT INTO run (id, merchant_id, event_id, recipe_id, version_id, again, connection_id, lane, order_at, state,"
    f" step, attempt, doubt, due_at, outcome, created_at, finished_at) SELECT i, {_OWNER}, i, {_OWNER}, {_OWNER}, 0,"
    f" {_OWNER}, 'mailchimp:1:buyer-' || i || '@example.com', {_WHEN}, 'succeeded', 0, 1, false, {_WHEN},"
    f" 'The buyer is in the audience.', {_WHEN}, {_WHEN} {_NUMBERS}",
    "INSERT INTO attempt (id, run_id, step, number, started_at, milliseconds, result, outcome, request, answer)"
    f" SELECT i, i, 0, 1, {_WHEN}, 55, 'succeeded', 'The buyer is in the audience.',"
    ' CAST(\'{"audience": "a1b2c3", "email": "buyer-\' || i || \'@example.com"}\' AS json), \'\''
    f" {_NUMBERS}",
)
_NUMBERED = ("merchant", "endpoint", "connection", "recipe", "recipe_version", "event", "run", "attempt")


def fill(engine: Engine, count: int, tell: Callable[[str], None], *, merchants: int = MERCHANTS) -> float:
    """Fills an empty database; the seconds that it took. tell: is told every million."""
    begun = time.monotonic()
    migrate(engine)
    begin = datetime.now(UTC) - timedelta(days=count / PER_DAY)
    with engine.begin() as connection:
        for statement in _CONFIGURED:
            connection.execute(text(statement), {"merchants": merchants, "then": begin - timedelta(days=1)})
    values = {
        "merchants": merchants,
        "begin": begin,
        "apart": timedelta(days=1) / PER_DAY,
        "body": deliveries.body(),
    }
    for first in range(1, count + 1, _PART):
        last = min(first + _PART - 1, count)
        with engine.begin() as connection:
            # Nobody would miss it: this is how it is filled, not how it is used.
            connection.execute(text("SET LOCAL synchronous_commit = off"))
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for statement in _PAST:
                connection.execute(text(statement), {**values, "first": first, "last": last})
        if last % (10 * _PART) == 0:
            tell(f"{last:,} events stored after {time.monotonic() - begun:,.0f} s")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in _NUMBERED:
            connection.execute(
                text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 1)) FROM \"{table}\"")
            )
        connection.execute(text("VACUUM (ANALYZE)"))
    return time.monotonic() - begun
