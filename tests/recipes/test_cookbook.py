"""The cookbook: what is on the shelf, what can be saved, and what switching on and off means."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from recipes import connections, cookbook
from recipes import engine as runs
from recipes.cookbook import CookbookError, Draft
from recipes.db import reading, transaction
from recipes.definition import Condition, Definition
from recipes.models import Merchant, Recipe, RecipeVersion, RunsOn, RunState
from recipes.prebuilt import PREBUILT
from recipes.settings import Settings, load_settings
from recipes.vault import Vault
from tests.conftest import NOW, both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, order

pytestmark = both_databases

LEDGER = "order.completed/ledger-row"
SLACK = "review.created/slack-message"
REVIEW = {
    "review": {"id": "r1", "rating": 5, "review": "Good <b>"},
    "product": {"id": "p1"},
    "customer": {"email": "jane@example.com"},
}


@pytest.fixture
def mine(merchant: Merchant) -> int:
    """The merchant's id."""
    return merchant.id or 0


@pytest.fixture
def stranger(engine: Engine) -> int:
    """Another merchant's id."""
    with transaction(engine) as session:
        other = Merchant(name="Eve's", created_at=NOW)
        session.add(other)
    return other.id or 0


@pytest.fixture
def connection(engine: Engine, vault: Vault, mine: int) -> int:
    """A connection to Slack."""
    return connect(engine, vault, mine)


def connect(engine: Engine, vault: Vault, merchant_id: int, name: str = "Our team") -> int:
    with transaction(engine) as session:
        values = {"bot_token": "xoxb-1234567890-abcdef"}
        return connections.add(session, vault, merchant_id, "slack", name, values, NOW).id or 0


def draft(session: Session, merchant_id: int, name: str = SLACK, **fields: Any) -> Draft:
    made = cookbook.draft_from_prebuilt(session, merchant_id, name)
    assert made is not None
    (step,) = made.steps
    labels = {"channel": "#reviews"} if "channel" in fields else {}
    return replace(made, steps=[replace(step, fields={**step.fields, **fields}, labels=labels)])


def save(session: Session, vault: Vault, merchant_id: int, made: Draft) -> Recipe:
    return cookbook.save(session, vault, merchant_id, made, by="ada@example.com", now=NOW)


def entry(session: Session, merchant_id: int, name: str) -> cookbook.ShelfEntry:
    (found,) = [each for group in cookbook.shelf(session, merchant_id) for each in group.entries if each.name == name]
    return found


# ── The shelf ────────────────────────────────────────────────────────────────────────────────────────────


def test_every_shipped_recipe_is_on_the_shelf_under_its_event(engine: Engine, mine: int) -> None:
    with reading(engine) as session:
        groups = cookbook.shelf(session, mine)
    assert [each.name for group in groups for each in group.entries] == list(PREBUILT)
    assert len(groups) == 20
    for group in groups:
        for each in group.entries:
            assert each.name.startswith(group.event.name + "/")
            assert (each.recipe_id, each.enabled) == (None, False)


def test_what_has_to_be_connected_first_is_told(engine: Engine, mine: int) -> None:
    with reading(engine) as session:
        assert entry(session, mine, SLACK).missing == ["slack"]
        assert entry(session, mine, LEDGER).missing == []


def test_the_sentence_tells_what_was_chosen(engine: Engine, vault: Vault, mine: int, connection: int) -> None:
    with transaction(engine) as session:
        assert entry(session, mine, SLACK).sentence == "When a buyer leaves a review, post it to Slack."
        save(session, vault, mine, draft(session, mine, channel="C1"))
        assert entry(session, mine, SLACK).sentence == "When a buyer leaves a review, post it to Slack #reviews."


