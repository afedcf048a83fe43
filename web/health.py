"""GET /healthz: whether this installation can do its work, for whoever watches it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from recipes.db import reading
from recipes.engine import has_work
from recipes.jobs import last_sign_of_a_worker
from recipes.models import Endpoint
from recipes.sign_of_life import last_sign
from recipes.spool import SET_ASIDE, Spool
from web.site import site

# A turn of the engine may rightly wait ten seconds for a locked database, twice.
LONGEST_SILENCE = timedelta(seconds=30)
# Two or three turns in a row may meet the same lock, as while somebody copies the database.
LONGEST_FAILURE = timedelta(seconds=60)

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """200 while the database answers and the engine shows that it is alive and gets on; 503 with a sentence otherwise.

    200 with a sentence if there is something for a person to look at. So it is on PostgreSQL if no worker shows life:
    who asks is a load balancer, and it must not take away the receivers for that, which lose no delivery.
    """
    try:
        with reading(site().engine) as session:
            # From a table: what needs none is answered without looking into the file.
            session.execute(select(col(Endpoint.id)).limit(1))
            workers_missed_since = _workers_missed_since(session) if site().settings.is_postgresql else None
    except SQLAlchemyError:
        return _unavailable("The database does not answer.")
    if workers_missed_since:
        return _look_at(f"Work waits, and no worker shows life since {_moment(workers_missed_since)}.")
    silent_since = _missing_since(site().settings.sign_of_life, LONGEST_SILENCE)
    failing_since = None if silent_since else _missing_since(site().settings.sign_of_work, LONGEST_FAILURE)
    failing = f"All that the engine tries fails since {failing_since}. The log says why." if failing_since else ""
    if site().settings.is_postgresql:
        return _look_at(failing) if failing else _set_aside()
    if silent_since:
        return _unavailable(f"The engine gives no sign of life since {silent_since}.")
    return _unavailable(failing) if failing else _set_aside()


def _set_aside() -> ResponseReturnValue:
    kept = Spool(site().settings.spool).set_aside_count()
    if kept:
        return _look_at(
            f"{kept} spooled batches of deliveries could not be brought in, in part or as a whole. "
            f"They are kept in the spool's folder, as files that end in {SET_ASIDE}; the log says why."
        )
    return {"status": "ok"}


def _missing_since(sign: Path, longest: timedelta) -> str | None:
    """Since when the engine has not given this sign, in words; None if it has been for no longer than `longest`."""
    now = site().now()
    # An engine that starts together with this process has time to show itself.
    times = [each for each in (last_sign(sign), site().started_at) if each]
    if any(abs(now - each) <= longest for each in times):
        return None
    # A time that lies ahead says nothing until it comes again.
    return "the clock was set back" if max(times) > now else _moment(max(times))


def _workers_missed_since(session: Session) -> datetime | None:
    """Since when no worker has shown life, if there is something to do for one."""
    last = last_sign_of_a_worker(session)
    since = max(last, site().started_at) if last else site().started_at
    is_silent = site().now() - since > LONGEST_SILENCE
    return since if is_silent and has_work(session, site().now()) else None


def _moment(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _look_at(message: str) -> ResponseReturnValue:
    return {"status": "ok", "message": message}


def _unavailable(message: str) -> ResponseReturnValue:
    return {"status": "unavailable", "message": message}, 503
