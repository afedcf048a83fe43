"""`pocketwire serve` as an operator sees it: it starts, keeps both sides alive, and stops without losing anything."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import requests

from tests.service.running import Service, eventually


def _account(service: Service) -> None:
    service.cli("account", "create", "ada@example.com", "--password-stdin", stdin="a long password")


def test_a_first_start_leads_to_a_row_in_the_ledger(service: Service) -> None:
    """Done means 1, without the browser: the link is printed, the recipe is on, the sample becomes a row."""
    service.start()
    link = service.printed(r"http://\S+/first-run/\S+")[0]
    assert requests.get(link, timeout=10).status_code == 200
    _account(service)
    service.cli("recipe", "enable", "order.completed/ledger-row")
    service.cli("send", "order.completed")
    assert service.settled(1) == ["succeeded"]
    assert [run["state"] for run in service.json("runs")] == ["succeeded"]
    assert "customer" in service.cli("ledger", "Orders")
    assert service.stop() == 0
    assert service.children() == {}


def test_a_second_start_serves_what_comes_first(service: Service) -> None:
    """After an update or a restart of the machine, nobody has to do anything."""
    _account(service)
    service.cli("recipe", "enable", "order.completed/ledger-row")
    for started in (1, 2):
        service.start()
        service.cli("send", "order.completed")
        assert service.settled(started) == ["succeeded"] * started
        assert service.stop() == 0


def test_files_where_it_is_started_are_not_taken_for_its_own(service: Service) -> None:
    """Someone's web.py there kept the web side from ever starting, again and again."""
    for name in ("web.py", "recipes.py", "flask.py", "integrations/__init__.py"):
        (service.folder / name).parent.mkdir(exist_ok=True)
        (service.folder / name).write_text("raise ImportError('not what is meant')\n")
    service.start()
    link = service.printed(r"http://\S+/first-run/\S+")[0]
    assert requests.get(link, timeout=20).status_code == 200
    _account(service)
    service.cli("recipe", "enable", "order.completed/ledger-row")
    service.cli("send", "order.completed")
    assert service.settled(1) == ["succeeded"]


def test_both_sides_are_kept_alive(service: Service) -> None:
    """kill -9 of the engine, then of the web side: each is back, and what came meanwhile is done."""
    _account(service)
    service.cli("recipe", "enable", "order.completed/ledger-row")
    service.start()
    children = eventually(lambda: found if len(found := service.children()) == 2 else None, "two children")
    os.kill(children["engine"], signal.SIGKILL)
    service.cli("send", "order.completed")
    os.kill(children["web"], signal.SIGKILL)
    renewed = eventually(
        lambda: (
            found
            if set(found := service.children()) == {"engine", "web"}
            and not set(found.values()) & set(children.values())
            else None
        ),
        "two new children",
    )
    assert renewed != children
    eventually(service._takes_connections, "connections again")
    service.cli("send", "order.completed")
    assert service.settled(2) == ["succeeded", "succeeded"]


def test_ctrl_c_is_heard_by_one_process(service: Service) -> None:
    """A terminal sends it to a whole group. The web side locked up on two signals at once, and the engine came back."""
    _account(service)
    service.start()
    children = eventually(lambda: found if len(found := service.children()) == 2 else None, "two children")
    assert service.process is not None
    for pid in children.values():
        eventually(lambda pid=pid: os.getpgid(pid) == pid, "a group of its own")  # type: ignore[misc]
    os.killpg(service.process.pid, signal.SIGINT)
    assert service.process.wait(20) == 0
    assert not [line for line in service.lines if "starting it again" in line]


def test_no_process_outlives_a_killed_service(service: Service) -> None:
    """Nobody would stop them, and they would hold the port and the engine's lock."""
    _account(service)
    service.start()
    children = eventually(lambda: found if len(found := service.children()) == 2 else None, "two children")
    assert service.process is not None
    os.kill(service.process.pid, signal.SIGKILL)
    service.process.wait(10)
    for pid in children.values():
        eventually(lambda pid=pid: not _is_alive(pid), "the end of the children")  # type: ignore[misc]


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_engine_holds_neither_the_place_nor_the_port(service: Service) -> None:
    """It ends its calls when the service was killed, half a minute perhaps; meanwhile another can start."""
    _account(service)
    service.start()
    first = eventually(lambda: service.children().get("engine"), "the engine")
    os.kill(first, signal.SIGKILL)
    # By now the port is open: the next engine is forked from a process that holds it.
    eventually(lambda: service.children().get("engine") not in (None, first), "another engine")
    opened = eventually(
        lambda: found if "engine.lock" in (found := _opened(service.children()["engine"])) else None,
        "the engine's lock",
    )
    assert "service.lock" not in opened
    assert not [name for name in opened if name.startswith("socket:")]


def _opened(pid: int) -> set[str]:
    found = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(Path(os.readlink(handle)).name)
    return found


def test_a_place_that_is_taken_stops_the_start_with_a_sentence(service: Service) -> None:
    """The port, or the data directory of a service that runs: one sentence, and nothing claims to serve."""
    service.start()
    assert "running already" in service.refused("serve")
    service.environment["POCKETWIRE_DATA_DIR"] = str(service.folder / "another")
    assert "cannot be listened on" in service.refused("serve")


def test_another_key_stops_the_start(service: Service) -> None:
    """Every delivery would be refused, and lost."""
    _account(service)
    service.environment["POCKETWIRE_CREDENTIALS_KEY"] = "another key of forty characters, or more"
    assert "POCKETWIRE_CREDENTIALS_KEY" in service.refused("serve")


def test_a_wrong_setting_stops_the_start_with_a_sentence(service: Service) -> None:
    """As a terminal or an init system sees it: exit code 2, one line on standard error, no traceback."""
    service.environment["POCKETWIRE_MAIL_SERVER"] = "smtp://ada:hunter2@"
    done = subprocess.run(
        [sys.executable, "-m", "recipes.cli", "serve"],
        env=service.environment,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "Error: POCKETWIRE_MAIL_SERVER has to have a host after smtp:// "
        "(example: smtp://user:password@mail.example.com:587).\n"
    )


def test_another_address_is_given_on_the_command_line(service: Service) -> None:
    """--host takes an IPv6 address with or without brackets; a name is refused, since the server takes none."""
    assert "has to be an IP address" in service.refused("serve", "--host", "localhost")
    # An address for documentation, which no machine has.
    for host in ("2001:db8::1", "[2001:db8::1]"):
        assert "[2001:db8::1]:8001 cannot be listened on" in service.refused("serve", "--host", host, "--port", "8001")


def test_a_database_that_is_none_stops_the_start_with_a_sentence(service: Service) -> None:
    """Another kind of file."""
    file = service.folder / "notes.txt"
    file.write_text("Not a database, whatever its length may be.\n" * 100)
    service.environment["DATABASE_URL"] = f"sqlite:///{file}"
    assert "file is not a database" in service.refused("serve")
    assert file.read_text().startswith("Not a database")


def test_a_key_file_without_a_key_stops_the_start(service: Service) -> None:
    """Pages could not be served, and what is sealed would be open to anyone."""
    data = service.folder / "data"
    data.mkdir()
    for name in ("secret-key", "credentials-key"):
        (data / name).touch()
        assert f"{data / name} holds no key" in service.refused("serve")
        (data / name).unlink()
