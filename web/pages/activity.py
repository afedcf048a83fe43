"""Activity: what came in and what was done about it, the newest first."""

import json
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from recipes import cookbook, engine, ledger
from recipes.db import reading, transaction
from recipes.events import EVENT_TYPES
from recipes.models import UNFINISHED_STATES, Mode, RunState
from web.display import count
from web.site import merchant_id, site

blueprint = Blueprint("activity", __name__, url_prefix="/activity")

# What the runs can be narrowed to: a word in the address, what the merchant reads, the states.
SHOWN: dict[str, tuple[str, tuple[RunState, ...]]] = {
    "": ("All", ()),
    "needs-you": ("Need you", (RunState.FAILED, RunState.UNSURE)),
    "open": ("Under way", UNFINISHED_STATES),
    "succeeded": ("Done", (RunState.SUCCEEDED,)),
    "skipped": ("Skipped", (RunState.SKIPPED,)),
    "failed": ("Failed", (RunState.FAILED,)),
    "unsure": ("Need your word", (RunState.UNSURE,)),
    "held": ("Waiting for a connection", (RunState.HELD,)),
    "delayed": ("Waiting for their time", (RunState.DELAYED,)),
    "cancelled": ("Cancelled", (RunState.CANCELLED,)),
}
# Where the unsure ones can be answered together.
ANSWERED = ("needs-you", "unsure")
CHIPS = ("", "needs-you", "open", "succeeded", "skipped")


@blueprint.get("")
def events() -> ResponseReturnValue:
    """Events; `type`, `mode` and `buyer` narrow them, `before` is the page."""
    mode = request.args.get("mode", "")
    with reading(site().engine) as session:
        page = ledger.events_page(
            session,
            merchant_id(),
            request.args.get("before", type=int),
            type=request.args.get("type") or None,
            mode=mode if mode in set(Mode) else None,
            subject=request.args.get("buyer") or None,
        )
    return render_template("activity/events.html", page=page, event_types=EVENT_TYPES)


@blueprint.get("/runs")
def runs() -> ResponseReturnValue:
    """Runs; `show`, `recipe` and `connection` narrow them, `before` is the page."""
    show = request.args.get("show", "")
    if show not in SHOWN:
        abort(404)
    with reading(site().engine) as session:
        page = ledger.runs_page(
            session,
            merchant_id(),
            request.args.get("before", type=int),
            states=SHOWN[show][1],
            recipe_id=request.args.get("recipe", type=int),
            connection_id=request.args.get("connection", type=int),
        )
        unsure = [line for line in page.items if line.can_be_marked_done] if show in ANSWERED else []
        courses = engine.courses(session, [line.id for line in unsure]) if unsure else {}
    chips = [*CHIPS, *([show] if show not in CHIPS else [])]
    return render_template(
        "activity/runs.html",
        page=page,
        show=show,
        chips=[(word, SHOWN[word][0]) for word in chips],
        narrowed=_narrowed(),
        unsure=unsure,
        courses=courses,
    )


def _narrowed() -> dict[str, Any]:
    """What the page's runs are narrowed down to, as its address says it."""
    return {name: request.args[name] for name in ("show", "recipe", "connection") if name in request.args}


@blueprint.post("/runs/answer")
def answer() -> ResponseReturnValue:
    """Takes one word (`do`: done, again) for all the unsure runs that the page showed; then back to it.

    Each is named (`run`), with its course as the page showed it (`seen-` and its id).
    """
    if request.form.get("do") not in ("done", "again"):
        abort(400)
    was_done = request.form["do"] == "done"
    answered, left, gone_on = 0, 0, 0
    for run_id in request.form.getlist("run", type=int)[: ledger.LARGEST_PAGE]:
        try:
            with transaction(site().engine) as session:
                seen = request.form.get(f"seen-{run_id}")
                engine.answer(session, merchant_id(), run_id, was_done=was_done, now=site().now(), seen=seen)
            answered += 1
        except engine.UndoneSince:
            left += 1
        except engine.GoneOn:
            gone_on += 1
        except engine.RunRequestError:
            pass  # it is not there, or cannot go on: its own page says why
    site().wake()
    flash(f"{count(answered, 'run')} {'marked done' if was_done else 'will be done again'}.", "success")
    if left:
        flash(
            f"{count(left, 'run needs', 'runs need')} a look of your own: what they are about was undone since.",
            "warning",
        )
    if gone_on:
        flash(
            f"{count(gone_on, 'run has', 'runs have')} gone on since you opened the page: no answer was taken."
            " Look again, then answer.",
            "warning",
        )
    return redirect(url_for("activity.runs", **_narrowed()))


@blueprint.get("/events/<int:event_id>")
def event(event_id: int) -> ResponseReturnValue:
    """One event: what it says, what was done about it, or why nothing was."""
    with reading(site().engine) as session:
        detail = ledger.event_detail(session, merchant_id(), event_id)
        if detail is None:
            abort(404)
        groups = [] if detail.runs else cookbook.shelf(session, merchant_id())
    entries = [entry for group in groups if group.event.name == detail.line.type for entry in group.entries]
    body = detail.text if detail.payload is None else json.dumps(detail.payload, indent=2, ensure_ascii=False)
    return render_template("activity/event.html", detail=detail, body=body, entries=entries)


@blueprint.post("/events/<int:event_id>/leave")
def leave(event_id: int) -> ResponseReturnValue:
    """Leaves an event that did not run as it is; then back to the page that asked (`back`), else the event's."""
    with transaction(site().engine) as session:
        if ledger.event_detail(session, merchant_id(), event_id) is None:
            abort(404)
        ledger.leave_event(session, merchant_id(), event_id, site().now())
    flash("Left as it is. It stays in Activity.", "success")
    if request.form.get("back") == "home":
        return redirect(url_for("home.home"))
    return redirect(url_for("activity.event", event_id=event_id))


@blueprint.post("/events/<int:event_id>/run")
def run_late(event_id: int) -> ResponseReturnValue:
    """Runs an event that was kept because it came too late."""
    with reading(site().engine) as session:
        if ledger.event_detail(session, merchant_id(), event_id) is None:
            abort(404)
    try:
        with transaction(site().engine) as session:
            engine.run_late(session, merchant_id(), event_id, now=site().now())
    except engine.RunRequestError as error:
        flash(str(error), "error")
    else:
        site().wake()
        flash("It runs now.", "success")
    return redirect(url_for("activity.event", event_id=event_id))
