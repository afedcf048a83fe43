"""What `recipe enable` is given lands in the right step and field."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from recipes import connections, cookbook
from recipes.cli.setting_up import Choices, apply
from recipes.cli.workplace import Refused
from recipes.cookbook import Draft, StepDraft
from recipes.db import transaction
from recipes.definition import Condition
from recipes.models import Merchant
from recipes.vault import Vault
from tests.conftest import NOW

TWO_STEPS = Draft(
    prebuilt=None,
    recipe_id=None,
    title="Post and keep",
    event="order.completed",
    steps=[
        StepDraft("slack", "post_message", None, {"channel": "C1", "text": "Hi"}, {"channel": "#sales"}),
        StepDraft("slack", "post_message", None, {"channel": "C2", "text": "Hi"}, {"channel": "#all"}),
        StepDraft("ledger", "put_row", None, {"key": "{{ order.id }}", "columns": {"A": "1", "B": "2"}}),
    ],
)


@pytest.fixture
def mine(engine: Engine, vault: Vault, merchant: Merchant) -> int:
    """The merchant's id; there are two connections to Slack and one to the Ledger."""
    mine = merchant.id or 0
    with transaction(engine) as session:
        for name in ("One", "Two"):
            values = {"bot_token": "xoxb-1234567890-abcdef"}
            connections.add(session, vault, mine, "slack", name, values, NOW)
        connections.add(session, vault, mine, "ledger", "Ledger", {}, NOW)
    return mine


def applied(session: Session, merchant_id: int, *names: str, **values: str) -> Draft:
    given = {name.replace("__", "."): value for name, value in values.items()}
    return apply(Choices(connections=names, values=given), session, merchant_id, TWO_STEPS)


def test_one_connection_is_for_every_step_of_its_service(engine: Engine, mine: int) -> None:
    with transaction(engine) as session:
        steps = applied(session, mine, "Two").steps
        number = connections.of_app(session, mine, "slack")[1].id
    assert [step.connection_id for step in steps] == [number, number, None]


def test_several_connections_are_for_the_steps_in_their_order(engine: Engine, mine: int) -> None:
    with transaction(engine) as session:
        steps = applied(session, mine, "One", "Two", "Ledger").steps
        numbers = [
            connections.of_app(session, mine, app)[place].id
            for app, place in (("slack", 0), ("slack", 1), ("ledger", 0))
        ]
        with pytest.raises(Refused, match="3 steps, but 2 connections"):
            applied(session, mine, "One", "Two")
    assert [step.connection_id for step in steps] == numbers


def test_a_field_that_several_steps_have_needs_the_steps_number(engine: Engine, mine: int) -> None:
    with transaction(engine) as session:
        with pytest.raises(Refused, match=r"as in 1\.text"):
            applied(session, mine, "One", text="Hello")
        steps = applied(session, mine, "One", **{"2.text": "Hello", "3.table": "Sales"}).steps
    assert [step.fields["text"] for step in steps[:2]] == ["Hi", "Hello"]
    assert steps[2].fields["table"] == "Sales"


def test_a_step_is_made_to_wait(engine: Engine, mine: int) -> None:
    """By the step's number where there are several; a column may be called so, too."""
    with transaction(engine) as session:
        given = {"2.wait": "3 days", "3.columns.wait": "x", "columns.Wait": "y"}
        steps = applied(session, mine, "One", **given).steps
        for wrong, said in (("wait", r"as in 2\.wait"), ("4.wait", "no step 4"), ("waits", "wait")):
            with pytest.raises(Refused, match=said):
                applied(session, mine, "One", **{wrong: "3 days"})
        alone = replace(TWO_STEPS, steps=[replace(TWO_STEPS.steps[0], wait="1 day")])
        changed = apply(Choices(("One",), {"wait": "2 days"}), session, mine, alone).steps[0]
        again = apply(Choices(("One",), {"wait": ""}), session, mine, alone).steps[0]
    assert [step.wait for step in steps] == ["", "3 days", ""]
    assert steps[2].fields["columns"] == {"A": "1", "B": "2", "wait": "x", "Wait": "y"}
    assert (changed.wait, changed.labels, again.wait) == ("2 days", {"channel": "#sales"}, "")


def test_a_label_is_not_kept_for_another_choice(engine: Engine, mine: int) -> None:
    with transaction(engine) as session:
        steps = applied(session, mine, "One", **{"1.channel": "C9"}).steps
    assert steps[0].labels == {}
    assert steps[1].labels == {"channel": "#all"}


def test_columns_are_added_changed_and_taken_away(engine: Engine, mine: int) -> None:
    with transaction(engine) as session:
        steps = applied(session, mine, "One", columns__A="", columns__B="3", columns__C="{{ buyer.email }}").steps
        with pytest.raises(Refused, match=r"no field called table\.x"):
            applied(session, mine, "One", table__x="1")
    assert steps[2].fields["columns"] == {"B": "3", "C": "{{ buyer.email }}"}


def test_conditions_are_a_fact_an_operator_and_the_rest(engine: Engine, mine: int) -> None:
    typed = ("order.amount at_least 100", "product.name contains  two words ", "buyer.email is_empty")
    with transaction(engine) as session:
        made: cookbook.Draft = apply(
            Choices(connections=("One",), conditions=typed, match="any", runs_on="both"), session, mine, TWO_STEPS
        )
    assert list(made.conditions) == [
        Condition(fact="order.amount", operator="at_least", value="100"),
        Condition(fact="product.name", operator="contains", value="two words"),
        Condition(fact="buyer.email", operator="is_empty"),
    ]
    assert (made.match, made.runs_on) == ("any", "both")
