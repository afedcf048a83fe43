"""One run: what was tried, what came of it, and what can be asked of it."""

from datetime import datetime
from typing import Protocol

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlmodel import Session

from recipes import engine, ledger
from recipes.db import reading, transaction
from recipes.models import Run
from web.site import merchant_id, site

blueprint = Blueprint("runs", __name__, url_prefix="/runs/<int:run_id>")


class Request(Protocol):
    """Something that can be asked of a run."""

    def __call__(self, session: Session, merchant_id: int, run_id: int, *, now: datetime) -> Run:
        """The run to look at afterwards. Raises RunRequestError."""


@blueprint.get("")
def run(run_id: int) -> ResponseReturnValue:
    """The page."""
    detail = _find(run_id)
    with reading(site().engine) as session:
        event = ledger.event_detail(session, merchant_id(), detail.line.event_id)
    return render_template("activity/run.html", run=detail.line, detail=detail, event=event)


@blueprint.post("/again")
def again(run_id: int) -> ResponseReturnValue:
    """Runs it again."""
    return _ask(run_id, engine.run_again, "It runs again now.")


@blueprint.post("/done")
def done(run_id: int) -> ResponseReturnValue:
    """Takes the merchant's word that it happened."""
    return _ask(run_id, engine.mark_done, "Marked done.")


@blueprint.post("/cancel")
def cancel(run_id: int) -> ResponseReturnValue:
    """Calls it off."""
    return _ask(run_id, engine.cancel, "Cancelled: it will not be done.")


def _ask(run_id: int, request: Request, sentence: str) -> ResponseReturnValue:
    _find(run_id)
    try:
        with transaction(site().engine) as session:
            run_id = request(session, merchant_id(), run_id, now=site().now()).id or run_id
    except engine.RunRequestError as error:
        flash(str(error), "error")
    else:
        site().wake()
        flash(sentence, "success")
    return redirect(url_for("runs.run", run_id=run_id))


def _find(run_id: int) -> ledger.RunDetail:
    with reading(site().engine) as session:
        detail = ledger.run_detail(session, merchant_id(), run_id)
    if detail is None:
        abort(404)
    return detail
