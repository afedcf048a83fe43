"""What of old events can be forgotten: what they gave a buyer, and give still, is noted first (engine/gifts.py).

An order or a subscription may give something for longer than its events are kept. As long as they are there, runs say
what was given (engine/words.py), whatever becomes of them: only when they go it is summed up.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, or_
from sqlalchemy import select as columns
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, select

from integrations import integration, kit
from recipes.batches import is_one_of
from recipes.definition import Definition, Step, readable
from recipes.engine.gifts import Told, drop_what_is_over, enter
from recipes.engine.left_out import steps_left_out
from recipes.engine.undone import look_ahead, of_the_buyer, read_again
from recipes.engine.words import Said, Word, action_of, said_by, words_in
from recipes.events.identity import about
from recipes.models import Event, Origin, RecipeVersion, Run, Standing

logger = logging.getLogger(__name__)

# With one of these an order or a subscription may be over.
_LAST_WORDS = (
    "order.refunded",
    *(f"customer.subscription.{word}" for word in ("deleted", "updated", "pause", "resumed")),
)
# What was not taken then may yet be: that is told by what is remembered, and by this event.
_MAY_BE_UNDONE = ("customer.subscription.pause", "invoice.payment_failed")


def note_gifts(session: Session, ids: Collection[int]) -> set[int]:
    """Notes what these events gave that is given still, as they are about to be forgotten; those that may be.

    ids: of one endpoint. The others stay for now: what they gave cannot be told, or what they took is not settled.
    """
    if not ids:
        return set()
    said = _said(session, ids)
    events = _events(session, ids, said)
    look_ahead(session, events)
    going, ended = set(ids), set[str]()
    told: list[Told] = []
    for event in events:
        number = event.id or 0
        try:
            reading = read_again(event)
            words = list(words_in(session, said.get(number, ()), {number: (event, reading)}))
        except SQLAlchemyError:
            raise
        except Exception:
            # All others can go. Whoever takes something from the buyer is asked as long as it is there.
            logger.exception("what event %s gave cannot be told: it is not forgotten", number)
            going.discard(number)
            continue
        if _has_to_stay(session, event, [word for _, word, _ in words], going):
            going.discard(number)
            continue
        told += words
        if event.type in _LAST_WORDS:
            ended.add(about(reading) or "")
    if events:
        enter(session, events[0].endpoint_id, {event.id or 0: event.subject or "" for event in events}, told)
        drop_what_is_over(session, events[0].endpoint_id, ended)
    return going


def _said(session: Session, ids: Collection[int]) -> Mapping[int, list[Said]]:
    """What the events' runs gave or took, by the event's id."""
    runs = session.execute(
        columns(col(Run.id), col(Run.event_id), col(Run.version_id), col(Run.state), col(Run.step)).where(
            is_one_of(session.connection(), col(Run.event_id), ids)
        )
    ).all()
    versions = {run.version_id for run in runs}
    stored = session.execute(
        columns(col(RecipeVersion.id), col(RecipeVersion.definition)).where(
            is_one_of(session.connection(), col(RecipeVersion.id), versions)
        )
    )
    definitions = {number: definition for number, each in stored if (definition := _that_matters(each))}
    matter = [run for run in runs if run.version_id in definitions]
    left_out = steps_left_out(session, [run.id for run in matter])
    found: dict[int, list[Said]] = defaultdict(list)
    for run in matter:
        found[run.event_id] += said_by(run, definitions[run.version_id], left_out[run.id], _gives)
    return found


def _that_matters(stored: Mapping[str, Any]) -> Definition | None:
    """The definition, if it can be read and a step of it gives what can be taken back, or takes."""
    definition = readable(stored)
    actions = ((step, action_of(step)) for step in definition.steps) if definition else ()
    return definition if any(action and _gives(step, action) is not None for step, action in actions) else None


def _gives(step: Step, action: kit.Action) -> bool | None:
    if any(action.name in each.takes for each in integration(step.app).actions):
        return True
    return False if action.takes else None


def _events(session: Session, ids: Collection[int], said: Collection[int]) -> Sequence[Event]:
    """Those that matter, real ones of a buyer, in the order in which they happened."""
    found = select(Event).where(
        is_one_of(session.connection(), col(Event.id), ids),
        or_(is_one_of(session.connection(), col(Event.id), said), col(Event.type).in_(_LAST_WORDS)),
        col(Event.standing) == Standing.READY,
        col(Event.origin) != Origin.SAMPLE,
        col(Event.subject).is_not(None),
    )
    return session.exec(found.order_by(col(Event.occurred_at), col(Event.id))).all()


def _has_to_stay(session: Session, event: Event, words: Iterable[Word], going: Collection[int]) -> bool:
    """Whether the event took something, or ended what gave it, and that is not settled.

    It may be that it was not to be taken at all; or what was given before it may be forgotten only after it.
    """
    takings = [word for word in words if not word.gives]
    if event.type in _MAY_BE_UNDONE and any(word.left_out and not word.is_over for word in takings):
        return True
    if not takings and event.type not in _LAST_WORDS:
        return False
    before = or_(
        col(Event.occurred_at) < event.occurred_at,
        and_(col(Event.occurred_at) == event.occurred_at, col(Event.id) < event.id),
    )
    left = select(Event.id).where(*of_the_buyer(event), before, ~is_one_of(session.connection(), col(Event.id), going))
    return session.exec(left.limit(1)).first() is not None
