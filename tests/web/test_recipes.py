"""Recipes: the shelf with its switches, and the form that sets one up."""

import html
import re
from typing import Any, cast

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from recipes import prebuilt
from recipes.db import reading, transaction
from recipes.models import Connection, Event, Mode, Origin, Recipe, RecipeVersion, Run, RunState
from tests.web.browser import Browser
from tests.web.conftest import PREBUILT, World
from tests.web.slack_stand_in import StandIn

LEDGER = "order.completed/ledger-row"
COLUMNS = "steps.0.fields.columns"


def recipe(engine: Engine, recipe_id: int) -> Recipe:
    """The recipe as it is stored."""
    with reading(engine) as session:
        return session.get_one(Recipe, recipe_id)


def definition(session: Session, recipe_id: int) -> dict[str, Any]:
    """What the recipe's newest version says."""
    found = select(RecipeVersion).where(RecipeVersion.recipe_id == recipe_id)
    return max(session.exec(found), key=lambda each: each.version).definition


def filled(world: World, **more: object) -> dict[str, object]:
    """The Slack recipe's form as a browser sends it."""
    return {
        "title": "Reviews",
        "runs_on": "live",
        "match": "all",
        "fact": "",
        "operator": "is",
        "value": "",
        "steps.0.connection": world.connection_id,
        "steps.0.fields.channel": "C1",
        "steps.0.fields.text": "{{ review.rating }} stars",
        "do": "save",
        **more,
    }


def test_shelf_has_every_shipped_recipe_by_event(owner: Browser, world: World) -> None:
    """Those set up with a switch, the others with the way to set them up."""
    page = owner.get("/recipes").text
    assert f'href="/recipes/{world.recipe_id}"' in page
    assert page.count('role="switch"') == 1
    for name in prebuilt.PREBUILT:
        assert name == PREBUILT or f'href="/recipes/new/{name}"' in page
    assert owner.get("/recipes?show=on").text.count('role="switch"') == 1


def test_two_recipes_made_from_one_are_told_apart(owner: Browser, world: World, slack: StandIn) -> None:
    """By the title that the merchant gave, and by the conditions."""
    form = filled(world, title="Unhappy <buyers>", fact="review.rating", operator="at_most", value="3")
    owner.post(f"/recipes/{world.recipe_id}", form)
    page = owner.get("/recipes").text
    assert f'href="/recipes/{world.recipe_id}">Unhappy &lt;buyers&gt;</a>' in page
    assert '<p class="small quiet">When a buyer leaves a review, post it to Slack #reviews.</p>' in page
    assert '<p class="small quiet">Only if the review rating is at most 3.</p>' in page
    assert 'aria-label="Unhappy &lt;buyers&gt;"' in page


def test_switch_works_as_a_plain_form(engine: Engine, owner: Browser, world: World) -> None:
    """Off and on again, and the page says what happens to runs under way."""
    with transaction(engine) as session:
        session.get_one(Run, world.run_id).state = RunState.WAITING
    owner.post(f"/recipes/{world.recipe_id}/switch", {"on": "no"})
    assert not recipe(engine, world.recipe_id).enabled
    assert "1 run is still under way and will finish." in owner.get("/recipes").text
    assert "Call them off" in owner.get(f"/recipes/{world.recipe_id}").text
    owner.post(f"/recipes/{world.recipe_id}/switch", {"on": "yes"})
    assert recipe(engine, world.recipe_id).enabled


def test_waiting_runs_are_called_off_when_asked(engine: Engine, owner: Browser, world: World) -> None:
    """Only then."""
    with transaction(engine) as session:
        session.get_one(Run, world.run_id).state = RunState.WAITING
    owner.post(f"/recipes/{world.recipe_id}/switch", {"on": "no", "cancel_waiting": "yes"})
    with reading(engine) as session:
        assert session.get_one(Run, world.run_id).state == RunState.CANCELLED


