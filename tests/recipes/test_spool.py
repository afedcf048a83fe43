"""The spool keeps deliveries whole and in order."""

from itertools import count
from pathlib import Path

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
