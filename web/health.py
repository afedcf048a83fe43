"""GET /healthz: whether this installation can do its work, for whoever watches it."""

from datetime import datetime, timedelta

from flask import Blueprint
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from recipes.db import reading
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

    200 with a sentence if there is something for a person to look at.
    """
    try:
        with reading(site().engine) as session:
            # From a table: what needs none is answered without looking into the file.
            session.execute(select(col(Endpoint.id)).limit(1))
    except SQLAlchemyError:
        return _unavailable("The database does not answer.")
    if site().settings.is_postgresql:
        return {"status": "ok"}  # the engines are perhaps on other machines
    since = _engine_seen_at()
    if site().now() - since > LONGEST_SILENCE:
        return _unavailable(f"The engine gives no sign of life since {since:%Y-%m-%d %H:%M:%S} UTC.")
    kept = Spool(site().settings.spool).set_aside_count()
    if kept:
        return {
            "status": "ok",
            "message": f"{kept} spooled batches of deliveries could not be brought in, in part or as a whole. "
            f"They are kept in the spool's folder, as files that end in {SET_ASIDE}; the log says why.",
        }
    return {"status": "ok"}


def _engine_seen_at() -> datetime:
    # An engine that starts together with this process has time to show itself.
    last = last_sign(site().settings.sign_of_life)
    return max(last, site().started_at) if last else site().started_at


def _unavailable(message: str) -> ResponseReturnValue:
    return {"status": "unavailable", "message": message}, 503
