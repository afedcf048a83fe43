"""Retention: what is old and done is forgotten, and its space given back.

In small parts, with the database let go in between: a delivery waits for a part, never for the whole.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Engine, bindparam, delete, exists, literal, select, tuple_
from sqlmodel import col

from recipes.db import UTCDateTime, reading, transaction
from recipes.engine.forgetting import note_gifts
from recipes.models import (
    OPEN_STATES,
    TROUBLED_STATES,
    Endpoint,
    Event,
    IdentityKey,
    Recipe,
    Run,
    RunState,
    UnsavedForm,
    among,
)

# Each takes some 10 ms; a receiver that waits looks again after at most 100 ms, and has to meet a pause.
EVENTS_AT_ONCE = 50
KEYS_AT_ONCE = 500
PAGES_AT_ONCE = 100
PAUSE_SECONDS = 0.1
KEY_GRACE = timedelta(days=2)
UNSAVED_DAYS = timedelta(days=30)

_EVENT = Event.__table__  # type: ignore[attr-defined]
_KEY = IdentityKey.__table__  # type: ignore[attr-defined]


def forget_old(engine: Engine, *, keep_days: int, now: datetime, pause: Callable[[float], bool]) -> int:
    """Deletes events older than that that no run needs any more, and what is left over; the number of events.

    Left over are lapsed keys, deleted recipes without a run, and forms that nobody came back to save. A key for good
    goes with its event: nothing that old is delivered again. What an event gave that is given still is noted in the
    same transaction; one of which that cannot be told yet stays (engine/forgetting.py).
    pause: waits so many seconds; true if it is time to stop, and then the rest is left for the next day.
    """
    deleted = 0
    for ids in _old_events(engine, now - timedelta(days=keep_days)):
        deleted += _delete_events(engine, ids)
        if pause(PAUSE_SECONDS):
            return deleted
    for keys in _lapsed_keys(engine, now - KEY_GRACE):
        _delete_keys(engine, keys, now - KEY_GRACE)
        if pause(PAUSE_SECONDS):
            return deleted
    _delete_left_over(engine, now)
    # Counted once: on a file that was not made by us nothing may be given back, however often we ask.
    for _ in range(-(-_free_pages(engine) // PAGES_AT_ONCE)):
        _give_back(engine)
        if pause(PAUSE_SECONDS):
            break
    return deleted


def _is_done_with() -> ColumnElement[bool]:
    """No run of an event is open, delayed or unsure. Each is asked in the words of its index, if that has few runs."""
    own = exists().where(col(Run.event_id) == col(Event.id))
    is_open = own.where(among(col(Run.state), OPEN_STATES))
    is_unsure = own.where(among(col(Run.state), TROUBLED_STATES), col(Run.state) == RunState.UNSURE)
    # By the event: those that wait for weeks may be many.
    is_delayed = own.where(col(Run.state) == RunState.DELAYED)
    return ~is_open & ~is_delayed & ~is_unsure


def _old_events(engine: Engine, before: datetime) -> Iterator[Sequence[int]]:
    """The ids of what can go, in parts. Goes along the index, so that what has to stay is passed by once a day."""
    with reading(engine) as session:
        endpoints = session.execute(select(col(Endpoint.id))).scalars().all()
    for endpoint_id in endpoints:
        last = datetime.min.replace(tzinfo=UTC), 0
        while True:
            after = tuple_(literal(last[0], UTCDateTime), literal(last[1]))
            statement = (
                select(col(Event.received_at), col(Event.id))
                .where(
                    col(Event.endpoint_id) == endpoint_id,
                    col(Event.received_at) < before,
                    tuple_(col(Event.received_at), col(Event.id)) > after,
                    _is_done_with(),
                )
                .order_by(col(Event.received_at), col(Event.id))
                .limit(EVENTS_AT_ONCE)
            )
            with reading(engine) as session:
                found = session.execute(statement).all()
            if not found:
                break
            yield [event_id for _, event_id in found]
            last = found[-1][0], found[-1][1]


def _delete_events(engine: Engine, ids: Sequence[int]) -> int:
    with transaction(engine) as session:
        # First the locks, in the order in which whoever has one run again takes them: only a statement that begins
        # when nobody is at these any more sees what became of them.
        locked_runs = select(col(Run.id)).where(col(Run.event_id).in_(ids)).order_by(col(Run.id))
        locked_events = select(col(Event.id)).where(col(Event.id).in_(ids)).order_by(col(Event.id))
        session.execute(locked_runs.with_for_update())
        session.execute(locked_events.with_for_update())
        # Asked again: somebody may have had one run again. And what was never looked at stays.
        is_looked_at = col(Event.fanned_out_at).is_not(None)
        done = session.execute(select(col(Event.id)).where(col(Event.id).in_(ids), _is_done_with(), is_looked_at))
        going = note_gifts(session, done.scalars().all())
        session.execute(delete(_EVENT).where(_EVENT.c.id.in_(going)))
        return len(going)


def _lapsed_keys(engine: Engine, before: datetime) -> Iterator[Sequence[tuple[int, str]]]:
    """In the order in which they lapsed: those that never do, most of all, are in no part of this index."""
    last = datetime.min.replace(tzinfo=UTC), 0, ""
    while True:
        place = (_KEY.c.until, _KEY.c.endpoint_id, _KEY.c.key)
        statement = (
            select(*place)
            .where(_KEY.c.until.is_not(None), _KEY.c.until < before)
            .where(tuple_(*place) > tuple_(literal(last[0], UTCDateTime), literal(last[1]), literal(last[2])))
            .order_by(*place)
            .limit(KEYS_AT_ONCE)
        )
        with reading(engine) as session:
            found = session.execute(statement).all()
        if not found:
            return
        yield [(row.endpoint_id, row.key) for row in found]
        last = found[-1].until, found[-1].endpoint_id, found[-1].key


def _delete_keys(engine: Engine, keys: Sequence[tuple[int, str]], before: datetime) -> None:
    statement = delete(_KEY).where(
        _KEY.c.endpoint_id == bindparam("at"), _KEY.c.key == bindparam("text"), _KEY.c.until < before
    )
    with transaction(engine) as session:
        session.connection().execute(statement, [{"at": at, "text": text} for at, text in keys])


def _delete_left_over(engine: Engine, now: datetime) -> None:
    has_run = exists().where(col(Run.recipe_id) == col(Recipe.id))
    with transaction(engine) as session:
        session.execute(delete(Recipe).where(col(Recipe.deleted_at).is_not(None), ~has_run))
        session.execute(delete(UnsavedForm).where(col(UnsavedForm.created_at) < now - UNSAVED_DAYS))


def _free_pages(engine: Engine) -> int:
    if engine.dialect.name != "sqlite":
        return 0
    with reading(engine) as session:
        return int(session.connection().exec_driver_sql("PRAGMA freelist_count").scalar_one())


def _give_back(engine: Engine) -> None:
    with transaction(engine) as session:
        connection = session.connection()
        for _ in range(PAGES_AT_ONCE):
            # One by one: Python takes only one step of a statement that has no columns, and each step frees a page.
            connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
