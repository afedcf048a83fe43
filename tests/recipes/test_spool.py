"""The spool keeps deliveries whole and in order."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from recipes.spool import Delivery, Spool
from tests.conftest import NOW


def _delivery(body: bytes, **more: str | None) -> Delivery:
    return Delivery(
        endpoint_id=1,
        merchant_id=2,
        mode="live",
        body=body,
        event_header=more.get("event"),
        timestamp_header=more.get("timestamp"),
        received_at=NOW,
    )


def test_batches_come_back_whole_and_oldest_first(tmp_path: Path) -> None:
    """Any bytes survive, headers may be missing, and the order is that of arrival."""
    ticks = count(1)
    spool = Spool(tmp_path, clock=lambda: next(ticks))
    first = [_delivery(b'{"a":1}', event="order.completed", timestamp="1"), _delivery(bytes(range(256)))]
    second = [_delivery(b"later")]
    spool.write(first)
    spool.write(second)
    assert [deliveries for _, deliveries in spool.batches()] == [first, second]


def test_a_removed_batch_is_gone_and_an_unfinished_one_is_not_read(tmp_path: Path) -> None:
    """A crash while writing leaves a `.part`, which was never answered 2xx and is not brought in."""
    spool = Spool(tmp_path)
    spool.write([_delivery(b"x")])
    (tmp_path / "00000000000000000001-1-1.part").write_bytes(b'{"endpoint_id":')
    [(path, _)] = spool.batches()
    spool.remove(path)
    assert list(spool.batches()) == []


def test_a_batch_that_cannot_be_read_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """It is kept, out of the way."""
    spool = Spool(tmp_path)
    (tmp_path / "00000000000000000001-1-1.jsonl").write_bytes(b"{broken")
    spool.write([_delivery(b"x")])
    assert [deliveries for _, deliveries in spool.batches()] == [[_delivery(b"x")]]
    assert [path.name for path in tmp_path.glob("*.refused")] == ["00000000000000000001-1-1.refused"]


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """A disk that is full as soon as a file has so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_order_holds_whatever_the_clock_does(tmp_path: Path) -> None:
    """Set back by a day, forward by a year; within a process and from one to the next."""
    day = 86_400 * 10**9
    times = iter([10 * day, 9 * day, 9 * day, 400 * day, 10 * day])
    bodies = [str(number).encode() for number in range(5)]
    first = Spool(tmp_path, clock=lambda: next(times))
    for body in bodies[:2]:
        first.write([_delivery(body)])
    second = Spool(tmp_path, clock=lambda: next(times))
    for body in bodies[2:4]:
        second.write([_delivery(body)])
    Spool(tmp_path, clock=lambda: next(times)).write([_delivery(bodies[4])])
    assert [each.body for _, batch in first.batches() for each in batch] == bodies


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """A file that could only be written in part is no batch, and takes none of the room that is left."""
    spool = Spool(tmp_path)
    spool.write([_delivery(b"before")])
    with files_end_at(1_000), pytest.raises(OSError, match="File too large"):
        spool.write([_delivery(b"x" * 5_000)])
    assert [each.body for _, batch in spool.batches() for each in batch] == [b"before"]
    assert [path.suffix for path in tmp_path.iterdir()] == [".jsonl"]
    spool.write([_delivery(b"after")])
    assert [each.body for _, batch in spool.batches() for each in batch] == [b"before", b"after"]


def test_what_can_be_read_of_a_damaged_batch_comes_in(tmp_path: Path) -> None:
    """It was answered 2xx. The file is kept beside it, for a person to look at the rest."""
    spool = Spool(tmp_path)
    spool.write([_delivery(b"a"), _delivery(b"b"), _delivery(b"c")])
    [path] = tmp_path.iterdir()
    first, second, third = path.read_bytes().splitlines(keepends=True)
    naive = second.replace(b"+00:00", b"")
    path.write_bytes(first + b"\0" * 100 + b"\n" + naive + third[: len(third) // 2])
    [(found, deliveries)] = spool.batches()
    assert [each.body for each in deliveries] == [b"a"]
    spool.remove(found)
    assert list(spool.batches()) == []
    assert [path.suffix for path in tmp_path.iterdir()] == [".refused"]
    assert spool.set_aside_count() == 1


def test_what_is_no_file_of_ours_is_set_aside(tmp_path: Path) -> None:
    """A folder; a pipe, which would keep a reader waiting. An empty file holds nothing."""
    spool = Spool(tmp_path)
    (tmp_path / "00000000000000000001-1.jsonl").mkdir()
    os.mkfifo(tmp_path / "00000000000000000002-1.jsonl")
    (tmp_path / "00000000000000000003-1.jsonl").touch()
    spool.write([_delivery(b"x")])
    assert [each.body for _, batch in spool.batches() for each in batch] == [b"x"]
    assert spool.set_aside_count() == 2
