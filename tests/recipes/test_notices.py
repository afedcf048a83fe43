"""A notice that cannot be sent keeps no other merchant's back."""

import pytest
from sqlalchemy import Engine, update
from sqlmodel import col

from recipes import engine as runs
from recipes import upkeep
from recipes.db import transaction
from recipes.models import Account, Connection, Membership, Merchant
from recipes.settings import Settings
from tests.conftest import NOW, both_databases
from tests.integrations.conftest import _no_proxy, start_vendor
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen
from tests.recipes.test_quiet import _daily, _sell
from tests.recipes.test_upkeep import Box

pytestmark = both_databases

__all__ = ["_no_proxy", "kitchen", "mailchimp", "slack", "start_vendor"]


def test_a_pause_that_cannot_be_told_keeps_no_other_back(
    kitchen: Kitchen, engine: Engine, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason is logged. A service that is not shipped any more is called by its bare name."""
    with transaction(engine) as session:
        person = Account(email="ada@example.com", password="x", fs_uniquifier="1", created_at=NOW)
        session.add(person)
        session.flush()
        session.add(Membership(account_id=person.id or 0, merchant_id=kitchen.endpoint.merchant_id))
    paused = [kitchen.connect_as("slack", name) for name in ("one", "two")]
    with transaction(engine) as session:
        for each in paused:
            runs.hold(session, each, reason="Slack does not accept our credentials.", now=NOW)
        session.execute(update(Connection).where(col(Connection.id) == paused[1]).values(app="fax"))
    box = Box(settings)
    box.breaks_at = f"/connections/{paused[0]}"
    assert upkeep.send_notices(engine, box, "https://wire.example", NOW) == 1
    assert [subject for _, subject, _ in box.sent] == ["Reconnect fax: 0 runs are waiting"]
    assert f"connection {paused[0]} has paused cannot be sent" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_silence_that_cannot_be_told_keeps_no_other_store_back(
    kitchen: Kitchen, engine: Engine, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """As of a store in a time zone that this machine does not know. The reason is logged."""
    with transaction(engine) as session:
        session.add(Merchant(id=0, name="The first one", time_zone="Europe/Atlantis", created_at=kitchen.now))
    _sell(kitchen, _daily(kitchen, 30, until=4))
    assert upkeep.notice_silences(engine, Box(settings), "https://wire.example", kitchen.now) == 1
    assert "quiet at store 0 cannot be told" in caplog.text
    assert "Europe/Atlantis" in caplog.text
