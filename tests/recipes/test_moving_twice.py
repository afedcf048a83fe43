"""`pocketwire move` that is stopped, begun anew elsewhere, or met by others: never are two databases served."""

import threading
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, event, make_url, text
from sqlalchemy.exc import OperationalError

from recipes.cli import main
from recipes.cli.serve import first_run
from recipes.cli.workplace import Workplace
from recipes.clients import ClientCache
from recipes.clocks.distributed import DistributedClock
from recipes.db import open_database, transaction
from recipes.mail import Mailer
from recipes.migrations import migrate
from recipes.models import IdentityMemory, Merchant
from recipes.moved import Mark, Moved, check_in_use, mark_beside, read_mark, write_mark
from recipes.moving import CannotMove, Move
from recipes.moving.journal import Journal
from recipes.settings import Settings
from recipes.spool import Spool
from recipes.vault import Vault
from tests.conftest import NOW
from tests.postgresql import PostgreSQL
from tests.recipes.engine.kitchen import Kitchen, order
from tests.recipes.moving import contents, engine, target, url

__all__ = ["engine", "target", "url"]

pytestmark = pytest.mark.long


class _Killed(BaseException):
    """What a move is ended with, anywhere."""


def _run(settings: Settings, *words: str, now: Callable[[], datetime] = lambda: NOW) -> Result:
    return CliRunner().invoke(main, list(words), obj=Workplace(load=lambda: settings, now=now))


def _refused(settings: Settings, *words: str, now: Callable[[], datetime] = lambda: NOW) -> str:
    done = _run(settings, *words, now=now)
    assert done.exit_code == 2, done.output
    return done.stderr


def _move(settings: Settings, url: str, at: str = "", do: Callable[[], None] = lambda: None, **given: Any) -> list[str]:
    """Moves; once it says `at`, `do` is done. What it said."""
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if at and " ".join(line.split()).startswith(at):
            do()

    Move(settings.database, url, Spool(settings.spool), lambda: NOW, say, **given).run()
    return said


def _die() -> None:
    raise _Killed


def _is_served(url: str) -> bool:
    database = open_database(url)
    try:
        check_in_use(database)
    except Moved:
        return False
    finally:
        database.dispose()
    return True


def test_what_was_begun_elsewhere_before_is_never_gone_on_with(
    settings: Settings, kitchen: Kitchen, url: str, postgresql: PostgreSQL
) -> None:
    """Stopped on the way to one, moved to another: the first would be a second installation with the same events."""
    kitchen.deliver("order.completed", order(1))
    with pytest.raises(_Killed):
        _move(settings, url, "Checking", _die)
    with postgresql.empty_database() as other:
        with pytest.raises(_Killed):
            _move(settings, other, "Checking", _die)
        assert "begun anew since, elsewhere or after" in _refused(settings, "move", "--to", url)
        assert _move(settings, other)[0].startswith("Going on with")
        said = _refused(settings, "move", "--to", url)
        assert f"was moved to postgresql://postgres@/{make_url(other).database}?host=" in said
        assert " already: set DATABASE_URL" in said
        assert f"delete {settings.data_dir / 'pocketwire.db.moved'}" in said
        assert [_is_served(each) for each in (settings.database, url, other)] == [False, False, True]


def test_a_copy_of_what_was_moved_to_is_not_finished_as_well(
    settings: Settings, kitchen: Kitchen, url: str, postgresql: PostgreSQL
) -> None:
    """Made half way, it holds the same journal."""
    kitchen.deliver("order.completed", order(1))
    with pytest.raises(_Killed):
        _move(settings, url, "Checking", _die)
    with postgresql.empty_database() as other:
        server = open_database(make_url(url).set(database="postgres").render_as_string(hide_password=False))
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"DROP DATABASE {make_url(other).database}"))
            connection.execute(text(f"CREATE DATABASE {make_url(other).database} TEMPLATE {make_url(url).database}"))
        server.dispose()
        assert _run(settings, "move", "--to", url).exit_code == 0
        assert "already: set DATABASE_URL" in _refused(settings, "move", "--to", other)
        assert [_is_served(each) for each in (settings.database, url, other)] == [False, True, False]


def test_two_moves_at_once_end_in_one(settings: Settings, kitchen: Kitchen, url: str) -> None:
    """They may have other data directories, and so other locks: SQLite's own is held from the beginning."""
    kitchen.deliver("order.completed", order(1))
    path = mark_beside(kitchen.engine)
    another = Mark("another", "postgresql://elsewhere/db", NOW.isoformat())
    impatient = open_database(settings.database, wait_seconds=0)

    def meet() -> None:
        with pytest.raises(OperationalError, match="locked"), transaction(impatient):
            pass
        write_mark(path, another)

    with pytest.raises(CannotMove, match="A move to postgresql://elsewhere/db was begun meanwhile: nothing was sw"):
        _move(settings, url, "Moving to", meet)
    impatient.dispose()
    assert read_mark(path) == another
    assert not _is_served(url)


def test_a_command_that_waited_meanwhile_writes_nothing(settings: Settings, kitchen: Kitchen, url: str) -> None:
    """It began before the move, as one that asks for a password does; what it wrote would be nowhere."""
    assert kitchen.states() == []
    work = Workplace(load=lambda: settings)
    assert work.merchant_id(None) == 1
    assert _run(settings, "move", "--to", url).exit_code == 0
    with pytest.raises(Moved, match="was moved to"), transaction(work.engine) as session:
        session.add(Merchant(name="Late", created_at=NOW))
    work.close()
    assert [row[1] for row in contents(kitchen.engine)["merchant"]] == ["Acme Books"]