def test_a_title_and_conditions_of_ones_own_are_told_beside_the_sentence(
    engine: Engine, vault: Vault, mine: int, connection: int
) -> None:
    rating, product = (
        Condition(fact="review.rating", operator="at_most", value="3"),
        Condition(fact="product.name", operator="is_not_empty"),
    )
    with transaction(engine) as session:
        made = draft(session, mine, channel="C1")
        save(session, vault, mine, made)
        shipped = entry(session, mine, SLACK)
        save(session, vault, mine, replace(made, title="Bad reviews", conditions=(rating, product)))
        own = entry(session, mine, SLACK)
        save(session, vault, mine, replace(made, title="Bad reviews", conditions=(rating, product), match="any"))
        either = entry(session, mine, SLACK)
    assert (shipped.own_title, shipped.only_if) == ("", "")
    assert (own.own_title, own.sentence) == ("Bad reviews", shipped.sentence)
    assert own.only_if == "Only if the review rating is at most 3 and the product name is not empty."
    assert either.only_if == "Only if the review rating is at most 3 or the product name is not empty."


def test_a_paused_connection_shows_on_the_shelf(engine: Engine, vault: Vault, mine: int, connection: int) -> None:
    with transaction(engine) as session:
        save(session, vault, mine, draft(session, mine, channel="C1"))
        runs.hold(session, connection, reason="…", now=NOW)
        assert entry(session, mine, SLACK).waits_for == "Our team"


# ── Saving ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_only_connection_is_filled_in(
    engine: Engine, vault: Vault, mine: int, stranger: int, connection: int
) -> None:
    connect(engine, vault, stranger)
    with reading(engine) as session:
        assert draft(session, mine).steps[0].connection_id == connection
    connect(engine, vault, mine, "Other team")
    with reading(engine) as session:
        assert draft(session, mine).steps[0].connection_id is None


def test_each_save_is_a_new_version_and_the_old_ones_stay(
    engine: Engine, vault: Vault, mine: int, connection: int
) -> None:
    with transaction(engine) as session:
        first = save(session, vault, mine, draft(session, mine, channel="C1"))
        again = save(session, vault, mine, draft(session, mine, channel="C2"))
    assert first.id == again.id
    with reading(engine) as session:
        versions = session.exec(select(RecipeVersion).order_by(RecipeVersion.version)).all()  # type: ignore[arg-type]
        kept = cookbook.draft_of_recipe(session, mine, first.id or 0)
    assert [Definition.model_validate(each.definition).steps[0].fields["channel"] for each in versions] == ["C1", "C2"]
    assert versions[0].created_by == "ada@example.com"
    assert kept is not None
    assert kept.steps[0].labels == {"channel": "#reviews"}


def test_saving_twice_in_a_hurry_makes_one_recipe(engine: Engine, vault: Vault, mine: int, connection: int) -> None:
    """Two would post every review twice."""
    for _ in range(2):
        with transaction(engine) as session:
            save(session, vault, mine, draft(session, mine, channel="C1"))
    with reading(engine) as session:
        assert len(session.exec(select(Recipe)).all()) == 1


def test_another_of_the_kind_needs_a_title_of_its_own(engine: Engine, vault: Vault, mine: int, connection: int) -> None:
    with transaction(engine) as session:
        save(session, vault, mine, draft(session, mine, channel="C1"))
        second = replace(draft(session, mine, channel="C2"), another=True, title="Bad reviews")
        assert save(session, vault, mine, second).name == f"{SLACK}-bad-reviews"
        with pytest.raises(CookbookError) as refused:
            save(session, vault, mine, second)
        assert list(refused.value.problems) == ["title"]
        names = [each.name for group in cookbook.shelf(session, mine) for each in group.entries if each.recipe_id]
    assert names == [SLACK, f"{SLACK}-bad-reviews"]


def test_the_ledger_connects_itself_once(engine: Engine, vault: Vault, mine: int) -> None:
    with transaction(engine) as session:
        for name in (LEDGER, "order.refunded/ledger-row"):
            save(session, vault, mine, draft(session, mine, name))
        assert [each.app for each in connections.of_merchant(session, mine)] == ["ledger"]


