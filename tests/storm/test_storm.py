"""Ten connections hang while a rush of sales comes: the connection that is well is served as if nothing were."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations import integration
from tests.integrations.conftest import _no_proxy
from tests.service.running import eventually
from tests.storm.storm import SLACK, WELL, Storm

pytestmark = pytest.mark.long

__all__ = ["_no_proxy"]

SALES, BUYERS, REVIEWS, TROUBLED = 250, 8, 8, 10


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[Storm]:
    """Calls are answered 429, then 500, and then no more."""
    storm = Storm(tmp_path, troubled=TROUBLED, busy=1, broken=1)
    yield storm
    storm.close()


def test_a_storm_is_lived_through(storm: Storm) -> None:
    """All is answered; pace, memory and each run's state are as they should be, while services hang and afterwards."""
    stand_in = storm.stand_in
    storm.send("order.completed", 1)
    eventually(lambda: len(stand_in.answered(WELL)) == 1, "the first call")
    before = storm.memory()
    storm.send("review.created", REVIEWS)
    storm.send("customer.created", BUYERS)
    eventually(lambda: len(stand_in.hanging()) == TROUBLED + 1, "services that hang")
    storm.send("order.completed", SALES - 1)

    # Nobody has let go of the calls that hang; the others have all been made.
    eventually(lambda: storm.states()["order.completed"] == {"succeeded": SALES}, "sales that are done")
    assert len(stand_in.answered(WELL)) == SALES
    hanging = stand_in.hanging()
    assert set(hanging) == {*storm.troubled, SLACK}
    assert max(stand_in.most_hanging.values()) <= max(integration(app).concurrent for app in ("mailchimp", "slack"))
    # 202: on disk, while the engine had the database for itself.
    assert set(storm.answers) <= {200, 202}
    assert storm.answers.total() == SALES + BUYERS + REVIEWS
    assert all(storm.memory()[side] - before[side] < 60 for side in before)

    # What is repeatable is tried again, later; of a message that may be out, the merchant is asked.
    stand_in.let_go()
    eventually(lambda: set(storm.states()["review.created"]) <= {"unsure", "waiting"}, "reviews that are in doubt")
    assert set(storm.states()["customer.created"]) <= {"waiting", "running", "queued"}
