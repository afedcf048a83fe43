"""One run: what was tried, what came of it, and what can be asked of it."""

from datetime import datetime
from functools import partial
from typing import Protocol

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlmodel import Session

from recipes import engine, ledger
from recipes.db import reading, transaction
from recipes.models import Run
from web.site import merchant_id, site

blueprint = Blueprint("runs", __name__, url_prefix="/runs/<int:run_id>")


class Asked(Protocol):
    """Something that can be asked of a run."""

    def __call__(self, session: Session, merchant_id: int, run_id: int, *, now: datetime) -> Run:
        """The run to look at afterwards. Raises RunRequestError."""


@blueprint.get("")
def run(run_id: int) -> ResponseReturnValue:
    """The page."""
    return _page(run_id)


@blueprint.post("/again")
def again(run_id: int) -> ResponseReturnValue:
    """Runs it again; if it has been undone since, only when that is confirmed."""
    return _ask(
        run_id,
        partial(engine.run_again, all_the_same=_is_confirmed(), seen=request.form.get("seen")),
        "It runs again now.",
    )


@blueprint.post("/done")
def done(run_id: int) -> ResponseReturnValue:
    """Takes the merchant's word that it happened; steps that follow may have to be confirmed."""
    return _ask(
        run_id, partial(engine.mark_done, all_the_same=_is_confirmed(), seen=request.form.get("seen")), "Marked done."
    )


@blueprint.post("/cancel")
def cancel(run_id: int) -> ResponseReturnValue:
    """Calls it off."""
    return _ask(run_id, engine.cancel, "Cancelled: it will not be done.")


def _is_confirmed() -> bool:
    return request.form.get("all_the_same") == "yes"


def _ask(run_id: int, asked: Asked, sentence: str) -> ResponseReturnValue:
    _find(run_id)
    try:
        with transaction(site().engine) as session:
            run_id = asked(session, merchant_id(), run_id, now=site().now()).id or run_id
    except engine.UndoneSince as error:
        return _page(run_id, beware=str(error)), 409
    except engine.RunRequestError as error:
        flash(str(error), "error")
    else:
        site().wake()
        flash(sentence, "success")
    return redirect(url_for("runs.run", run_id=run_id))


def _page(run_id: int, beware: str = "") -> str:
    """The run; with `beware`, what was asked of it just now has to be confirmed."""
    detail = _find(run_id)
    with reading(site().engine) as session:
        event = ledger.event_detail(session, merchant_id(), detail.line.event_id)
    return render_template("activity/run.html", run=detail.line, detail=detail, event=event, beware=beware)


def _find(run_id: int) -> ledger.RunDetail:
    with reading(site().engine) as session:
        detail = ledger.run_detail(session, merchant_id(), run_id)
    if detail is None:
        abort(404)
    return detail
