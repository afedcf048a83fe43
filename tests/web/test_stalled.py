"""Who does not get on with a request is cut off; who is served, or only keeps a connection open, is not."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from web.stalled import PATIENCE_SECONDS, SHORT_PATIENCE_SECONDS, StalledConnections

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="the kernel does not tell of connections")
# The kernel's clock of a connection goes in steps of some milliseconds.
_TICK = 0.05


class Line:
    """A connection to a port of ours: both ends, and the time as the watch sees it."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.clients: list[socket.socket] = []
        self.ours: list[socket.socket] = []
        self.now = 1_000.0

    def open(self) -> tuple[socket.socket, socket.socket]:
        """A client's end and ours."""
        client = socket.create_connection(("127.0.0.1", self.port))
        ours, _ = self.listener.accept()
        self.clients.append(client)
        self.ours.append(ours)
        return client, ours

    def watch(self, stalled_at_most: int = 100, open_at_most: int = 100) -> StalledConnections:
        """A watch whose clock is moved by hand."""
        return StalledConnections(
            self.port, stalled_at_most=stalled_at_most, open_at_most=open_at_most, monotonic=lambda: self.now
        )

    def close(self) -> None:
        """All of it."""
        for each in (*self.clients, *self.ours, self.listener):
            each.close()


@pytest.fixture
def line() -> Iterator[Line]:
    """Connections of this process with itself."""
    with contextlib.closing(Line()) as line:
        yield line


def _is_cut(client: socket.socket) -> bool:
    client.settimeout(_TICK)
    try:
        return client.recv(100) == b""
    except TimeoutError:
        return False


def _say(speaker: socket.socket, listener: socket.socket, words: bytes) -> None:
    speaker.sendall(words)
    listener.settimeout(5)
    assert listener.recv(100) == words


def _tick(line: Line) -> None:
    # Nothing comes on a listener that nobody calls: this waits for the kernel's clock, and for nothing else.
    line.listener.settimeout(_TICK)
    with contextlib.suppress(TimeoutError):
        line.listener.accept()


def test_a_request_that_does_not_get_on_is_cut_off(line: Line) -> None:
    """Also one that gets on by a byte now and then: what counts is that it cannot be answered."""
    client, ours = line.open()
    watch = line.watch()
    _tick(line)
    _say(client, ours, b"POST")
    assert watch.look() == 0
    line.now += PATIENCE_SECONDS - 1
    _say(client, ours, b" /")
    assert watch.look() == 0
    line.now += 2
    assert watch.look() == 1
    assert _is_cut(client)


def test_an_answer_begins_the_patience_anew(line: Line) -> None:
    """A connection that is kept and used is never cut, nor is one that only waits for its next use."""
    client, ours = line.open()
    watch = line.watch()
    for _ in range(3):
        _tick(line)
        _say(client, ours, b"POST")
        assert watch.look() == 0
        line.now += PATIENCE_SECONDS - 1
        _tick(line)
        _say(ours, client, b"200")
        assert watch.look() == 0
    line.now += 10 * PATIENCE_SECONDS
    assert watch.look() == 0
    assert not _is_cut(client)


def test_patience_is_short_while_many_stall(line: Line) -> None:
    """They hold threads that deliveries need."""
    watch = line.watch(stalled_at_most=2)
    pairs = [line.open() for _ in range(3)]
    idle, _ = line.open()
    _tick(line)
    for client, ours in pairs[:2]:
        _say(client, ours, b"POST")
    assert watch.look() == 0
    line.now += SHORT_PATIENCE_SECONDS
    assert watch.look() == 0
    _say(*pairs[2], b"POST")
    assert watch.look() == 0
    line.now += SHORT_PATIENCE_SECONDS
    assert watch.look() == 3
    assert all(_is_cut(client) for client, _ in pairs)
    assert not _is_cut(idle)


def test_idle_connections_go_first_when_there_is_hardly_room(line: Line) -> None:
    """What has just come stays."""
    watch = line.watch(open_at_most=2)
    old = [line.open()[0] for _ in range(2)]
    assert watch.look() == 0
    line.now += SHORT_PATIENCE_SECONDS
    new, _ = line.open()
    assert watch.look() == 2
    assert [_is_cut(each) for each in (*old, new)] == [True, True, False]


def test_connections_of_others_are_left_alone(line: Line) -> None:
    """Such as those that this process has made itself, to services."""
    other = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(other.getsockname())
    ours, _ = other.accept()
    with other, client, ours:
        _tick(line)
        _say(client, ours, b"POST")
        watch = line.watch()
        watch.look()
        line.now += PATIENCE_SECONDS
        assert watch.look() == 0
        assert not _is_cut(client)