def test_switch_answers_the_script(engine: Engine, owner: Browser, world: World) -> None:
    """With the state it has now and a sentence, so that the page need not be loaded anew."""
    answer = owner.post(f"/recipes/{world.recipe_id}/switch", {"on": "no"}, Accept="application/json")
    assert answer.json is not None
    assert (answer.json["on"], answer.json["sentence"][:18]) == (False, "The recipe is off:")


def test_a_recipe_that_cannot_work_is_not_switched_on(engine: Engine, owner: Browser, world: World) -> None:
    """Its page says what is missing."""
    owner.post(f"/recipes/{world.recipe_id}/switch", {"on": "no"})
    with transaction(engine) as session:
        session.delete(session.get_one(Connection, world.connection_id))
    answer = owner.post(f"/recipes/{world.recipe_id}/switch", {"on": "yes"})
    assert answer.location == f"/recipes/{world.recipe_id}"
    assert "This connection is not there any more" in owner.get(answer.location).text
    assert owner.post(
        f"/recipes/{world.recipe_id}/switch", {"on": "yes"}, Accept="application/json"
    ).status_code == 422  # fmt: skip


def test_live_choices_are_loaded_once_a_minute(owner: Browser, world: World, slack: StandIn) -> None:
    """However often the page is drawn."""
    for _ in range(3):
        assert '<option value="C2">#sales</option>' in owner.get(f"/recipes/{world.recipe_id}").text
    assert slack.calls == ["conversations.list"]


def test_choices_that_cannot_be_loaded_say_why_and_can_be_typed(owner: Browser, world: World, slack: StandIn) -> None:
    """What was chosen before is still there."""
    slack.refuses = "invalid_auth"
    page = owner.get(f"/recipes/{world.recipe_id}").text
    assert "The choices cannot be loaded: Slack does not accept our token." in page
    assert 'name="steps.0.fields.channel" value="C1"' in page


def test_saving_keeps_what_was_chosen_and_its_label(
    engine: Engine, owner: Browser, world: World, slack: StandIn
) -> None:
    """The shelf's sentence then names the channel."""
    form = filled(world, fact="review.rating", operator="at_most", value="3", runs_on="both")
    form["steps.0.fields.channel"] = "C2"
    assert owner.post(f"/recipes/{world.recipe_id}", form).status_code == 302
    with reading(engine) as session:
        saved = definition(session, world.recipe_id)
    assert saved["conditions"] == [{"fact": "review.rating", "operator": "at_most", "value": "3"}]
    assert recipe(engine, world.recipe_id).runs_on == "both"
    assert "#sales" in owner.get("/recipes").text


def test_a_recipe_is_set_up_and_switched_on_in_one_go(engine: Engine, stranger: Browser) -> None:
    """The Ledger needs nothing: a newcomer's first recipe is a click."""
    answer = stranger.post(f"/recipes/new/{LEDGER}", form_of(stranger, LEDGER, do="save-on"))
    assert answer.status_code == 302
    assert "Saved, and on" in stranger.get(answer.location).text
    with reading(engine) as session:
        assert [made.enabled for made in session.exec(select(Recipe).where(Recipe.name == LEDGER))] == [True]
    assert stranger.get(f"/recipes/new/{LEDGER}").location == answer.location


def form_of(browser: Browser, name: str, **more: object) -> dict[str, object]:
    """The form of a shipped recipe that asks for no choice, as a browser sends it when nothing is touched."""
    return {**browser.fields(f"/recipes/new/{name}", "recipe"), **more}


