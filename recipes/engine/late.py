"""Events that were kept, and not run, because they came after what undoes them."""

from datetime import datetime

from sqlalchemy import exists, select
from sqlmodel import Session, col

from recipes import jobs
from recipes.engine.requests import RunRequestError
from recipes.engine.standing import let_through
from recipes.models import Event, IdentityKey, Standing


def is_late(session: Session, event: Event) -> bool:
    """Whether an event is kept, and was not run, for coming after what undoes it; `run_late` runs it.

    Such an event is as real as any that ran and holds its keys for good; what contradicts itself holds none.
    """
    holds_its_keys = exists().where(col(IdentityKey.event_id) == event.id, col(IdentityKey.until).is_(None))
    return event.standing == Standing.SUSPICIOUS and bool(session.execute(select(holds_its_keys)).scalar_one())


def run_late(session: Session, merchant_id: int, event_id: int, *, now: datetime) -> None:
    """Lets a late event run, on the merchant's word, for the recipes that were on when it came.

    Raises RunRequestError.
    """
    event = session.get(Event, event_id, with_for_update=True)
    if event is None or event.merchant_id != merchant_id:
        raise RunRequestError("There is no such event.")
    if not is_late(session, event):
        raise RunRequestError("Only an event that was kept because it came too late can be run like this.")
    event.standing, event.standing_reason = Standing.READY, ""
    event.fanned_out_at = None
    let_through(session, event_id, None, now=now)
    session.flush()
    jobs.look_soon(session)