def test_a_worker_that_began_meanwhile_is_found(settings: Settings, kitchen: Kitchen, url: str, target: Engine) -> None:
    """It asked whether it may begin just before the journal was made. Also by a move that goes on."""
    kitchen.deliver("order.completed", order(1))

    def begin() -> None:
        with target.begin() as connection:
            connection.exec_driver_sql("INSERT INTO procrastinate_workers DEFAULT VALUES")

    with pytest.raises(CannotMove, match="a pocketwire worker is at work"):
        _move(settings, url, "Moving to", begin)
    with pytest.raises(CannotMove, match="a pocketwire worker is at work"):
        _move(settings, url)
    assert contents(target)["event"] == []
    with target.begin() as connection:
        connection.exec_driver_sql("DELETE FROM procrastinate_workers")
    assert _move(settings, url)[0].startswith("Going on with")


def test_a_worker_asks_once_it_can_be_found(settings: Settings, vault: Vault, url: str, target: Engine) -> None:
    """And ends, before it looks at anything, where a move has begun since it was started."""
    migrate(target)
    Journal(target).begin("a move", [Merchant.__table__])  # type: ignore[attr-defined]
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(target, "before_cursor_execute", note)
    there = settings.model_copy(update={"database_url": url})
    clock = DistributedClock(target, there, ClientCache(vault, {}), Mailer(there))
    ending = threading.Timer(5.0, clock.stop)
    ending.start()
    with pytest.raises(Moved, match="A move into this database is not finished"):
        clock.run()
    ending.cancel()
    assert [statement.split()[0] for statement in asked] == ["INSERT", "SELECT", "DELETE"]
    with target.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM procrastinate_workers").scalar_one() == 0


def test_a_service_that_began_meanwhile_is_found(
    settings: Settings, kitchen: Kitchen, url: str, target: Engine
) -> None:
    """Or finds the move: each writes first, then looks."""
    assert kitchen.states() == []
    migrate(target)

    def serve() -> datetime:
        with transaction(target) as session:
            session.add(Merchant(name="Theirs", created_at=NOW))
        return NOW

    assert "holds an installation already" in _refused(settings, "move", "--to", url, now=serve)
    with target.begin() as connection:
        connection.exec_driver_sql("DROP TABLE pocketwire_move")

    def move() -> datetime:
        Journal(target).begin("a move", [Merchant.__table__])  # type: ignore[attr-defined]
        return NOW

    there = settings.model_copy(update={"database_url": url})
    with pytest.raises(Moved, match="A move into this database is not finished"):
        first_run(Workplace(load=lambda: there, now=move))


def test_it_goes_on_behind_a_key_that_lost_a_nul(
    settings: Settings, kitchen: Kitchen, url: str, target: Engine
) -> None:
    """Without it the key sorts elsewhere: nothing between the two is left out, and the check is not misled."""
    keys = ["a\0z", "aa", "ab", "b"]
    with transaction(kitchen.engine) as session:
        for key in keys:
            session.add(IdentityMemory(endpoint_id=kitchen.endpoint.id or 0, about=key, memory={}))
    often: dict[str, Any] = {"batch_rows": 1, "monotonic": count(0, 100).__next__}
    with pytest.raises(_Killed):
        _move(settings, url, "identity_memory 1 of 4 copied", _die, **often)
    assert [row[1] for row in contents(target)["identity_memory"]] == ["az"]
    _move(settings, url, **often)
    assert sorted(row[1] for row in contents(target)["identity_memory"]) == ["aa", "ab", "az", "b"]


def test_a_database_that_is_moved_is_not_migrated(settings: Settings, kitchen: Kitchen, url: str) -> None:
    """Neither of the two: what is half moved has to stay of one version."""
    assert kitchen.states() == []
    with pytest.raises(_Killed):
        _move(settings, url, "Checking", _die)
    there = settings.model_copy(update={"database_url": url})
    assert "is not finished: run pocketwire move again" in _refused(settings, "migrate")
    assert "A move into this database is not finished" in _refused(there, "migrate")
    assert _run(settings, "move", "--to", url).exit_code == 0
    assert "was moved to" in _refused(settings, "migrate")
    assert _run(there, "migrate").exit_code == 0


@pytest.mark.parametrize("older", ["source", "target"])
def test_another_version_does_not_go_on(
    settings: Settings, kitchen: Kitchen, url: str, target: Engine, older: str
) -> None:
    """It says so, and both ways out."""
    assert kitchen.states() == []
    with pytest.raises(_Killed):
        _move(settings, url, "Checking", _die)
    database = kitchen.engine if older == "source" else target
    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    said = _refused(settings, "move", "--to", url)
    assert "not of the version that began this move: go on with that one. Or begin anew: delete " in said


@pytest.mark.parametrize("at", ["Moving to", "event 2 of 3 copied", "Checking row by row.", "event 3 are the same"])
def test_it_goes_on_after_the_server_restarted(
    settings: Settings, kitchen: Kitchen, url: str, target: Engine, at: str
) -> None:
    """Every connection ends; what is moved is complete all the same, by this go or the next."""
    for number in range(3):
        kitchen.deliver("order.completed", order(number))
    before = contents(kitchen.engine)

    restarted = []

    def restart() -> None:
        restarted.append(at)
        with target.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    often: dict[str, Any] = {"batch_rows": 1, "monotonic": count(0, 100).__next__}
    try:
        _move(settings, url, at, restart, **often)
    except OperationalError:
        _move(settings, url, **often)
    assert restarted == [at]
    assert contents(target) == before
    assert _is_served(url)
