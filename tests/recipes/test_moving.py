"""`pocketwire move`: all of a SQLite installation is in PostgreSQL afterwards, and goes on there once, only there."""

import fcntl
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, TextClause, event, text
from sqlmodel import col, select

from recipes.cli import main
from recipes.cli.workplace import Workplace
from recipes.clients import ClientCache
from recipes.clocks.distributed import DistributedClock, Rhythm
from recipes.db import open_database, reading, transaction
from recipes.mail import Mailer
from recipes.migrations import migrate
from recipes.models import Merchant, Run, RunState
from recipes.moving import shown
from recipes.settings import Settings
from recipes.spool import Spool
from recipes.vault import Vault
from tests.conftest import NOW
from tests.integrations.vendor import Vendor, answer
from tests.postgresql import PostgreSQL
from tests.recipes.engine.kitchen import Kitchen, order, step
from tests.recipes.moving import contents, engine, furnish, numbers, target, url
from tests.service.running import eventually

__all__ = ["engine", "target", "url"]

pytestmark = pytest.mark.long

HALF_WAY = 2_500


def _run(settings: Settings, *words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, list(words), input=typed, obj=Workplace(load=lambda: settings, now=lambda: NOW))


def _move(settings: Settings, url: str) -> str:
    done = _run(settings, "move", "--to", url)
    assert done.exit_code == 0, done.output
    return done.stdout


def _refused(settings: Settings, *words: str, code: int = 2) -> str:
    done = _run(settings, *words)
    assert done.exit_code == code, done.output
    assert isinstance(done.exception, SystemExit), done.output
    return done.stderr


def _hash(settings: Settings) -> str:
    return hashlib.sha256((settings.data_dir / "pocketwire.db").read_bytes()).hexdigest()


def test_the_address_is_shown_so_that_it_can_be_used() -> None:
    """With its parameters, and without what is secret in it."""
    given = "postgresql://ann:s3cret@db.example:5433/wire?sslmode=verify-full&sslpassword=s3cret"
    assert shown(given) == "postgresql://ann@db.example:5433/wire?sslmode=verify-full"


def test_everything_is_there_afterwards(settings: Settings, kitchen: Kitchen, target: Engine, url: str) -> None:
    """Each row of each table with its number and its types; SQLite's file is as it was, and neither is served twice."""
    furnish(kitchen)
    before = contents(kitchen.engine)
    assert [name for name, rows in before.items() if not rows] == []
    kitchen.engine.dispose()
    file = _hash(settings)
    said = _move(settings, url)
    assert contents(target) == before
    assert _hash(settings) == file
    assert "POCKETWIRE_CREDENTIALS_KEY: what stands in" in said
    assert "pocketwire serve" in said
    # A connection's number never comes back, also that of one that was removed.
    assert [numbers(target, table) for table in ("connection", "event", "merchant")] == [3, 3, 2]
    for words in (["serve"], ["status"], ["account", "create", "bob@example.com", "--password-stdin"]):
        assert "was moved to postgresql://" in _refused(settings, *words)
    assert "moved to" in _refused(settings, "move", "--to", url)
    (settings.data_dir / "pocketwire.db.moved").unlink()
    assert _run(settings, "events").exit_code == 0
    assert "holds an installation already" in _refused(settings, "move", "--to", url)


def test_texts_are_compared_in_the_order_of_their_bytes(settings: Settings, kitchen: Kitchen, url: str) -> None:
    """Most servers sort them as people do, SQLite does not. This one knows no other order: the question has to do."""
    furnish(kitchen)
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    _move(settings, url)
    event.remove(Engine, "before_cursor_execute", note)
    orders = {
        statement.rpartition("ORDER BY ")[2]
        for statement in asked
        if "FROM identity_key ORDER" in " ".join(statement.split())
    }
    assert 'identity_key.endpoint_id, identity_key.key COLLATE "C"' in orders


def test_the_address_may_come_from_standard_input(settings: Settings, kitchen: Kitchen, url: str) -> None:
    """Others see arguments, and a password is in it."""
    assert kitchen.states() == []
    done = _run(settings, "move", "--to", "-", typed=url + "\n")
    assert done.exit_code == 0, done.output


def test_it_goes_on_after_a_kill(settings: Settings, kitchen: Kitchen, target: Engine, url: str) -> None:
    """In the middle of a table; SQLite is not served meanwhile, nor is PostgreSQL."""
    furnish(kitchen)
    _many_events(kitchen, 2 * HALF_WAY)
    before = contents(kitchen.engine)
    migrate(target)
    environment = {"POCKETWIRE_DATA_DIR": str(settings.data_dir), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-P", "-m", "recipes.cli", "move", "--to", url]
    with target.connect() as blocker:
        blocker.execute(text("SET session_replication_role = replica"))
        # Whoever writes this event, too, waits for this transaction.
        blocker.execute(_event_half_way())
        moving = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, cwd=settings.data_dir)
        try:
            eventually(lambda: _is_blocked(target), "a move that is half way")
        finally:
            moving.kill()
            moving.wait(10)
        blocker.rollback()
    with target.connect() as connection:
        there = connection.execute(text("SELECT count(*) FROM event")).scalar_one()
    assert 0 < there < HALF_WAY
    assert "is not finished: run pocketwire move again" in _refused(settings, "serve")
    there_settings = settings.model_copy(update={"database_url": url})
    for words in (["worker"], ["serve"], ["status"]):
        assert "A move into this database is not finished" in _refused(there_settings, *words)
    said = _move(settings, url)
    assert "Going on with the move" in said
    assert contents(target) == before
    assert _run(there_settings, "events").exit_code == 0


