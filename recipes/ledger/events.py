"""Pages of events, and one event with what it says and what was done about it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from recipes.engine import is_late
from recipes.events import event_type
from recipes.events.facts import facts_of
from recipes.events.reading import read
from recipes.ledger.leaving import event_is_left
from recipes.ledger.pages import Page, page_size
from recipes.ledger.runs import RunLine, runs_of_event
from recipes.ledger.untouched import why_untouched
from recipes.mapping import as_text
from recipes.models import OPEN_STATES, Event, Run, RunState, Standing

LONGEST_TEXT = 10_000
PRIVATE = "kept private"
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]{2,}")
_PRIVATE_LINK = re.compile(r"""(portal_?url["']?\s*[:=]\s*["']?)[^"'\s,}]+""", re.IGNORECASE)


@dataclass(frozen=True)
class EventLine:
    """An event in a list. `outcome` says in words what came of it."""

    id: int
    type: str
    title: str
    mode: str
    origin: str
    standing: str
    subject: str | None
    occurred_at: datetime
    received_at: datetime
    outcome: str


@dataclass(frozen=True)
class EventDetail:
    """An event with its facts (label and text), its payload without private links, and its runs.

    `payload` is None if the body could not be read; `text` is then the body as it came, cut at LONGEST_TEXT.
    `is_late`: it did not run because it came too late, and may be run all the same. `is_left`: the merchant has said
    that it may stay as it is; `can_be_left`: they have not, and may. `is_new`: no recipe was looked for yet.
    """

    line: EventLine
    sentence: str
    facts: Sequence[tuple[str, str]]
    payload: Mapping[str, Any] | None
    text: str
    runs: Sequence[RunLine]
    is_late: bool
    is_left: bool
    is_new: bool

    @property
    def can_be_left(self) -> bool:
        """Whether the merchant's word about it is awaited."""
        return self.line.standing == Standing.SUSPICIOUS and not self.is_left


def events_page(
    session: Session,
    merchant_id: int,
    before_id: int | None = None,
    limit: int = 50,
    *,
    type: str | None = None,  # noqa: A002 - the word events use
    mode: str | None = None,
    subject: str | None = None,
) -> Page[EventLine]:
    """A merchant's events, the newest first; only of one type, one side of the store, one buyer if given.

    subject: a whole e-mail address is one buyer's; anything else is found wherever it stands in an address or id.
    """
    limit = page_size(limit)
    newest_first = col(Event.id).desc()
    found = select(Event.id).where(Event.merchant_id == merchant_id).order_by(newest_first).limit(limit + 1)
    if before_id is not None:
        found = found.where(col(Event.id) < before_id)
    if type:
        found = found.where(Event.type == type)
    if mode:
        found = found.where(Event.mode == mode)
    if subject:
        wanted = subject.strip().lower()
        is_whole = _ADDRESS.fullmatch(wanted)
        found = found.where(
            Event.subject == wanted if is_whole else col(Event.subject).icontains(wanted, autoescape=True)
        )
    # Their numbers first: an index answers for them, also where a part of an address is looked for in all of a store's.
    events = list(session.exec(select(Event).where(col(Event.id).in_(found)).order_by(newest_first)))
    states = _states(session, [event.id or 0 for event in events[:limit]])
    why = why_untouched(session, merchant_id, [event for event in events[:limit] if event.id not in states])
    lines = [_line(event, _outcome(event, states, why)) for event in events[:limit]]
    return Page(lines, lines[-1].id if len(events) > limit else None)


def event_detail(session: Session, merchant_id: int, event_id: int) -> EventDetail | None:
    """One event with its runs; None if the merchant has no such event."""
    event = session.exec(select(Event).where(Event.id == event_id, Event.merchant_id == merchant_id)).first()
    if event is None:
        return None
    payload = payload_of(event)
    known = event_type(event.type)
    runs = runs_of_event(session, merchant_id, event_id)
    states = {event_id: Counter(run.state for run in runs)} if runs else {}
    return EventDetail(
        line=_line(event, _outcome(event, states, {} if runs else why_untouched(session, merchant_id, [event]))),
        sentence=known.sentence if known else "An event that this version does not know.",
        facts=_facts(event, payload),
        payload=None if payload is None else without_private(payload),
        text="" if payload is not None else _text(event.body),
        runs=runs,
        is_late=is_late(session, event),
        is_new=event.standing == Standing.READY and event.fanned_out_at is None,
        is_left=event.standing == Standing.SUSPICIOUS and event_is_left(session, event),
    )


def payload_of(event: Event) -> Mapping[str, Any] | None:
    """An event's payload as it was read when it came; None if it cannot be read."""
    return read(event.body, event_header=event.type, timestamp_header=None, received_at=event.received_at).payload


def without_private(value: Any) -> Any:
    """A payload without the buyer's self-service link: whoever has that can cancel for them."""
    if isinstance(value, Mapping):
        return {
            name: PRIVATE if name.lower().replace("_", "") == "portalurl" and part else without_private(part)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [without_private(part) for part in value]
    return value


def _text(body: bytes) -> str:
    """A body that could not be read, for people to look at."""
    return _PRIVATE_LINK.sub(rf"\1{PRIVATE}", body.decode("utf-8", "replace"))[:LONGEST_TEXT]


def _facts(event: Event, payload: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    known = event_type(event.type)
    if known is None or payload is None:
        return []
    facts = facts_of(event.type, payload, occurred_at=event.occurred_at, test_mode=event.is_test)
    shown = []
    for fact in known.facts:
        value: Any = facts
        for part in fact.name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            shown.append((fact.label, as_text(value)))
    return shown


def _states(session: Session, event_ids: Sequence[int]) -> Mapping[int, Counter[str]]:
    counted = (
        select(Run.event_id, Run.state, func.count())
        .where(col(Run.event_id).in_(event_ids))
        .group_by(col(Run.event_id), col(Run.state))
    )
    states: dict[int, Counter[str]] = {}
    for event_id, state, count in session.exec(counted):
        states.setdefault(event_id, Counter())[state] += count
    return states


def _line(event: Event, outcome: str) -> EventLine:
    known = event_type(event.type)
    return EventLine(
        id=event.id or 0,
        type=event.type,
        title=known.title if known else event.type,
        mode=event.mode,
        origin=event.origin,
        standing=event.standing,
        subject=event.subject,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        outcome=outcome,
    )


def _outcome(event: Event, counted: Mapping[int, Counter[str]], why: Mapping[int, str]) -> str:
    """What came of an event, the part that needs the merchant first. why: of those without runs, why they have none."""
    if event.standing != Standing.READY:
        return event.standing_reason
    states = counted.get(event.id or 0)
    if not states:
        return why[event.id or 0]
    held, under_way = states[RunState.HELD], sum(states[state] for state in OPEN_STATES) - states[RunState.HELD]
    parts = [
        (states[RunState.FAILED], "failed"),
        (states[RunState.UNSURE], "needs your word"),
        (held, "waiting for a connection"),
        (states[RunState.DELAYED], "waiting for its time"),
        (under_way, "under way"),
        (states[RunState.SUCCEEDED], "done"),
        (states[RunState.SKIPPED], "skipped"),
        (states[RunState.CANCELLED], "cancelled"),
    ]
    said = ", ".join(f"{count} {words}" for count, words in parts if count)
    return f"{said[0].upper()}{said[1:]}."
