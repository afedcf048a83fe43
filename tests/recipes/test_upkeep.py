"""What has to be done from time to time."""

from datetime import timedelta

from sqlalchemy import Engine
from sqlmodel import select

from recipes import engine as runs
from recipes import upkeep
from recipes.db import reading, transaction
from recipes.mail import Mailer
from recipes.models import Account, Event, Membership, RunState
from recipes.settings import Settings
from recipes.spool import Spool
from tests.conftest import NOW, both_databases
from tests.integrations.conftest import _no_proxy, start_vendor
from tests.recipes.engine.conftest import kitchen, mailchimp, slack
from tests.recipes.engine.kitchen import Kitchen, order, step

pytestmark = both_databases

__all__ = ["_no_proxy", "kitchen", "mailchimp", "slack", "start_vendor"]


class Box(Mailer):
    """A mailer that keeps what it would send."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.sent: list[tuple[str, str, str]] = []
        self.is_away = False
        self.breaks_at = ""

    @property
    def is_on(self) -> bool:
        """As if a mail server were set."""
        return True

    def send(self, recipient: str, *, subject: str, text: str) -> bool:
        """Whether the server took it."""
        if self.is_away:
            return False
        if self.breaks_at and self.breaks_at in text:
            raise ZeroDivisionError
        self.sent.append((recipient, subject, text))
        return True


def _tag(kitchen: Kitchen) -> int:
    connection = kitchen.connect("mailchimp")
    fields = {"audience": "a1", "email": "{{ buyer.email }}", "tag": "customer"}
    kitchen.recipe("order.completed", step("mailchimp", "add_tag", connection, **fields))
    return connection


def test_a_paused_connection_is_told_of_once(kitchen: Kitchen, engine: Engine, settings: Settings) -> None:
    """One mail to each person of the store, with how many runs wait. The next pause is news, also of a connection that
    was mended at the service; and while the mail server is away nobody counts as told.
    """
    connection = _tag(kitchen)
    with transaction(engine) as session:
        person = Account(email="ada@example.com", password="x", fs_uniquifier="1", created_at=NOW)
        session.add(person)
        session.flush()
        assert person.id is not None
        session.add(Membership(account_id=person.id, merchant_id=kitchen.endpoint.merchant_id))
    kitchen.deliver("order.completed", order(1))
    kitchen.claim(limit=0)
    with transaction(engine) as session:
        runs.hold(session, connection, reason="Mailchimp does not accept our credentials.", now=NOW)
    box = Box(settings)
    assert upkeep.send_notices(engine, box, "https://wire.example", NOW) == 1
    assert upkeep.send_notices(engine, box, "https://wire.example", NOW) == 0
    [(recipient, subject, text)] = box.sent
    assert (recipient, subject) == ("ada@example.com", "Reconnect Mailchimp: 1 run is waiting")
    assert f"https://wire.example/connections/{connection}" in text
    later = NOW + timedelta(days=30)
    with transaction(engine) as session:
        runs.release(session, connection, now=later)
        runs.hold(session, connection, reason="Mailchimp no longer accepts our credentials.", now=later)
    box.is_away = True
    assert upkeep.send_notices(engine, box, "https://wire.example", later) == 0
    box.is_away = False
    assert upkeep.send_notices(engine, box, "https://wire.example", later) == 1
    assert len(box.sent) == 2


def test_the_spool_is_emptied_and_a_locked_database_is_waited_for(
    kitchen: Kitchen, engine: Engine, settings: Settings
) -> None:
    """What was answered while the database was away becomes an event, once."""
    spool = Spool(settings.spool)
    kitchen.spool(spool, "order.completed", order(1))
    kitchen.spool(spool, "order.completed", order(1))
    assert upkeep.empty_spool(engine, spool) == 2
    assert upkeep.empty_spool(engine, spool) == 0
    with reading(engine) as session:
        assert len(session.exec(select(Event)).all()) == 1


def test_lost_runs_are_put_back(kitchen: Kitchen, engine: Engine) -> None:
    """The engine that had them is gone."""
    _tag(kitchen)
    kitchen.deliver("order.completed", order(1))
    kitchen.claim()
    assert upkeep.recover_runs(engine, kitchen.now) == 0
    assert upkeep.recover_runs(engine, kitchen.now + timedelta(hours=1)) == 1
    assert kitchen.states() == [RunState.QUEUED]
