"""Recipes: the shelf with its switches, the form on which one is set up, and how one is deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlmodel import Session
from werkzeug.datastructures import MultiDict

from recipes import connections, cookbook, ledger
from recipes.db import reading, transaction
from recipes.events import EventType, event_type
from recipes.models import UNFINISHED_STATES, Recipe
from recipes.prebuilt import PREBUILT
from recipes.waits import UNITS
from web import editor
from web.auth import User, signed_in
from web.site import merchant_id, site

blueprint = Blueprint("recipes", __name__, url_prefix="/recipes")

Draft = cookbook.Draft


@blueprint.get("")
def shelf() -> ResponseReturnValue:
    """Every recipe by event, each with its switch; `show=on` leaves those that are on."""
    only_on = request.args.get("show") == "on"
    with reading(site().engine) as session:
        groups = cookbook.shelf(session, merchant_id())
        unsaved = cookbook.unsaved_recipes(session, merchant_id(), _who().id)
        offers = cookbook.offers(session, merchant_id())
    shown = []
    for group in groups:
        mine = [entry for entry in group.entries if entry.recipe_id and (entry.enabled or not only_on)]
        others = [] if only_on else [entry for entry in group.entries if not entry.recipe_id]
        # What works with what is connected comes first.
        others.sort(key=lambda entry: len(entry.missing))
        shown.append((group.event, mine, others))
    return render_template(
        "recipes/shelf.html",
        groups=[each for each in shown if each[1] or each[2]],
        families=[] if only_on else list(dict.fromkeys(group.event.family for group in groups)),
        on=sum(entry.enabled for group in groups for entry in group.entries),
        only_on=only_on,
        unsaved=[(title, _page_of(recipe)) for recipe, title in unsaved],
        is_used=any(mine for _, mine, _ in shown),
        kept={recipe.id: kept for recipe, kept in offers},
    )


def _page_of(unsaved: str) -> str:
    """The page on which a form that is not saved goes on."""
    if unsaved.isdigit():
        return url_for("recipes.edit", recipe_id=int(unsaved))
    if unsaved.startswith(cookbook.ANOTHER):
        return url_for("recipes.another", name=unsaved.removeprefix(cookbook.ANOTHER))
    return url_for("recipes.begin", name=unsaved)


@blueprint.route("/new/<path:name>", methods=["GET", "POST"])
def begin(name: str) -> ResponseReturnValue:
    """The set-up form of a shipped recipe."""
    with reading(site().engine) as session:
        existing = cookbook.find_recipe(session, merchant_id(), name)
        draft = cookbook.draft_from_prebuilt(session, merchant_id(), name)
        if existing and existing.id and request.method == "POST":
            # Somebody set it up while this form was open: what was entered stays, and is not saved over theirs unasked.
            draft = cookbook.draft_of_recipe(session, merchant_id(), existing.id)
    if existing and request.method == "GET":
        return redirect(url_for("recipes.edit", recipe_id=existing.id))
    if draft is None:
        abort(404)
    return _form(draft, existing)


@blueprint.route("/another/<path:name>", methods=["GET", "POST"])
def another(name: str) -> ResponseReturnValue:
    """The set-up form of a shipped recipe, to stand beside what was made of it already."""
    with reading(site().engine) as session:
        draft = cookbook.another_draft(session, merchant_id(), name)
    if draft is None:
        abort(404)
    return _form(draft, None)


@blueprint.route("/<int:recipe_id>", methods=["GET", "POST"])
def edit(recipe_id: int) -> ResponseReturnValue:
    """The set-up form of a recipe the merchant has."""
    with reading(site().engine) as session:
        recipe = cookbook.find_recipe(session, merchant_id(), recipe_id)
        draft = cookbook.draft_of_recipe(session, merchant_id(), recipe_id)
    if recipe is None or draft is None:
        abort(404)
    return _form(draft, recipe)


@blueprint.post("/<int:recipe_id>/switch")
def switch(recipe_id: int) -> ResponseReturnValue:
    """Switches a recipe on or off (`on`), and calls off what waits if asked (`cancel_waiting`)."""
    with reading(site().engine) as session:
        recipe = cookbook.find_recipe(session, merchant_id(), recipe_id)
    if recipe is None:
        abort(404)
    is_on = request.form.get("on") == "yes"
    try:
        sentence = _switched(recipe_id, is_on)
    except cookbook.CookbookError as error:
        return _answer(not is_on, str(error), url_for("recipes.edit", recipe_id=recipe_id), is_fine=False)
    # What came while it was off is asked about on the recipe's own page.
    asks = is_on and _kept(recipe_id).is_offered
    if asks or request.form.get("back") == "edit":
        return _answer(is_on, sentence, url_for("recipes.edit", recipe_id=recipe_id), asks=asks)
    return _answer(is_on, sentence, url_for("recipes.shelf", _anchor=f"recipe-{recipe_id}"))


def _kept(recipe_id: int) -> cookbook.KeptEvents:
    with reading(site().engine) as session:
        return cookbook.kept_events(session, merchant_id(), recipe_id, site().now())


def _switched(recipe_id: int, is_on: bool) -> str:
    with transaction(site().engine) as session:
        if is_on:
            recipe = cookbook.enable(session, merchant_id(), recipe_id, site().now())
            return f"The recipe is on: {_from_now_on(session, recipe)}"
        cancel = request.form.get("cancel_waiting") == "yes"
        return cookbook.disable(session, merchant_id(), recipe_id, site().now(), cancel_waiting=cancel).sentence


def _from_now_on(session: Session, recipe: Recipe) -> str:
    """What a recipe does that is on, as the rest of a sentence."""
    paused = cookbook.waits_for(session, recipe)
    waits = f" They wait until you reconnect {paused.name}; none is lost." if paused else ""
    return f"it takes the events that come from now on.{waits}"


def _answer(is_on: bool, sentence: str, url: str, *, is_fine: bool = True, asks: bool = False) -> ResponseReturnValue:
    """asks: the page at `url` asks something, so the script shows it as well."""
    if request.accept_mimetypes.best == "application/json":
        return {"on": is_on, "sentence": sentence, "url": url, "asks": asks}, 200 if is_fine else 422
    flash(sentence, "success" if is_fine else "error")
    return redirect(url)


@blueprint.post("/<int:recipe_id>/kept")
def kept(recipe_id: int) -> ResponseReturnValue:
    """Runs what came while a recipe was off, or leaves it (`do`)."""
    decide = {"run": cookbook.run_kept, "leave": cookbook.leave_kept}.get(request.form.get("do", ""))
    with reading(site().engine) as session:
        recipe = cookbook.find_recipe(session, merchant_id(), recipe_id)
    if recipe is None:
        abort(404)
    if decide is None:
        abort(400)
    try:
        with transaction(site().engine) as session:
            flash(decide(session, merchant_id(), recipe_id, site().now()), "success")
    except cookbook.CookbookError as error:
        flash(str(error), "error")
    site().wake()
    return redirect(url_for("recipes.edit", recipe_id=recipe_id))


@blueprint.route("/<int:recipe_id>/delete", methods=["GET", "POST"])
def delete(recipe_id: int) -> ResponseReturnValue:
    """Says what deleting a recipe means, and does it; what waits is called off if asked (`cancel_waiting`)."""
    with reading(site().engine) as session:
        meant = cookbook.deletion(session, merchant_id(), recipe_id)
    if meant is None:
        abort(404)
    if request.method == "GET":
        return render_template("recipes/delete.html", recipe=meant.recipe, meant=meant)
    cancel = request.form.get("cancel_waiting") == "yes"
    try:
        with transaction(site().engine) as session:
            said = cookbook.delete(session, merchant_id(), recipe_id, site().now(), cancel_waiting=cancel)
    except cookbook.CookbookError:
        abort(404)  # somebody else was quicker
    flash(said, "success")
    return redirect(url_for("recipes.shelf"))


# ── The set-up form ──────────────────────────────────────────────────────────────────────────────────────


def _form(draft: Draft, recipe: Recipe | None) -> ResponseReturnValue:
    if not editor.is_known(draft):
        abort(410, "This recipe uses something that this version of Pocketwire does not have any more.")
    if request.method == "GET":
        return _opened(draft, recipe)
    wanted = request.form.get("do", "save")
    if wanted == "forget":
        with transaction(site().engine) as session:
            cookbook.forget_entered(session, merchant_id(), _who().id, draft)
        return redirect(request.path)
    draft = editor.read_draft(draft, request.form)
    if wanted == "preview":
        return _preview(draft)
    if wanted == "refresh":
        return _page(draft, recipe, {})
    steps = {f"{word}.{number}": number for word in ("connect", "reconnect") for number in range(len(draft.steps))}
    if wanted in steps:
        return _connect_first(draft, steps[wanted], is_there=wanted.startswith("reconnect"))
    try:
        saved = _save(draft, switch_on=wanted == "save-on")
    except cookbook.ChangedMeanwhile as error:
        return _page(replace(draft, made_from=error.version), recipe, {}, changed=error), 409
    except cookbook.CookbookError as error:
        return _page(draft, recipe, error.problems), 422
    return redirect(url_for("recipes.edit", recipe_id=saved.id))


def _opened(draft: Draft, recipe: Recipe | None) -> str:
    """The form as the person left it to connect a service, if they did; with that connection, if it was made."""
    step, made = request.args.get("step", -1, type=int), request.args.get("connection", -1, type=int)
    with reading(site().engine) as session:
        kept = cookbook.find_entered(session, merchant_id(), _who().id, draft)
        connection = connections.get(session, merchant_id(), made)
    if kept:
        draft = editor.read_draft(draft, MultiDict((name, value) for name, value in kept.entered))
    if connection:
        draft = editor.with_connection(draft, step, connection)
    return _page(draft, recipe, {}, unsaved_since=kept.created_at if kept else None)


def _connect_first(draft: Draft, number: int, *, is_there: bool) -> ResponseReturnValue:
    """Keeps what was entered, and goes on to the form of one step's connection: a new one, or the one that is there."""
    entered = [each for each in request.form.items(multi=True) if each[0] not in ("csrf_token", "do")]
    with transaction(site().engine) as session:
        cookbook.keep_entered(session, merchant_id(), _who().id, draft, entered, site().now())
    step = draft.steps[number]
    if is_there and step.connection_id is not None:
        return redirect(url_for("connections.change", connection_id=step.connection_id, next=request.path))
    return redirect(url_for("connections.add", app=step.app, next=f"{request.path}?step={number}"))


