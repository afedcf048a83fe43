"""An engine that hangs is replaced, and what it had under way goes on: a real process, stopped by the system."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from werkzeug.wrappers import Request, Response

from recipes.models import RunState
from recipes.service import EngineKeeper
from recipes.settings import Settings
from tests.integrations.vendor import Vendor
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.service.running import children_of, eventually

__all__ = ["kitchen", "mailchimp", "slack"]

ADD = "PUT /lists/{list_id}/members/{subscriber_hash}"


@pytest.fixture
def keeper(
    settings: Settings, kitchen: Kitchen, mailchimp: Vendor, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EngineKeeper]:
    """A keeper with its engine, which may be silent for three seconds."""
    monkeypatch.setenv("POCKETWIRE_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("POCKETWIRE_API_BASE__MAILCHIMP", mailchimp.url)
    keeper = EngineKeeper(settings.sign_of_life, silent_seconds=3, grace_seconds=0.1)
    yield keeper
    keeper.stop()


def test_a_stopped_engine_is_replaced_and_its_run_goes_on(
    kitchen: Kitchen, keeper: EngineKeeper, mailchimp: Vendor
) -> None:
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
    hung = children_of(os.getpid())["engine"]
    os.kill(hung, signal.SIGSTOP)
    may_answer.set()
    eventually(lambda: kitchen.states() == [RunState.SUCCEEDED], "the run's end")
    assert children_of(os.getpid())["engine"] != hung
    assert len(mailchimp.seen(ADD)) == 2
    assert [attempt.result for attempt in kitchen.attempts()] == ["interrupted", "succeeded"]
