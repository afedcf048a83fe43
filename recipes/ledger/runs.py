"""Pages of runs, and one run with its attempts, in plain words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select as columns
from sqlmodel import Session, col, select

from integrations import integration
from integrations.errors import Permanent
from recipes import engine
from recipes.definition import Step, readable
from recipes.events import event_type
from recipes.ledger.pages import Page, page_size
from recipes.ledger.queueing import Ahead, Rest, rest_of, runs_ahead
from recipes.models import (
    Attempt,
    AttemptResult,
    Connection,
    Event,
    Kept,
    OffPeriod,
    Recipe,
    RecipeVersion,
    Run,
    RunState,
)

STATE_WORDS: Mapping[str, str] = {
    RunState.QUEUED: "about to run",
    RunState.RUNNING: "running",
    RunState.WAITING: "waiting for its next try",
    RunState.HELD: "waiting for the connection",
    RunState.DELAYED: "waiting for its time",
    RunState.UNSURE: "needs your word",
    RunState.SUCCEEDED: "done",
    RunState.SKIPPED: "skipped",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "cancelled",
}
RESULT_WORDS: Mapping[str, str] = {
    AttemptResult.SUCCEEDED: "done",
    AttemptResult.TEMPORARY: "to be tried again",
    AttemptResult.PERMANENT: "refused",
    AttemptResult.UNAUTHORIZED: "not let in",
    AttemptResult.UNSURE: "not known",
    AttemptResult.INTERRUPTED: "interrupted",
    AttemptResult.SKIPPED: "skipped",
}
_WAITING = (RunState.QUEUED, RunState.WAITING, RunState.HELD, RunState.DELAYED)
# Of these the last try was about an earlier step, or is about to be made again.
_ABOUT_TO_BE_TRIED = (RunState.QUEUED, RunState.RUNNING, RunState.DELAYED)
_AGAIN = (RunState.FAILED, RunState.UNSURE, RunState.SUCCEEDED, RunState.SKIPPED, RunState.CANCELLED)


@dataclass(frozen=True)
class RunLine:
    """A run in a list. `due_at` is set while its next try is planned, `connection_id` while it has a connection.
    `waits_until`: set while it waits because its recipe says so.

    `outcome` is what its last try came to, "" while the next is about to be made. `ahead`: the run it is queued behind.
    `recipe_is_deleted`: there is no page of the recipe any more.
    """

    id: int
    event_id: int
    event_type: str
    event_title: str
    mode: str
    origin: str
    subject: str | None
    recipe_id: int
    recipe_title: str
    recipe_is_deleted: bool
    app: str | None
    connection_id: int | None
    connection_name: str
    state: str
    state_words: str
    outcome: str
    again: int
    due_at: datetime | None
    waits_until: datetime | None
    created_at: datetime
    finished_at: datetime | None
    ahead: Ahead | None = None

    @property
    def can_run_again(self) -> bool:
        """Whether "run again" can be asked for."""
        return self.state in _AGAIN

    @property
    def can_be_marked_done(self) -> bool:
        """Whether the merchant's word is awaited."""
        return self.state == RunState.UNSURE

    @property
    def can_be_cancelled(self) -> bool:
        """Whether it can still be called off (a failed or unsure one: set aside)."""
        return self.state in (*_WAITING, RunState.UNSURE, RunState.FAILED)


@dataclass(frozen=True)
class StepLine:
    """One step of a run: what it does, and where the run is with it (done, skipped, now, later).

    labels: what was chosen for it as the merchant reads it, by its value. wait: how long before it, "" for not at all.
    """

    app: str
    app_title: str
    action_title: str
    progress: str
    labels: Mapping[str, str]
    wait: str = ""


@dataclass(frozen=True)
class AttemptLine:
    """One try. `request` holds the fields as they were sent, `answer` a redacted excerpt."""

    id: int
    step: int
    number: int
    started_at: datetime
    milliseconds: int
    result: str
    result_words: str
    outcome: str
    request: Mapping[str, Any]
    status: int | None
    answer: str


@dataclass(frozen=True)
class RunDetail:
    """A run with its steps and its attempts, the latest attempt last.

    rest: what keeps it from being begun, if its service asked for that. was_kept: its event came while the recipe was
    off, and the merchant had it run later. course: goes along with "run again" and "it was done", so that it is done
    for the run as it was seen.
    """

    line: RunLine
    steps: Sequence[StepLine]
    attempts: Sequence[AttemptLine]
    rest: Rest | None
    was_kept: bool
    course: str


def runs_page(
    session: Session,
    merchant_id: int,
    before_id: int | None = None,
    limit: int = 50,
    *,
    states: Sequence[str] = (),
    recipe_id: int | None = None,
    connection_id: int | None = None,
) -> Page[RunLine]:
    """A merchant's runs, the newest first; only those in `states`, of one recipe, of one connection if given."""
    limit = page_size(limit)
    found = _lines(merchant_id).order_by(col(Run.id).desc()).limit(limit + 1)
    if before_id is not None:
        found = found.where(col(Run.id) < before_id)
    if states:
        found = found.where(col(Run.state).in_(states))
    if recipe_id is not None:
        found = found.where(col(Run.recipe_id) == recipe_id)
    if connection_id is not None:
        found = found.where(col(Run.connection_id) == connection_id)
    lines = _with_ahead(session, session.execute(found).all())
    return Page(lines[:limit], lines[limit - 1].id if len(lines) > limit else None)


