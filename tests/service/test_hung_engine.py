"""An engine that hangs is replaced, and what it had under way goes on: a real process, stopped by the system."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.wrappers import Request, Response

from recipes.models import RunState
from tests.integrations.vendor import Vendor
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.service.running import Service, eventually

__all__ = ["kitchen", "mailchimp", "slack"]

ADD = "PUT /lists/{list_id}/members/{subscriber_hash}"


@pytest.fixture
def keeper(tmp_path: Path, kitchen: Kitchen, mailchimp: Vendor) -> Iterator[Service]:
    """A keeper with its engine, which may be silent for three seconds."""
    keeper = Service(
        tmp_path,
        {"mailchimp": mailchimp.url},
        command=["tests.service.quick_keeper"],
        # It is one of the tests' own modules.
        environment={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    keeper.launch()
    yield keeper
    keeper.end()


@pytest.mark.long
def test_a_stopped_engine_is_replaced_and_its_run_goes_on(kitchen: Kitchen, keeper: Service, mailchimp: Vendor) -> None:
    """It stands still in the middle of a call; nothing but its sign of life tells."""
    called, may_answer = threading.Event(), threading.Event()

    def slow(request: Request) -> Response:
        called.set()
        assert may_answer.wait(20)
        found = mailchimp.answers[ADD]
        assert isinstance(found, Response)
        return found

    mailchimp.script.append(slow)
    fields = {"audience": "a1b2c3", "email": "{{ buyer.email }}"}
    kitchen.recipe("order.completed", step("mailchimp", "add_subscriber", kitchen.connect("mailchimp"), **fields))
    kitchen.deliver("order.completed", order(1))
    assert called.wait(20)
    hung = keeper.children()["engine"]
    os.kill(hung, signal.SIGSTOP)
    may_answer.set()
    eventually(lambda: kitchen.states() == [RunState.SUCCEEDED], "the run's end")
    assert keeper.children()["engine"] != hung
    assert len(mailchimp.seen(ADD)) == 2
    assert [attempt.result for attempt in kitchen.attempts()] == ["interrupted", "succeeded"]
    assert keeper.stop() == 0
