"""What is left out of a run is that step alone, and counts for what it is: nothing was given, and nothing taken."""

from typing import Any

import pytest

from recipes import engine as runs
from recipes import ledger
from recipes.db import reading, transaction
from recipes.models import AttemptResult, Recipe, RecipeVersion, Run, RunState
from tests.conftest import both_databases
from tests.integrations.vendor import Vendor
from tests.recipes.engine.kitchen import Kitchen, step
from tests.recipes.engine.test_still_given import CREATED, DELETED, PAUSED, connection, deliver, last, only, tag, tags

__all__ = ["connection"]
pytestmark = both_databases

RESUMED, PAID = "customer.subscription.resumed", "invoice.payment_succeeded"
ALSO = "The buyer also has a subscription, since 24 July, that gives the same. Nothing was taken."


def _row(kitchen: Kitchen) -> dict[str, Any]:
    return step("ledger", "put_row", kitchen.connect("ledger"), table="T", key="k", columns={"Who": "x"})


def _two(kitchen: Kitchen) -> None:
    deliver(kitchen, CREATED, "one")
    deliver(kitchen, CREATED, "two")
    kitchen.work()
    kitchen.later(days=1)


def test_the_next_step_is_done(kitchen: Kitchen, mailchimp: Vendor) -> None:
    """Another subscription gives one of the two tags. The run's page says which step was left out, and why."""
    number = kitchen.connect("mailchimp")
    kitchen.recipe(CREATED, tag("add_tag", number))
    kitchen.recipe(CREATED, tag("add_tag", number, "pro"), **only("pro"))
    kitchen.recipe(DELETED, tag("remove_tag", number), tag("remove_tag", number, "pro"), **only("pro"))
    deliver(kitchen, CREATED, "basic", "basic")
    deliver(kitchen, CREATED, "s-pro", "pro")
    kitchen.work()
    deliver(kitchen, DELETED, "s-pro", "pro")
    kitchen.work()
    assert tags(mailchimp)[3:] == [("pro", False)]
    assert last(kitchen)[0] == RunState.SUCCEEDED
    with reading(kitchen.engine) as session:
        detail = ledger.run_detail(session, kitchen.endpoint.merchant_id, kitchen.runs()[-1].id or 0)
    assert detail is not None
    assert [each.progress for each in detail.steps] == ["skipped", "done"]
    first = detail.attempts[0]
    assert (first.result, first.outcome) == (AttemptResult.SKIPPED, ALSO)


def test_a_row_is_written_whatever_is_not_taken(kitchen: Kitchen, connection: int, mailchimp: Vendor) -> None:
    """Before the removal or after it."""
    kitchen.recipe(PAUSED, tag("remove_tag", connection), _row(kitchen), tag("remove_tag", connection))
    _two(kitchen)
    deliver(kitchen, PAUSED, "one")
    kitchen.work()
    results = [each.result for each in kitchen.attempts() if each.run_id == kitchen.runs()[-1].id]
    assert results == [AttemptResult.SKIPPED, AttemptResult.SUCCEEDED, AttemptResult.SKIPPED]
    assert last(kitchen) == (RunState.SUCCEEDED, ALSO)
    with pytest.raises(runs.UndoneSince):
        kitchen.run_again(3)
    kitchen.run_again(3, all_the_same=True)
    kitchen.work()
    assert len(kitchen.runs()) == 3
    assert tags(mailchimp)[2:] == [("member", False)]


def test_a_run_of_which_nothing_was_done_is_skipped_and_repeated_whole(
    kitchen: Kitchen, connection: int, mailchimp: Vendor
) -> None:
    """Two steps, both left out."""
    kitchen.recipe(PAUSED, tag("remove_tag", connection), tag("remove_tag", connection))
    _two(kitchen)
    deliver(kitchen, PAUSED, "one")
    kitchen.work()
    assert last(kitchen) == (RunState.SKIPPED, ALSO)
    kitchen.run_again(3, all_the_same=True)
    kitchen.work()
    assert tags(mailchimp)[2:] == [("member", False)] * 2


def test_an_end_that_was_left_out_takes_nothing_once_the_subscription_goes_on(
    kitchen: Kitchen, connection: int, mailchimp: Vendor
) -> None:
    """It came back to life before anything was taken for it: another's end leaves its tag."""
    _two(kitchen)
    with transaction(kitchen.engine) as session:
        runs.hold(session, connection, reason="…", now=kitchen.now)
    deliver(kitchen, DELETED, "one")
    kitchen.later(hours=1)
    deliver(kitchen, RESUMED, "one")
    kitchen.release(connection)
    kitchen.work()
    assert last(kitchen) == (RunState.SKIPPED, "This subscription goes on again. Nothing was taken.")
    deliver(kitchen, DELETED, "two")
    kitchen.work()
    assert last(kitchen) == (RunState.SKIPPED, ALSO)
    deliver(kitchen, DELETED, "one")
    kitchen.work()
    assert tags(mailchimp)[2:] == [("member", False)]


