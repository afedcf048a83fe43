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
from web.site import site

# A turn of the engine may rightly wait ten seconds for a locked database, twice.
LONGEST_SILENCE = timedelta(seconds=30)

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """200 while the database answers and the engine shows that it is alive; 503 with a sentence otherwise."""
    try:
        with reading(site().engine) as session:
            # From a table: what needs none is answered without looking into the file.
            session.execute(select(col(Endpoint.id)).limit(1))
    except SQLAlchemyError:
        return _unavailable("The database does not answer.")
    since = _engine_seen_at()
    if site().now() - since > LONGEST_SILENCE:
        return _unavailable(f"The engine gives no sign of life since {since:%Y-%m-%d %H:%M:%S} UTC.")
    return {"status": "ok"}


def _engine_seen_at() -> datetime:
    # An engine that starts together with this process has time to show itself.
    last = last_sign(site().settings.sign_of_life)
    return max(last, site().started_at) if last else site().started_at


def _unavailable(message: str) -> ResponseReturnValue:
    return {"status": "unavailable", "message": message}, 503
