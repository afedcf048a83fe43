"""A forked process ends where it should, and keeps nothing open: each test in a process of its own, which forks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.running import free_port

_BEGINNING = """
import fcntl, os, resource, socket, sys, time
from pathlib import Path
from recipes import forking
from recipes.forking import Forked, open_standard_files

me = os.getpid()

def fork(run):
    try:
        forked = Forked("forked", run)
    except BaseException as error:
        os.write(1, f"{'parent' if os.getpid() == me else 'child'} went on: {error!r}".encode())
        os._exit(77)
    if os.getpid() != me:
        os.write(1, b"the child went on")
        os._exit(77)
    return forked

def fail():
    raise ValueError("broken")

def full():
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
"""


def _does(code: str, redirected: str = "") -> str:
    """What a process writes to its standard output that runs this code. redirected: as in a shell."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirected}', sys.executable, _BEGINNING + code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("lambda: None", 0),
        ("fail", 1),
        ("lambda: sys.exit(3)", 1),
        ("lambda: os.kill(os.getpid(), 9)", -9),
        ("lambda: sys.stderr.close()", 0),
    ],
)
def test_it_ends_with_what_it_was_for(what: str, code: int) -> None:
    """And with nothing else: it goes on in none of the code of the process that it was forked from."""
    assert _does(f"os.write(1, str(fork({what}).wait(20)).encode())") == str(code)


@pytest.mark.parametrize("before", ["sys.stderr = None", "sys.stderr.close()", "full()"])
def test_it_ends_though_nothing_can_be_said_about_it(before: str) -> None:
    """No standard error, one that is closed, one whose disk is full: a child that went on would be a second service."""
    assert _does(f"{before}\nos.write(1, str(fork(fail).wait(20)).encode())") == "1"


def test_it_ends_where_standard_error_was_never_open() -> None:
    """`pocketwire serve 2>&-`."""
    assert _does("os.write(1, str(fork(fail).wait(20)).encode())", redirected="2>&-") == "1"


@pytest.mark.parametrize("listed", [True, False])
def test_it_keeps_no_file(tmp_path: Path, listed: bool) -> None:
    """A lock is free again once its owner lets go of it; and a limit of a billion files takes no minutes to close."""
    code = f"""
lock = Path({str(tmp_path / "lock")!r}).open("w")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
if not {listed}:
    forking._OPEN_FILES = Path("/no/such/folder")
closed = []
really_close, forking.os.closerange = os.closerange, lambda *these: (closed.append(these), really_close(*these))
resource.getrlimit = lambda _: (1_000_000_000, 1_000_000_000)
start, go_on = os.pipe()
def held():
    open_files = [number for number in range(3, 1000) if os.path.exists(f"/proc/self/fd/{{number}}")]
    os.write(1, f"{{open_files}} {{closed}}".encode())
assert fork(held).wait(20) == 0
"""
    assert _does(code) == ("[] []" if listed else "[] [(3, 65536)]")


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-", "<&-"])
def test_a_closed_standard_file_is_nobodys_place(tmp_path: Path, closed: str) -> None:
    """What is opened next would be written into by whoever has something to say."""
    code = f"""
open_standard_files()
places = [Path(f"/proc/self/fd/{{number}}").resolve() for number in (0, 2)]
assert Path("/dev/null") in places, places
os.write(1, str(os.open({str(tmp_path / "lock")!r}, os.O_CREAT | os.O_RDWR) > 2).encode())
"""
    assert _does(code, redirected=closed) == "True"


def test_the_service_begins_with_all_three(tmp_path: Path) -> None:
    """Without a place for its messages, the engine kept the service's own lock there."""
    code = f"""
os.environ |= {{"POCKETWIRE_DATA_DIR": {str(tmp_path)!r}, "POCKETWIRE_BIND": "127.0.0.1:{free_port()}"}}
from importlib import import_module
from recipes.cli import main
serving = import_module("recipes.cli.serve")
serving._SHARED = ()
serving.serve_both = lambda *_: os.write(1, os.readlink("/proc/self/fd/2").encode())
main(["serve"], standalone_mode=False)
"""
    assert _does(code, redirected="2>&-").endswith("/dev/null")
