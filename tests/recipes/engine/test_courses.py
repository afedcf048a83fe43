"""An answer about a step that nobody is sure about is for that step, not for the next one."""

import pytest

from recipes import engine as runs
from recipes.db import reading, transaction
from recipes.models import RunState
from tests.conftest import both_databases
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen, step

pytestmark = both_databases


@pytest.mark.parametrize("was_done", [True, False])
def test_an_answer_from_an_older_page_is_not_taken_for_the_next_step(
    kitchen: Kitchen, slack: Vendor, was_done: bool
) -> None:
    """Two people have the page open: one's word settles the first step, the other's must not settle the second."""
    connection = kitchen.connect("slack")
    texts = ("first", "second")
    kitchen.recipe(
        "review.created", *(step("slack", "post_message", connection, channel="C1", text=text) for text in texts)
    )
    slack.answers["POST /conversations.history"] = answer({"ok": False, "error": "missing_scope"})
    slack.answers["POST /chat.postMessage"] = answer("", 500)
    kitchen.deliver("review.created", {"rating": 5, "review": {"id": "r1"}})
    _until_it_needs_a_word(kitchen)
    with reading(kitchen.engine) as session:
        seen = runs.courses(session, [1])[1]
    _answer(kitchen, seen, was_done=True)
    _until_it_needs_a_word(kitchen)
    assert kitchen.runs()[0].step == 1
    with pytest.raises(runs.GoneOn, match="gone on meanwhile"):
        _answer(kitchen, seen, was_done=was_done)
    assert kitchen.states() == [RunState.UNSURE]


def _until_it_needs_a_word(kitchen: Kitchen) -> None:
    for _ in range(4):
        kitchen.work()
        kitchen.later(minutes=3)
    assert kitchen.states() == [RunState.UNSURE]


def _answer(kitchen: Kitchen, seen: str, *, was_done: bool) -> None:
    with transaction(kitchen.engine) as session:
        runs.answer(session, kitchen.endpoint.merchant_id, 1, was_done=was_done, now=kitchen.now, seen=seen)
