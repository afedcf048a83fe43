"""Events that did not run and that the merchant leaves as they are: nobody has to be told of them again."""

from datetime import datetime

from sqlalchemy import ColumnElement, String, cast, exists, literal
from sqlmodel import Session, col, select

from recipes.models import Event, Notice, Standing

_ABOUT = "event-left:"


def leave_event(session: Session, merchant_id: int, event_id: int, now: datetime) -> bool:
    """Takes the merchant's word that a suspicious event may stay as it is; False if there is no such event."""
    # Locked: of two who leave it at once one comes after, and finds the other's word.
    event = session.get(Event, event_id, with_for_update=True)
    if event is None or event.merchant_id != merchant_id or event.standing != Standing.SUSPICIOUS:
        return False
    if not event_is_left(session, event):
        session.add(Notice(merchant_id=merchant_id, about=f"{_ABOUT}{event_id}", created_at=now))
        session.flush()
    return True


def event_is_left(session: Session, event: Event) -> bool:
    """Whether the merchant left an event as it is."""
    found = select(Notice.id).where(Notice.merchant_id == event.merchant_id, Notice.about == f"{_ABOUT}{event.id}")
    return session.exec(found).first() is not None


def is_left() -> ColumnElement[bool]:
    """The condition, in a statement about events, that the merchant left the event as it is."""
    about = literal(_ABOUT) + cast(col(Event.id), String)
    return exists().where(col(Notice.merchant_id) == col(Event.merchant_id), col(Notice.about) == about)
