"""GET /healthz: whether this installation can do its work, for whoever watches it."""

from datetime import UTC, datetime, timedelta

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

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """200 while the database answers and the engine shows that it is alive; 503 with a sentence otherwise.

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
    if site().settings.is_postgresql:
        return _set_aside()
    since = _engine_seen_at()
    if site().now() - since > LONGEST_SILENCE:
        return _unavailable(f"The engine gives no sign of life since {_moment(since)}.")
    return _set_aside()


def _set_aside() -> ResponseReturnValue:
    kept = Spool(site().settings.spool).set_aside_count()
    if kept:
        return _look_at(
            f"{kept} spooled batches of deliveries could not be brought in, in part or as a whole. "
            f"They are kept in the spool's folder, as files that end in {SET_ASIDE}; the log says why."
        )
    return {"status": "ok"}


def _engine_seen_at() -> datetime:
    # An engine that starts together with this process has time to show itself.
    last = last_sign(site().settings.sign_of_life)
    return max(last, site().started_at) if last else site().started_at


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