def _many_events(kitchen: Kitchen, count: int) -> None:
    with kitchen.engine.begin() as connection:
        connection.execute(
            text(
                "WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
                " INSERT INTO event SELECT i, merchant_id, endpoint_id, mode, type, origin, standing, standing_reason,"
                " subject, occurred_at, received_at, body, received_at FROM event, n WHERE event.id = 1"
            ),
            {"count": count},
        )


def _event_half_way() -> TextClause:
    return text(
        "INSERT INTO event (id, merchant_id, endpoint_id, mode, type, origin, standing, standing_reason, occurred_at,"
        " received_at, body) VALUES (:id, 1, 1, 'live', 'x', 'webhook', 'ready', '', now(), now(), '')"
    ).bindparams(id=HALF_WAY)


def _is_blocked(target: Engine) -> bool:
    with target.connect() as connection:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY%event%'"
        return bool(connection.execute(text(waiting)).scalar_one())


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        ("NEW.outcome := 'another'; RETURN NEW;", "run 1 differs in outcome"),
        ("RETURN NULL;", "run 1 is missing in PostgreSQL"),
        ("NEW.id := NEW.id + 50; RETURN NEW;", "run 51 is only in PostgreSQL"),
    ],
)
def test_the_check_finds_what_is_not_the_same(
    settings: Settings, kitchen: Kitchen, target: Engine, url: str, trigger: str, said: str
) -> None:
    """A row is named, its values are not; nothing is switched over, and what it says next time is the same."""
    kitchen.recipe("order.completed", step("ledger", "put_row", None, table="t", key="k"))
    kitchen.deliver("order.completed", order(1))
    kitchen.claim(0)
    assert len(kitchen.runs()) == 1
    migrate(target)
    with target.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {trigger} END $$;"
            "CREATE TRIGGER spoil BEFORE INSERT ON run FOR EACH ROW EXECUTE FUNCTION spoil()"
        )
    for _ in range(2):
        assert said in _refused(settings, "move", "--to", url, code=1)
    assert "is not finished" in _refused(settings, "serve")


