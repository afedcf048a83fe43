"""Definitions survive the way into the database and back, and refuse what they do not know."""

import json

import pytest
from pydantic import ValidationError

from recipes.definition import Condition, Definition, Step


def test_a_definition_survives_json() -> None:
    """Whole numbers, yes and no, and columns keep their type: True must not come back as 1."""
    fields: dict[str, str | int | bool | dict[str, str]] = {
        "text": "Hello {{ buyer.email }}",
        "count": 1,
        "toggle": True,
        "columns": {"E-mail": "{{ buyer.email }}"},
    }
    definition = Definition(
        event="order.completed",
        match="any",
        conditions=[Condition(fact="order.amount", operator="at_least", value="50")],
        steps=[Step(app="slack", action="post_message", connection_id=7, fields=fields, labels={"channel": "#sales"})],
    )
    back = Definition.model_validate(json.loads(json.dumps(definition.model_dump(mode="json"))))
    assert back == definition
    assert back.steps[0].fields["toggle"] is True
    assert type(back.steps[0].fields["count"]) is int


def test_a_step_without_a_wait_is_stored_as_before_there_were_any() -> None:
    """And what was stored then still loads; one with a wait keeps it."""
    old = {"app": "slack", "action": "post_message", "connection_id": 7, "fields": {}, "labels": {}}
    assert Step.model_validate(old).model_dump(mode="json") == old
    assert Step.model_validate(old | {"wait": ""}).model_dump(mode="json") == old
    assert Step.model_validate(old | {"wait": " 1 Days"}).model_dump(mode="json") == old | {"wait": "1 day"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "order.completed", "steps": []},
        {"event": "order.completed", "steps": [{"app": "slack", "action": "post_message"}], "match": "some"},
        {"event": "order.completed", "steps": [{"app": "slack", "action": "post_message", "colour": "red"}]},
        {"event": "order.completed", "steps": [{"app": "slack", "action": "post_message", "wait": "soon"}]},
    ],
)
def test_a_definition_that_could_not_run_is_refused(wrong: dict[str, object]) -> None:
    """A recipe without a step, or with a word nobody acts on, is never stored."""
    with pytest.raises(ValidationError):
        Definition.model_validate(wrong)