@pytest.mark.parametrize(
    ("entered", "sentence"),
    [
        ({"steps.0.fields.text": ""}, "Message is missing."),
        ({"steps.0.fields.text": "{{ review.ratings }}"}, "There is no fact called review.ratings."),
        ({"steps.0.connection": "999"}, "This connection is not there any more"),
        ({"steps.0.fields.channel": "C9"}, "C9 is not among the choices"),
        ({"title": " "}, "The recipe needs a title."),
        ({"steps.0.wait": "soon", "steps.0.wait_unit": "hours"}, "such as 3 days"),
        ({"steps.0.wait": "366", "steps.0.wait_unit": "days"}, "at most 365 days"),
        ({"fact": "review.rating", "operator": "at_least", "value": "many"}, "number"),
    ],
)
def test_problems_stand_under_their_fields(
    engine: Engine, owner: Browser, world: World, slack: StandIn, entered: dict[str, object], sentence: str
) -> None:
    """Nothing is saved until it is right, and nothing that was typed is lost."""
    answer = owner.post(f"/recipes/{world.recipe_id}", filled(world, **entered))
    assert answer.status_code == 422
    assert sentence in answer.text
    assert recipe(engine, world.recipe_id).version == 1


def test_a_step_is_made_to_wait(engine: Engine, owner: Browser, world: World, slack: StandIn) -> None:
    """A number and a unit. The shelf's sentence says so, and the preview; blank again, it waits no more."""
    url = f"/recipes/{world.recipe_id}"
    owner.post(url, filled(world, **{"steps.0.wait": "2", "steps.0.wait_unit": "hours"}))
    with reading(engine) as session:
        assert definition(session, world.recipe_id)["steps"][0]["wait"] == "2 hours"
    assert "When a buyer leaves a review, 2 hours later, post it to Slack" in owner.get("/recipes").text
    form = owner.fields(url, "recipe")
    assert (form["steps.0.wait"], form["steps.0.wait_unit"]) == (["2"], ["hours"])
    assert "2 hours later" in owner.post(url, filled(world, do="preview")).text
    wrong = owner.post(url, {**form, "steps.0.wait": "two", "do": "save"})
    assert 'id="steps.0.wait-help">Wait before this has to be a whole number' in wrong.text
    assert 'value="two"' in wrong.text
    owner.post(url, {**form, "steps.0.wait": "", "do": "save"})
    with reading(engine) as session:
        assert "wait" not in definition(session, world.recipe_id)["steps"][0]


def test_a_problem_with_a_column_stands_at_its_row(stranger: Browser) -> None:
    """Marked for whoever hears the page, with the focus, and every row as it was typed."""
    names, texts = ["Who", "Who", "", ""], ["{{ buyer.mail }}", "two", "three", ""]
    form = form_of(stranger, LEDGER) | {f"{COLUMNS}__name": names, f"{COLUMNS}__text": texts}
    answer = stranger.post(f"/recipes/new/{LEDGER}", form)
    assert answer.status_code == 422
    rows = answer.text.split("data-row>")[-4:]
    wrong = [
        ("0.text", 'value="{{ buyer.mail }}"', "Who: There is no fact called buyer.mail."),
        ("1.name", 'value="Who"', "Columns: there are two called Who. Give one of them another name."),
        ("2.name", 'value=""', "Columns: a name is empty. Fill it in, or empty its text too."),
    ]
    for row, (place, value, sentence) in zip(rows, wrong, strict=False):
        [control] = re.findall(rf'<input[^>]* id="{COLUMNS}\.{place}"[^>]*>', row)
        assert value in control
        assert f'aria-invalid="true" aria-describedby="{COLUMNS}.{place}-help"' in control
        assert f'id="{COLUMNS}.{place}-help">{sentence}' in row
    assert [tuple(re.findall(r'value="([^"]*)"', row)[:2]) for row in rows] == [*zip(names, texts, strict=True)]
    assert re.findall(r'id="([^"]*)"[^>]* autofocus', answer.text) == [f"{COLUMNS}.0.text"]
    assert f'3 things below need a look: <a href="#{COLUMNS}.0.text">show the first</a>' in answer.text