def test_what_waits_goes_on_there_and_is_done_once(
    settings: Settings, kitchen: Kitchen, vault: Vault, target: Engine, url: str, slack: Vendor
) -> None:
    """A run that waits for a retry, an event that nobody has looked at yet, and a delivery in the spool."""
    connection = kitchen.connect("slack")
    kitchen.recipe(
        "order.completed",
        step("slack", "post_message", connection, channel="C0123456789", text="{{ order.id }}"),
    )
    slack.script = [answer({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": "2"})]
    kitchen.deliver("order.completed", order(1, "one@example.com"))
    kitchen.work()
    assert kitchen.states() == [RunState.WAITING]
    kitchen.deliver("order.completed", order(2, "two@example.com"))
    kitchen.spool(Spool(settings.spool), "order.completed", order(3, "three@example.com"))
    said = _move(settings, url)
    assert "1 deliveries came in from the spool" in said
    clients = ClientCache(vault, {"slack": slack.url + "/"})
    # Upkeep is far away: what runs here runs by the jobs that the move has put in.
    rhythm = Rhythm(heartbeat=1.0, poll=0.2, upkeep="0 0 1 1 *")
    there = settings.model_copy(update={"database_url": url})
    clock = DistributedClock(target, there, clients, Mailer(there), rhythm, now=lambda: NOW + timedelta(minutes=1))
    with _working(clock):
        eventually(lambda: _states(target) == [RunState.SUCCEEDED] * 3, "three runs done")
    posted = [call.form["text"] if call.form else (call.get_json() or {})["text"] for call in slack.calls]
    assert sorted(posted) == ["order_1", "order_1", "order_2", "order_3"]  # the first was refused, and tried again


def _states(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return [run.state for run in session.exec(select(Run).order_by(col(Run.id)))]


@contextmanager
def _working(clock: DistributedClock) -> Iterator[None]:
    thread = threading.Thread(target=clock.run)
    thread.start()
    try:
        yield
    finally:
        clock.stop()
        thread.join(20.0)
        assert not thread.is_alive()


def test_what_postgresql_does_not_take_is_named(settings: Settings, kitchen: Kitchen, target: Engine, url: str) -> None:
    """A NUL in a text is left out, and said; a row that cannot be carried stops the move, and goes on once mended."""
    with transaction(kitchen.engine) as session:
        session.add(Merchant(name="Zero \0 Books", created_at=NOW))
    with kitchen.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO rejected_delivery VALUES (1, 'old', :n, :at, :at)"),
            {"n": 2**40, "at": NOW.replace(tzinfo=None).isoformat(" ")},
        )
    said = _refused(settings, "move", "--to", url, code=2)
    assert "does not take the row rejected_delivery 1, old: " in said
    assert "mend that row in SQLite" in said
    with kitchen.engine.begin() as connection:
        connection.execute(text("UPDATE rejected_delivery SET count = 7"))
    said = _move(settings, url)
    assert "merchant 2 (name): had a character NUL" in said
    assert [row[1] for row in contents(target)["merchant"]] == ["Acme Books", "Zero  Books"]


def test_it_may_end_in_the_last_step(settings: Settings, kitchen: Kitchen, target: Engine, url: str) -> None:
    """Then nothing is served at all until the next go, which takes that step alone."""
    kitchen.deliver("order.completed", order(1))
    migrate(target)
    with target.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;"
            "CREATE TRIGGER spoil BEFORE INSERT ON procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION spoil()"
        )
    assert "it goes on where it was" in _refused(settings, "move", "--to", url, code=1)
    assert "was moved to" in _refused(settings, "serve")
    there = settings.model_copy(update={"database_url": url})
    assert "is not finished" in _refused(there, "serve")
    with target.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER spoil ON procrastinate_jobs")
    _move(settings, url)
    with target.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM procrastinate_jobs")).scalar_one() == 1
    assert _run(there, "events").exit_code == 0


def test_it_may_begin_anew_elsewhere(settings: Settings, kitchen: Kitchen, url: str, postgresql: PostgreSQL) -> None:
    """What was half moved into another database stays unfinished there, and is never taken for this move's."""
    furnish(kitchen)
    with kitchen.engine.begin() as connection:
        connection.execute(text("UPDATE rejected_delivery SET count = 1099511627776"))
    assert "does not take the row" in _refused(settings, "move", "--to", url)
    with kitchen.engine.begin() as connection:
        connection.execute(text("UPDATE rejected_delivery SET count = 7"))
    with postgresql.empty_database() as other:
        _move(settings, other)
        (settings.data_dir / "pocketwire.db.moved").unlink()
        assert "unfinished move of another installation" in _refused(settings, "move", "--to", url)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mysql://u:geheim@h/d", "--to has to begin with postgresql://"),
        ("sqlite:////tmp/geheim.db", "--to has to begin with postgresql://"),
        ("postgresql://u:geheim@127.0.0.1", "--to has to have a database's name"),
        ("postgresql://u:geheim@127.0.0.1:9/d", "nobody answers at its host and port"),
        ("postgresql://u:geheim@127.0.0.1:9/d?nonsense=geheim", "cannot be used: it says"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(
    settings: Settings, kitchen: Kitchen, address: str, said: str
) -> None:
    """With what to mend, and never with the password. SQLite stays in use."""
    assert kitchen.states() == []
    refusal = _refused(settings, "move", "--to", address)
    assert said in refusal
    assert "geheim" not in refusal
    assert not (settings.data_dir / "pocketwire.db.moved").exists()


def test_a_database_that_is_not_there_is_refused(settings: Settings, kitchen: Kitchen, url: str) -> None:
    """And a user."""
    assert kitchen.states() == []
    assert "no such database" in _refused(settings, "move", "--to", url.replace("pocketwire_test_", "nothing_"))
    assert "no such user" in _refused(settings, "move", "--to", url.replace("//postgres", "//nobody"))


def test_a_database_in_use_is_not_overwritten(
    settings: Settings, kitchen: Kitchen, target: Engine, url: str, postgresql: PostgreSQL
) -> None:
    """Neither another program's, nor another installation's, nor one that a worker looks after."""
    assert kitchen.states() == []
    with target.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (a int)")
    assert "has tables of something else (theirs)" in _refused(settings, "move", "--to", url)
    with postgresql.empty_database() as other:
        engine = open_database(other)
        migrate(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO procrastinate_workers DEFAULT VALUES")
        assert "a pocketwire worker is at work" in _refused(settings, "move", "--to", other)
        with transaction(engine) as session:
            session.add(Merchant(name="Theirs", created_at=NOW))
        assert "holds an installation already" in _refused(settings, "move", "--to", other)
        assert [row[1] for row in contents(engine)["merchant"]] == ["Theirs"]
        engine.dispose()
    assert _run(settings, "events").exit_code == 0


def test_a_service_that_runs_is_not_moved(settings: Settings, kitchen: Kitchen, url: str) -> None:
    """It would go on writing to SQLite; nor is one whose engine has not ended yet."""
    assert kitchen.states() == []
    for name, said in (("service.lock", "running already"), ("engine.lock", "Another engine is at work")):
        with (settings.data_dir / name).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert said in _refused(settings, "move", "--to", url)


def test_there_has_to_be_something_to_move(settings: Settings, url: str, tmp_path: Path) -> None:
    """On SQLite."""
    assert "nothing to move" in _refused(settings, "move", "--to", url)
    assert not (settings.data_dir / "pocketwire.db").exists()
    there = settings.model_copy(update={"database_url": url})
    assert "names a PostgreSQL already" in _refused(there, "move", "--to", url)