@pytest.mark.parametrize(
    ("fields", "place", "sentence"),
    [
        ({}, "steps.0.fields.channel", "Channel is missing"),
        ({"channel": "C1", "text": " "}, "steps.0.fields.text", "Message is missing"),
        ({"channel": "C1", "text": "{{ buyer.mail }}"}, "steps.0.fields.text", "buyer.mail"),
        ({"channel": "C1", "text": "{% for"}, "steps.0.fields.text", ""),
        ({"channel": "C1", "color": "red"}, "steps.0.fields.color", "no field called color"),
    ],
)
def test_wrong_fields_are_refused_where_they_are(
    engine: Engine, vault: Vault, mine: int, connection: int, fields: dict[str, str], place: str, sentence: str
) -> None:
    with transaction(engine) as session, pytest.raises(CookbookError) as refused:
        save(session, vault, mine, draft(session, mine, **fields))
    assert list(refused.value.problems) == [place]
    assert sentence in refused.value.problems[place]
    with reading(engine) as session:
        assert session.exec(select(Recipe)).all() == []


@pytest.mark.parametrize(
    ("columns", "place", "sentence"),
    [
        ({}, "", "Columns is missing"),
        ("text", "", "pairs"),
        ({"A": "1", "": "x"}, ".1.name", "a name is empty"),
        ({"A": "1", "Who": "{{ nobody }}"}, ".1.text", "Who: There is no fact"),
        ([("A", "1"), ("A", "2")], ".1.name", "two called A"),
    ],
)
def test_wrong_columns_are_refused_at_their_row(
    engine: Engine, vault: Vault, mine: int, columns: Any, place: str, sentence: str
) -> None:
    with transaction(engine) as session, pytest.raises(CookbookError, match=sentence) as refused:
        save(session, vault, mine, draft(session, mine, LEDGER, columns=columns))
    assert list(refused.value.problems) == [f"steps.0.fields.columns{place}"]


def test_a_wrong_condition_title_and_connection_are_told_together(
    engine: Engine, vault: Vault, mine: int, stranger: int, connection: int
) -> None:
    theirs = connect(engine, vault, stranger)
    with transaction(engine) as session:
        made = draft(session, mine, channel="C1")
        step = replace(made.steps[0], connection_id=theirs)
        condition = Condition(fact="review.rating", operator="at_most", value="many")
        wrong = replace(made, title=" ", steps=[step], conditions=(condition,))
        with pytest.raises(CookbookError) as refused:
            save(session, vault, mine, wrong)
    assert list(refused.value.problems) == ["title", "conditions.0", "steps.0.connection"]


def test_a_connection_of_another_service_is_refused(engine: Engine, vault: Vault, mine: int, connection: int) -> None:
    with transaction(engine) as session:
        made = draft(session, mine, LEDGER)
        wrong = replace(made, steps=[replace(made.steps[0], connection_id=connection)])
        with pytest.raises(CookbookError, match="Our team is not a connection to Ledger"):
            save(session, vault, mine, wrong)


def test_a_stranger_neither_finds_nor_changes_a_recipe(
    engine: Engine, vault: Vault, mine: int, stranger: int, connection: int
) -> None:
    connect(engine, vault, stranger)
    with transaction(engine) as session:
        recipe = save(session, vault, mine, draft(session, mine, channel="C1"))
        number = recipe.id or 0
        assert cookbook.draft_of_recipe(session, stranger, number) is None
        assert cookbook.find_recipe(session, stranger, recipe.name) is None
        for attempt in (
            lambda: cookbook.enable(session, stranger, number, NOW),
            lambda: cookbook.disable(session, stranger, number, NOW),
            lambda: save(session, vault, stranger, replace(draft(session, stranger, channel="C1"), recipe_id=number)),
        ):
            with pytest.raises(CookbookError):
                attempt()
    assert not recipe.enabled