def test_a_pause_that_was_left_out_takes_nothing_after_the_resumption(
    kitchen: Kitchen, connection: int, mailchimp: Vendor
) -> None:
    """No recipe gives at a resumption, as nothing was taken."""
    kitchen.recipe(PAUSED, tag("remove_tag", connection), _row(kitchen))
    _two(kitchen)
    deliver(kitchen, PAUSED, "one")
    kitchen.work()
    kitchen.later(days=1)
    deliver(kitchen, RESUMED, "one")
    deliver(kitchen, DELETED, "two")
    kitchen.work()
    assert last(kitchen) == (RunState.SKIPPED, ALSO)
    deliver(kitchen, PAUSED, "one")
    kitchen.work()
    assert tags(mailchimp)[2:] == [("member", False)]


def test_what_was_not_given_in_a_run_that_went_on_gives_nothing(
    kitchen: Kitchen, connection: int, mailchimp: Vendor
) -> None:
    """The subscription ended while its grant waited, and then went on: nothing was ever given for it."""
    given_late = kitchen.recipe(PAID, tag("add_tag", connection, "late"), _row(kitchen))
    kitchen.recipe(PAUSED, tag("remove_tag", connection, "late"))
    with transaction(kitchen.engine) as session:
        runs.hold(session, connection, reason="…", now=kitchen.now)
    deliver(kitchen, PAID, "one")
    kitchen.later(hours=1)
    deliver(kitchen, DELETED, "one")
    kitchen.release(connection)
    kitchen.work()
    assert [run.state for run in kitchen.runs() if run.recipe_id == given_late] == [RunState.SUCCEEDED]
    deliver(kitchen, RESUMED, "one")
    deliver(kitchen, PAUSED, "two")
    kitchen.work()
    assert tags(mailchimp)[-1] == ("late", False)


def test_hundreds_of_other_runs_hide_no_gift(kitchen: Kitchen, connection: int, mailchimp: Vendor) -> None:
    """Of one buyer over the years, by recipes that neither give nor take the like."""
    for _ in range(21):
        kitchen.recipe(PAID, _row(kitchen))
    _two(kitchen)
    for _ in range(10):
        kitchen.later(days=2)
        deliver(kitchen, PAID, "two")
    kitchen.work()
    assert len(kitchen.runs()) > 200
    deliver(kitchen, DELETED, "one")
    kitchen.work()
    assert last(kitchen)[0] == RunState.SKIPPED


def test_too_many_gifts_are_left_to_the_merchant(kitchen: Kitchen, connection: int, mailchimp: Vendor) -> None:
    """Nothing is taken where not all of them could be looked at. Those on a connection that is gone count."""
    for _ in range(20):
        kitchen.recipe(PAID, tag("add_tag", None, "other"))
    _two(kitchen)
    for _ in range(10):
        kitchen.later(days=2)
        deliver(kitchen, PAID, "two")
    kitchen.work()
    deliver(kitchen, DELETED, "one")
    kitchen.work()
    assert last(kitchen)[0] == RunState.UNSURE
    assert "so nothing was taken" in last(kitchen)[1]
    assert ("member", False) not in tags(mailchimp)


def _change(kitchen: Kitchen, recipe_id: int, *steps: dict[str, Any]) -> None:
    """Saves the recipe with other steps."""
    with transaction(kitchen.engine) as session:
        session.get_one(Recipe, recipe_id).version = 2
        definition = {"event": DELETED, "steps": list(steps)}
        session.add(RecipeVersion(recipe_id=recipe_id, version=2, definition=definition, created_at=kitchen.now))


def _fail_at_the_last_step(kitchen: Kitchen, run_id: int, state: RunState = RunState.FAILED) -> None:
    with transaction(kitchen.engine) as session:
        session.get_one(Run, run_id).state = state


def test_run_again_asks_about_the_steps_that_will_be_done(kitchen: Kitchen, connection: int) -> None:
    """The recipe has other steps by now; the run goes on with its own, from where it failed."""
    taking = kitchen.recipe(DELETED, _row(kitchen), tag("remove_tag", connection))
    writing = kitchen.recipe(DELETED, tag("remove_tag", connection), _row(kitchen))
    deliver(kitchen, CREATED, "one")
    deliver(kitchen, DELETED, "one")
    kitchen.work()
    deliver(kitchen, CREATED, "two", "another offer")
    kitchen.work()
    run_ids = {run.recipe_id: run.id or 0 for run in kitchen.runs()}
    for recipe_id in (taking, writing):
        _fail_at_the_last_step(kitchen, run_ids[recipe_id])
    _change(kitchen, taking, _row(kitchen))
    with pytest.raises(runs.UndoneSince, match="The buyer also has a subscription"):
        kitchen.run_again(run_ids[taking])
    _change(kitchen, writing, tag("remove_tag", connection))
    kitchen.run_again(run_ids[writing])


def test_taking_a_removal_as_done_does_not_ask_about_it(kitchen: Kitchen, connection: int) -> None:
    """What follows takes nothing."""
    recipe = kitchen.recipe(DELETED, tag("remove_tag", connection), _row(kitchen))
    deliver(kitchen, CREATED, "one")
    deliver(kitchen, DELETED, "one")
    kitchen.work()
    deliver(kitchen, CREATED, "two", "another offer")
    kitchen.work()
    run_id = next(run.id for run in kitchen.runs() if run.recipe_id == recipe)
    with transaction(kitchen.engine) as session:
        run = session.get_one(Run, run_id)
        run.state, run.step = RunState.UNSURE, 0
    kitchen.mark_done(run_id)
    kitchen.work()
    assert next(run.state for run in kitchen.runs() if run.recipe_id == recipe) == RunState.SUCCEEDED