def _save(draft: Draft, *, switch_on: bool) -> Recipe:
    here = site()
    draft, warnings = cookbook.with_labels(here.engine, here.vault, here.settings, merchant_id(), draft)
    with transaction(here.engine) as session:
        saved = cookbook.save(session, here.vault, merchant_id(), draft, by=_who().email, now=here.now())
        cookbook.forget_entered(session, merchant_id(), _who().id, draft)
        if switch_on and saved.id is not None:
            cookbook.enable(session, merchant_id(), saved.id, here.now())
        takes = _from_now_on(session, saved)
    for warning in warnings:
        flash(warning, "warning")
    if saved.enabled:
        flash(f"Saved, and on: {takes}", "success")
    else:
        flash("Saved. The recipe is still off.", "success")
    return saved


def _who() -> User:
    user = signed_in()
    if user is None:
        raise ValueError("nobody is signed in")
    return user


def _page(
    draft: Draft,
    recipe: Recipe | None,
    problems: Mapping[str, str],
    *,
    unsaved_since: datetime | None = None,
    changed: cookbook.ChangedMeanwhile | None = None,
) -> str:
    if draft.made_from is None:
        draft = replace(draft, made_from=recipe.version if recipe else 0)
    event, prebuilt = _event(draft), PREBUILT.get(draft.prebuilt or "")
    draft, steps = editor.look(draft, problems, may_call=True)
    with reading(site().engine) as session:
        preview = cookbook.preview(session, merchant_id(), draft, site().now())
        waiting: Sequence[ledger.RunLine] = ()
        if recipe is not None and not recipe.enabled:
            unfinished = ledger.runs_page(
                session, merchant_id(), limit=1, states=UNFINISHED_STATES, recipe_id=recipe.id
            )
            waiting = unfinished.items
    kept = _kept(recipe.id) if recipe is not None and recipe.id is not None else None
    places = editor.places(draft)
    return render_template(
        "recipes/edit.html",
        draft=draft,
        recipe=recipe,
        event=event,
        is_shipped=prebuilt is not None,
        needs=prebuilt.needs if prebuilt else "",
        steps=steps,
        problems=problems,
        first_problem=next((place for place in places if place in problems), ""),
        other_problems=[sentence for place, sentence in problems.items() if place not in places],
        unsaved_since=unsaved_since,
        changed=changed,
        newer_is_mine=changed is not None and changed.saved_by == _who().email,
        rows=editor.condition_rows(draft),
        facts=editor.facts_to_choose(event),
        operators=editor.operators(),
        wait_units=UNITS,
        preview=preview,
        waiting=waiting,
        kept=kept,
    )


def _preview(draft: Draft) -> str:
    draft, _ = editor.look(draft, {}, may_call=False)
    with reading(site().engine) as session:
        preview = cookbook.preview(session, merchant_id(), draft, site().now())
    return render_template("recipes/preview.html", draft=draft, preview=preview, event=_event(draft))


def _event(draft: Draft) -> EventType:
    found = event_type(draft.event)
    if found is None:
        abort(404)
    return found