# ── On and off ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_recipe_is_off_and_takes_what_comes_once_it_is_on(kitchen: Kitchen, vault: Vault) -> None:
    mine = kitchen.endpoint.merchant_id
    with transaction(kitchen.engine) as session:
        recipe = save(session, vault, mine, draft(session, mine, LEDGER))
    kitchen.deliver("order.completed", order(1))
    kitchen.work()
    assert kitchen.states() == []
    kitchen.later(hours=1)
    with transaction(kitchen.engine) as session:
        assert cookbook.enable(session, mine, recipe.id or 0, kitchen.now).enabled_at == kitchen.now
        assert cookbook.enable(session, mine, recipe.id or 0, kitchen.now + timedelta(1)).enabled_at == kitchen.now
    kitchen.deliver("order.completed", order(2))
    kitchen.work()
    assert kitchen.states() == [RunState.SUCCEEDED]


def test_a_recipe_whose_connection_is_gone_is_not_switched_on(
    engine: Engine, vault: Vault, mine: int, connection: int
) -> None:
    with transaction(engine) as session:
        recipe = save(session, vault, mine, draft(session, mine, channel="C1"))
        connections.remove(session, mine, connection)
        with pytest.raises(CookbookError, match="is not there any more"):
            cookbook.enable(session, mine, recipe.id or 0, NOW)


@pytest.mark.parametrize(
    ("cancel", "sentence", "states"),
    [
        (False, "2 runs are still under way and will finish.", [RunState.RUNNING, RunState.QUEUED]),
        (True, "1 waiting run was cancelled. 1 run is still under way", [RunState.RUNNING, RunState.CANCELLED]),
    ],
)
def test_switching_off_says_what_becomes_of_runs_under_way(
    kitchen: Kitchen, vault: Vault, cancel: bool, sentence: str, states: list[RunState]
) -> None:
    mine = kitchen.endpoint.merchant_id
    with transaction(kitchen.engine) as session:
        recipe = save(session, vault, mine, draft(session, mine, LEDGER))
        cookbook.enable(session, mine, recipe.id or 0, kitchen.now)
    for number in (1, 2):
        kitchen.deliver("order.completed", order(number))
    kitchen.claim(limit=1)
    with transaction(kitchen.engine) as session:
        disabled = cookbook.disable(session, mine, recipe.id or 0, kitchen.now, cancel_waiting=cancel)
    assert sentence in disabled.sentence
    assert kitchen.states() == states
    kitchen.deliver("order.completed", order(3))
    kitchen.claim(limit=0)
    assert len(kitchen.states()) == 2


def test_what_is_under_way_keeps_the_version_it_began_with(kitchen: Kitchen, vault: Vault) -> None:
    mine = kitchen.endpoint.merchant_id
    with transaction(kitchen.engine) as session:
        recipe = save(session, vault, mine, draft(session, mine, LEDGER, table="Before"))
        cookbook.enable(session, mine, recipe.id or 0, kitchen.now)
    kitchen.deliver("order.completed", order(1))
    claimed = kitchen.claim()
    with transaction(kitchen.engine) as session:
        save(session, vault, mine, draft(session, mine, LEDGER, table="After"))
    kitchen.finish(claimed)
    assert kitchen.runs()[0].outcome == "Row order_1 added to Before."


# ── Trying it out ────────────────────────────────────────────────────────────────────────────────────────


def test_a_preview_is_made_of_the_sample_until_there_is_a_real_event(kitchen: Kitchen, vault: Vault) -> None:
    mine = kitchen.endpoint.merchant_id
    with reading(kitchen.engine) as session:
        made = draft(session, mine, channel="C1", text="{{ buyer.email }}: {{ review.text }}")
        first = cookbook.preview(session, mine, made, NOW)
    kitchen.deliver("review.created", REVIEW)
    with reading(kitchen.engine) as session:
        second = cookbook.preview(session, mine, made, NOW)
        of_another = cookbook.preview(session, mine + 1, made, NOW)
    assert first is not None
    assert first.event_id is None
    assert second is not None
    assert second.event_id is not None
    assert second.steps[0].fields == [("Channel", "#reviews"), ("Message", "jane@example.com: Good &lt;b&gt;")]
    assert of_another is not None
    assert of_another.event_id is None


