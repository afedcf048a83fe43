"""What a merchant may ask of a run: to run it again, to take it as done, to cancel it."""

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from recipes import jobs
from recipes.definition import UNREADABLE, Definition, Step, readable
from recipes.engine.courses import courses
from recipes.engine.delaying import coming_to
from recipes.engine.holding import connection_of
from recipes.engine.lanes import lane_of
from recipes.engine.left_out import steps_left_out
from recipes.engine.rights import overruled, still_given
from recipes.engine.standing import let_through
from recipes.engine.undone import undone_since
from recipes.engine.words import action_of
from recipes.models import (
    ConnectionState,
    Event,
    Recipe,
    RecipeVersion,
    Run,
    RunState,
)
from recipes.refusal import Refusal

logger = logging.getLogger(__name__)

_RESUMED = (RunState.FAILED, RunState.UNSURE)
_REPEATED = (RunState.SUCCEEDED, RunState.SKIPPED, RunState.CANCELLED)
_CANCELLED = (
    RunState.QUEUED,
    RunState.WAITING,
    RunState.HELD,
    RunState.DELAYED,
    RunState.UNSURE,
    RunState.FAILED,
)


class RunRequestError(Refusal):
    """The request does not fit the run. The text is a sentence for the merchant."""


class GoneOn(RunRequestError):
    """The run is not as it was seen any more when this was asked."""


class UndoneSince(RunRequestError):
    """What the run is about has been undone since: it runs only if that is asked for. Says what happened and when."""


def run_again(
    session: Session,
    merchant_id: int,
    run_id: int,
    *,
    now: datetime,
    all_the_same: bool = False,
    seen: str | None = None,
) -> Run:
    """Runs a run again, with its recipe as it is now; the run to watch.

    A failed or unsure run, and one whose last steps were left out, goes on there, so that what was done is not done
    twice. Any other that has ended is repeated as a new run. all_the_same: also if what it is about has been undone
    since. seen: its course (see `courses`) when this was asked: if it has gone on since, as after the first of two
    clicks, nothing is done. Raises RunRequestError; GoneOn; UndoneSince if only `all_the_same` is missing.
    """
    run = _find(session, merchant_id, run_id)
    if run.state not in (*_RESUMED, *_REPEATED):
        raise RunRequestError("This run is still under way.")
    _look_whether_it_is_as_seen(session, run_id, seen, "run it again")
    version, definition = _current(session, run.recipe_id)
    stopped_at = _stopped_at(session, run)
    if stopped_at is not None:
        version, definition = _going_on_with(session, run, version, definition, stopped_at)
    was_undone = _look_whether_it_stands(session, run, definition.steps[stopped_at or 0 :], now, all_the_same)
    if stopped_at is None:
        going = _repeat(session, run, version, definition, now)
    else:
        going = _resume(session, run, version, definition, stopped_at, now)
    if was_undone:
        let_through(session, going.event_id, going.id, now=now)
    return going


def mark_done(
    session: Session,
    merchant_id: int,
    run_id: int,
    *,
    now: datetime,
    all_the_same: bool = False,
    seen: str | None = None,
) -> Run:
    """Takes an unsure run's step as done, on the merchant's word: the run ends, or goes on with its next step.

    all_the_same: it goes on also if what it is about has been undone since. seen: as for `run_again`: by now the word
    may be wanted on another step. Raises RunRequestError; GoneOn; UndoneSince if only `all_the_same` is missing.
    """
    run = _find(session, merchant_id, run_id)
    if run.state != RunState.UNSURE:
        raise RunRequestError("Only a run that we are not sure about can be marked done.")
    _look_whether_it_is_as_seen(session, run_id, seen, "mark it done")
    version = session.get_one(RecipeVersion, run.version_id)
    definition = readable(version.definition)
    if definition is None:
        raise RunRequestError(UNREADABLE)
    goes_on = run.step + 1 < len(definition.steps)
    rest = definition.steps[run.step + 1 :]
    if goes_on and _look_whether_it_stands(session, run, rest, now, all_the_same):
        let_through(session, run.event_id, run.id, now=now)
    run.doubt = False
    run.outcome = "Marked done by you."
    if goes_on:
        _queue(session, run, definition, run.step + 1, now, since=now)
    else:
        run.state = RunState.SUCCEEDED
        run.finished_at = now
    session.flush()
    return run


def answer(
    session: Session, merchant_id: int, run_id: int, *, was_done: bool, now: datetime, seen: str | None = None
) -> Run:
    """Takes the merchant's word on an unsure run: it was done, or it is to be done again; the run to watch.

    seen: as for `run_again`. Raises RunRequestError; GoneOn; UndoneSince if it needs a word of its own.
    """
    if _find(session, merchant_id, run_id).state != RunState.UNSURE:
        raise GoneOn("This run does not wait for your word any more.")
    return (mark_done if was_done else run_again)(session, merchant_id, run_id, now=now, seen=seen)


def cancel(session: Session, merchant_id: int, run_id: int, *, now: datetime) -> Run:
    """Ends a run that waits, so that it is not done. Raises RunRequestError."""
    run = _find(session, merchant_id, run_id)
    cancelled = session.execute(
        update(Run)
        .where(col(Run.id) == run.id, col(Run.state).in_(_CANCELLED))
        .values(state=RunState.CANCELLED, outcome="Cancelled by you.", finished_at=now)
        .returning(col(Run.id))
    ).first()
    if cancelled is None:
        raise RunRequestError("This run cannot be cancelled: it is under way or has ended.")
    # What it kept from going goes now.
    jobs.look_soon(session)
    session.refresh(run)
    return run