def test_missing_columns_are_said_at_the_first_row(stranger: Browser) -> None:
    """There the focus is; nothing is said twice."""
    form = form_of(stranger, LEDGER) | {f"{COLUMNS}__name": [""], f"{COLUMNS}__text": [""]}
    page = stranger.post(f"/recipes/new/{LEDGER}", form).text
    assert re.search(
        rf'name="{COLUMNS}__name"[^>]* aria-describedby="{COLUMNS}-help" aria-invalid="true" autofocus', page
    )
    assert page.count("Columns is missing.") == 1
    assert page.count('aria-invalid="true"') == 1


def test_a_problem_with_the_title_is_not_folded_away(stranger: Browser) -> None:
    """It is the last on the page: what stands above comes first."""
    page = stranger.post(f"/recipes/new/{LEDGER}", form_of(stranger, LEDGER, title=" ")).text
    assert '<details class="mt-4" open><summary>Name' in page
    assert re.search(r'id="title"[^>]* aria-invalid="true" aria-describedby="title-help" autofocus', page)


def test_a_recipe_is_made_once_more(engine: Engine, stranger: Browser) -> None:
    """Product A to one table, product B to another: from the page of the first, with a title of its own."""
    first = stranger.post(f"/recipes/new/{LEDGER}", form_of(stranger, LEDGER)).location
    another = f"/recipes/another/{LEDGER}"
    assert f'href="{another}"' in stranger.get(first).text
    form = stranger.fields(another, "recipe")
    (title,) = cast(list[str], form["title"])
    assert title.endswith(" (2)")
    second = stranger.post(another, {**form, "do": "save-on"}).location
    assert second != first
    assert title in stranger.get("/recipes").text
    assert stranger.fields(another, "recipe")["title"] == [title.replace("(2)", "(3)")]
    refused = stranger.post(another, {**form, "do": "save-on"})
    assert refused.status_code == 422
    assert f"There is already a recipe called “{title}”: give it another title." in html.unescape(refused.text)


def test_preview_shows_the_last_real_event(owner: Browser, world: World, slack: StandIn) -> None:
    """While typing, without asking the service; the label of what was chosen stands for its id."""
    owner.get(f"/recipes/{world.recipe_id}")
    slack.calls.clear()
    answer = owner.post(f"/recipes/{world.recipe_id}", filled(world, do="preview"))
    assert f'href="/activity/events/{world.event_id}"' in answer.text
    assert "#reviews" in answer.text
    assert "<html" not in answer.text
    assert slack.calls == []


def test_an_older_page_does_not_save_over_a_newer_one_unasked(
    engine: Engine, owner: Browser, world: World, slack: StandIn
) -> None:
    """What was entered stands there still, with who saved meanwhile; a second press takes its place."""
    url = f"/recipes/{world.recipe_id}"
    first, second = owner.fields(url, "recipe"), owner.fields(url, "recipe")
    owner.post(url, {**first, "steps.0.fields.text": "From the first", "do": "save"})
    refused = owner.post(url, {**second, "steps.0.fields.text": "From the second", "do": "save"})
    assert refused.status_code == 409
    assert "Not saved yet. You saved this recipe" in refused.text
    assert "From the second</textarea>" in refused.text
    assert "From the first</textarea>" in owner.get(url).text
    version = re.search(r'name="version" value="(\d+)"', refused.text)
    assert version
    owner.post(url, {**second, "version": version[1], "steps.0.fields.text": "From the second", "do": "save"})
    assert "From the second</textarea>" in owner.get(url).text


def test_nor_does_a_first_set_up_that_came_second(engine: Engine, stranger: Browser) -> None:
    """Two people set up the same one."""
    url = f"/recipes/new/{LEDGER}"
    mine, theirs = form_of(stranger, LEDGER, title="Mine"), form_of(stranger, LEDGER, title="Theirs")
    made = stranger.post(url, {**theirs, "do": "save"}).location
    refused = stranger.post(url, {**mine, "do": "save"})
    assert refused.status_code == 409
    assert 'value="Mine"' in refused.text
    assert f'href="{made}">show the newer one' in refused.text
    assert 'value="Theirs"' in stranger.get(made).text