def test_a_preview_shows_conditions_and_mistakes(engine: Engine, mine: int) -> None:
    with reading(engine) as session:
        made = draft(session, mine, channel="C1", text="{{ nothing.here }}")
        never = Condition(fact="review.rating", operator="more_than", value="5")
        preview = cookbook.preview(session, mine, replace(made, conditions=(never,)), NOW)
    assert preview is not None
    assert not preview.matches
    assert preview.conditions[0][1] is False
    assert preview.steps[0].problem
    assert preview.steps[0].fields == ()


def test_the_runs_side_of_a_recipe_is_kept(engine: Engine, vault: Vault, mine: int) -> None:
    with transaction(engine) as session:
        recipe = save(session, vault, mine, replace(draft(session, mine, LEDGER), runs_on=RunsOn.BOTH))
        again = cookbook.draft_of_recipe(session, mine, recipe.id or 0)
    assert again is not None
    assert again.runs_on is RunsOn.BOTH


# ── Choices ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def with_slack(settings: Settings, slack: Vendor) -> Settings:
    """Settings for a Slack on loopback with three channels, two of them of one name."""
    listed = [{"id": "C1", "name": "reviews"}, {"id": "C2", "name": "sales"}, {"id": "C3", "name": "sales"}]
    page = answer({"ok": True, "channels": listed, "response_metadata": {"next_cursor": ""}})
    slack.beside["GET /conversations.list"] = slack.beside["POST /conversations.list"] = page
    return load_settings(_env_file=None, data_dir=settings.data_dir, api_base={"slack": slack.url + "/"})


@pytest.mark.parametrize("given", ["C1", "#reviews", "#Reviews"])
def test_a_choice_can_be_given_by_id_or_by_what_people_read(
    engine: Engine, vault: Vault, mine: int, connection: int, with_slack: Settings, given: str
) -> None:
    with reading(engine) as session:
        made = draft(session, mine, channel=given)
    chosen, warnings = cookbook.with_labels(engine, vault, with_slack, mine, made)
    assert chosen.steps[0].fields["channel"] == "C1"
    assert chosen.steps[0].labels == {"channel": "#reviews"}
    assert warnings == []


@pytest.mark.parametrize("given", ["#nowhere", "#sales"])
def test_a_choice_that_is_not_there_or_not_clear_is_refused(
    engine: Engine, vault: Vault, mine: int, connection: int, with_slack: Settings, given: str
) -> None:
    with reading(engine) as session:
        made = draft(session, mine, channel=given)
    with pytest.raises(CookbookError) as refused:
        cookbook.with_labels(engine, vault, with_slack, mine, made)
    assert "#sales (C2), #sales (C3)" in refused.value.problems["steps.0.fields.channel"]


def test_a_service_that_is_away_does_not_keep_a_recipe_from_being_saved(
    engine: Engine, vault: Vault, mine: int, connection: int, settings: Settings, closed_port: int
) -> None:
    away = load_settings(
        _env_file=None, data_dir=settings.data_dir, api_base={"slack": f"http://127.0.0.1:{closed_port}/"}
    )
    with reading(engine) as session:
        made = draft(session, mine, channel="C1")
    chosen, (warning,) = cookbook.with_labels(engine, vault, away, mine, made)
    assert chosen.steps[0].fields["channel"] == "C1"
    assert chosen.steps[0].labels == {"channel": "#reviews"}
    assert warning.startswith("Channel “C1” could not be looked up. Slack could not be reached")