def _look_whether_it_is_as_seen(session: Session, run_id: int, seen: str | None, asked: str) -> None:
    if seen and seen != courses(session, [run_id])[run_id]:
        raise GoneOn(f"This run has gone on meanwhile: look at how it went before you {asked}.")


def _look_whether_it_stands(
    session: Session, run: Run, steps: Sequence[Step], now: datetime, all_the_same: bool
) -> bool:
    """Whether what the run is about was undone or contradicted, and it runs all the same.

    steps: those that would be done. Raises UndoneSince if that was not asked for.
    """
    event = session.get_one(Event, run.event_id)
    said = undone_since(session, event, now=now) or _contradicted(session, event, steps, now)
    if said and not all_the_same:
        raise UndoneSince(said)
    return said is not None


def _contradicted(session: Session, event: Event, steps: Sequence[Step], now: datetime) -> str | None:
    """What else gives the buyer what a step takes, or what a later event did to the contrary of a step."""
    try:
        for step in steps:
            if said := still_given(session, event, step, now=now) or overruled(session, event, step, now=now):
                action = action_of(step)
                what = "give access back" if action and action.gives else "take access away"
                return f"{said} Running this again may {what}."
    except SQLAlchemyError:
        raise
    except Exception:
        logger.exception("what speaks against running event %s again cannot be told", event.id)
        return "We cannot tell what else the buyer has that gives the same. Running this again may take access away."
    return None


def _find(session: Session, merchant_id: int, run_id: int) -> Run:
    # Locked until the request is done: two of them, or one and the engine, never both go by the same state.
    run = session.get(Run, run_id, with_for_update=True)
    if run is None or run.merchant_id != merchant_id:
        raise RunRequestError("There is no such run.")
    return run


def _stopped_at(session: Session, run: Run) -> int | None:
    """The step at which a run goes on when it is run again; None if it is repeated from its beginning."""
    if run.state in _RESUMED:
        return run.step
    left_out = steps_left_out(session, [run.id or 0])[run.id or 0]
    if run.state == RunState.CANCELLED or (run.state == RunState.SUCCEEDED and run.step not in left_out):
        return None
    step = run.step
    while step - 1 in left_out:
        step -= 1
    return step or None


def _going_on_with(
    session: Session, run: Run, version: int, definition: Definition, step: int
) -> tuple[int, Definition]:
    """What a run goes on with at that step. version, definition: the recipe's present ones."""
    used = readable(session.get_one(RecipeVersion, run.version_id).definition)
    if used is None and step:
        raise RunRequestError("What this run has done already cannot be told, so it cannot go on.")
    if used is None or _steps(definition) == _steps(used):
        # The merchant may have mended the recipe first; its steps being the same, the run takes the new version.
        return version, definition
    return run.version_id, used


def _resume(session: Session, run: Run, version: int, definition: Definition, step: int, now: datetime) -> Run:
    run.version_id = version
    run.doubt = False
    run.finished_at = None
    _queue(session, run, definition, step, now)
    session.flush()
    return run


def _steps(definition: Definition) -> list[tuple[str, str]]:
    return [(step.app, step.action) for step in definition.steps]


def _repeat(session: Session, run: Run, version: int, definition: Definition, now: datetime) -> Run:
    last = session.execute(
        select(func.max(Run.again)).where(col(Run.event_id) == run.event_id, col(Run.recipe_id) == run.recipe_id)
    ).scalar_one()
    repeated = Run(
        merchant_id=run.merchant_id,
        event_id=run.event_id,
        recipe_id=run.recipe_id,
        version_id=version,
        again=last + 1,
        lane="",
        order_at=run.order_at,
        due_at=now,
        created_at=now,
    )
    received_at = session.get_one(Event, run.event_id).received_at
    _queue(session, repeated, definition, 0, now, since=received_at)
    session.add(repeated)
    session.flush()
    return repeated


def _current(session: Session, recipe_id: int) -> tuple[int, Definition]:
    version_id, definition = session.execute(
        select(col(RecipeVersion.id), col(RecipeVersion.definition))
        .join(Recipe, col(Recipe.id) == col(RecipeVersion.recipe_id))
        .where(col(Recipe.id) == recipe_id, col(RecipeVersion.version) == col(Recipe.version))
    ).one()
    current = readable(definition)
    if current is None:
        raise RunRequestError(UNREADABLE)
    return version_id, current


def _queue(
    session: Session, run: Run, definition: Definition, number: int, now: datetime, since: datetime | None = None
) -> None:
    """since: when what comes before the step ended, if it has yet to wait as its recipe says."""
    step = definition.steps[number]
    event = session.get_one(Event, run.event_id)
    connection = connection_of(session, run.merchant_id, step)
    is_paused = connection is not None and connection.state == ConnectionState.PAUSED
    run.state, run.due_at = RunState.HELD if is_paused else RunState.QUEUED, now
    if since is not None:
        run.state, run.due_at = coming_to(step, since=since, now=now, is_paused=is_paused)
    run.step = number
    run.attempt = 0
    run.connection_id = connection.id if connection else None
    run.lane = lane_of(step, subject=event.subject, event_id=run.event_id)
    if run.state == RunState.QUEUED:
        jobs.look_soon(session)