def test_preview_takes_only_events_that_the_recipe_would_take(
    engine: Engine, owner: Browser, world: World, slack: StandIn
) -> None:
    """A live recipe is not shown with a test's made-up buyer; a sample of ours is nobody's last one."""
    url = f"/recipes/{world.recipe_id}"
    with transaction(engine) as session:
        session.get_one(Event, world.event_id).mode = Mode.TEST
    assert "Tried with a sample: no live one has come in yet." in owner.post(url, filled(world, do="preview")).text
    for runs_on in ("test", "both"):
        page = owner.post(url, filled(world, do="preview", runs_on=runs_on)).text
        assert f'href="/activity/events/{world.event_id}"' in page
    with transaction(engine) as session:
        session.get_one(Event, world.event_id).origin = Origin.SAMPLE
    assert "Tried with a sample" in owner.post(url, filled(world, do="preview", runs_on="both")).text


def test_preview_shows_a_sample_where_nothing_has_come_yet(stranger: Browser) -> None:
    """And says so."""
    assert "Tried with a sample" in stranger.get(f"/recipes/new/{LEDGER}").text


def test_preview_says_what_keeps_columns_from_being_filled(stranger: Browser) -> None:
    """Two of a name cannot both be shown."""
    form = form_of(stranger, LEDGER, do="preview") | {f"{COLUMNS}__name": ["A", "A"], f"{COLUMNS}__text": ["1", "2"]}
    assert "Columns: two have the same name." in stranger.post(f"/recipes/new/{LEDGER}", form).text


def test_preview_says_that_an_event_would_be_skipped(owner: Browser, world: World, slack: StandIn) -> None:
    """Each condition with how it falls out."""
    form = filled(world, do="preview", fact="review.rating", operator="more_than", value="99")
    assert "This event would be skipped." in owner.post(f"/recipes/{world.recipe_id}", form).text


def test_refresh_keeps_everything_and_saves_nothing(
    engine: Engine, owner: Browser, world: World, slack: StandIn
) -> None:
    """The way without a script: another row, other choices, a new preview."""
    form = filled(world, do="refresh", fact="review.rating", operator="is", value="5", title="Renamed")
    answer = owner.post(f"/recipes/{world.recipe_id}", form)
    assert answer.text.count('name="fact"') == 2
    assert 'value="Renamed"' in answer.text
    assert recipe(engine, world.recipe_id).version == 1


def test_what_a_buyer_wrote_never_becomes_markup(engine: Engine, owner: Browser, world: World, slack: StandIn) -> None:
    """Templates escape; this would notice if one stopped."""
    form = filled(world, do="preview")
    form["steps.0.fields.text"] = "<script>alert(1)</script>"
    answer = owner.post(f"/recipes/{world.recipe_id}", form)
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_a_recipe_with_an_action_that_is_gone_says_so(engine: Engine, owner: Browser, world: World) -> None:
    """An older version's recipe does not break the page."""
    with transaction(engine) as session:
        version = session.exec(select(RecipeVersion).where(RecipeVersion.recipe_id == world.recipe_id)).one()
        step = {"app": "slack", "action": "wave", "connection_id": world.connection_id, "fields": {}}
        version.definition = {**version.definition, "steps": [step]}
    answer = owner.get(f"/recipes/{world.recipe_id}")
    assert (answer.status_code, "does not have any more" in answer.text) == (410, True)


def test_an_unknown_recipe_is_not_found(owner: Browser) -> None:
    """Addresses are typed by hand, too."""
    assert owner.get("/recipes/new/no.such/recipe").status_code == 404
    assert owner.get("/recipes/99999").status_code == 404