def runs_of_event(session: Session, merchant_id: int, event_id: int) -> list[RunLine]:
    """All runs of one event, in the order they were made."""
    found = _lines(merchant_id).where(col(Run.event_id) == event_id).order_by(col(Run.id))
    return _with_ahead(session, session.execute(found).all())


def run_detail(session: Session, merchant_id: int, run_id: int) -> RunDetail | None:
    """One run with its attempts; None if the merchant has no such run."""
    row = session.execute(_lines(merchant_id).where(col(Run.id) == run_id)).first()
    if row is None:
        return None
    run, line = row[0], _with_ahead(session, [row])[0]
    version = session.get_one(RecipeVersion, run.version_id)
    definition = readable(version.definition)
    steps = definition.steps if definition else []
    tried = session.exec(select(Attempt).where(Attempt.run_id == run_id).order_by(col(Attempt.id))).all()
    last = {attempt.step: attempt.result for attempt in tried}
    return RunDetail(
        line=line,
        steps=[_step(run, line.state_words, number, step, last.get(number)) for number, step in enumerate(steps)],
        attempts=_attempts(tried),
        rest=rest_of(session, run),
        was_kept=_was_kept(session, run),
        course=engine.courses(session, [run_id])[run_id],
    )


def _was_kept(session: Session, run: Run) -> bool:
    received_at = session.get_one(Event, run.event_id).received_at
    off = select(OffPeriod.id).where(
        OffPeriod.recipe_id == run.recipe_id,
        col(OffPeriod.since) <= received_at,
        col(OffPeriod.until) > received_at,
        col(OffPeriod.kept) != Kept.LEFT,
    )
    return session.exec(off.limit(1)).first() is not None


def _lines(merchant_id: int) -> Any:
    return (
        columns(
            Run,
            col(Event.type),
            col(Event.mode),
            col(Event.origin),
            col(Event.subject),
            col(Recipe.title),
            col(Recipe.deleted_at),
            col(Connection.app),
            col(Connection.name),
        )
        .join(Event, col(Event.id) == col(Run.event_id))
        .join(Recipe, col(Recipe.id) == col(Run.recipe_id))
        .outerjoin(Connection, col(Connection.id) == col(Run.connection_id))
        .where(col(Run.merchant_id) == merchant_id)
    )


def _with_ahead(session: Session, rows: Sequence[Any]) -> list[RunLine]:
    ahead = runs_ahead(session, [row[0] for row in rows])
    lines = [_line(*row) for row in rows]
    return [
        replace(line, ahead=ahead[line.id], state_words="waits for an earlier run") if line.id in ahead else line
        for line in lines
    ]


def _line(
    run: Run,
    type_name: str,
    mode: str,
    origin: str,
    subject: str | None,
    title: str,
    deleted_at: datetime | None,
    app: str | None,
    connection: str | None,
) -> RunLine:
    known = event_type(type_name)
    return RunLine(
        id=run.id or 0,
        event_id=run.event_id,
        event_type=type_name,
        event_title=known.title if known else type_name,
        mode=mode,
        origin=origin,
        subject=subject,
        recipe_id=run.recipe_id,
        recipe_title=title,
        recipe_is_deleted=deleted_at is not None,
        app=app,
        connection_id=run.connection_id,
        connection_name=connection or "",
        state=run.state,
        state_words=STATE_WORDS[run.state],
        # Before the next try is over, the last one's words would read as if they were about it.
        outcome="" if run.state in _ABOUT_TO_BE_TRIED else run.outcome,
        again=run.again,
        due_at=run.due_at if run.state == RunState.WAITING else None,
        waits_until=run.due_at if run.state == RunState.DELAYED else None,
        created_at=run.created_at,
        finished_at=run.finished_at,
    )


def _step(run: Run, state_words: str, number: int, step: Step, last_result: str | None) -> StepLine:
    is_past = number < run.step or run.state == RunState.SUCCEEDED
    if is_past and last_result == AttemptResult.SKIPPED:
        progress = RESULT_WORDS[last_result]
    elif is_past:
        progress = "done"
    elif number == run.step:
        progress = state_words
    else:
        progress = "not reached" if run.finished_at else "later"
    app_title, action_title = titles(step)
    labels = {str(step.fields.get(name)): label for name, label in step.labels.items()}
    return StepLine(step.app, app_title, action_title, progress, labels, step.wait)


def titles(step: Step) -> tuple[str, str]:
    """What a step's service and action are called; their bare names if they are not shipped any more."""
    try:
        declared = integration(step.app)
        return declared.title, declared.action(step.action).title
    except (KeyError, Permanent):
        return step.app, step.action


def _attempts(tried: Sequence[Attempt]) -> list[AttemptLine]:
    """Numbered as a person counts: their own numbers tell the place in the schedule, which may begin anew."""
    counted: Counter[int] = Counter()
    lines = []
    for attempt in tried:
        counted[attempt.step] += 1
        lines.append(_attempt(attempt, counted[attempt.step]))
    return lines


def _attempt(attempt: Attempt, number: int) -> AttemptLine:
    return AttemptLine(
        id=attempt.id or 0,
        step=attempt.step,
        number=number,
        started_at=attempt.started_at,
        milliseconds=attempt.milliseconds,
        result=attempt.result,
        result_words=RESULT_WORDS[attempt.result],
        outcome=attempt.outcome,
        request=attempt.request,
        status=attempt.status,
        answer=attempt.answer,
    )
