"""The pipe that wakes the engine."""

from pathlib import Path

from recipes.wake import WakePipe, Waker


def test_a_waker_wakes_the_engine_of_another_process(tmp_path: Path) -> None:
    """One look answers any number of wakes."""
    pipe = WakePipe(tmp_path / "wake")
    wake = Waker(tmp_path / "wake")
    assert not pipe.wait(0)
    for _ in range(10):
        wake()
    assert pipe.wait(0)
    assert not pipe.wait(0)
    pipe.close()


def test_waking_never_fails_or_blocks(tmp_path: Path) -> None:
    """Without an engine, with one that does not read, and with one that went away, a delivery is not held up."""
    wake = Waker(tmp_path / "wake")
    wake()
    pipe = WakePipe(tmp_path / "wake")
    for _ in range(70_000):
        wake()
    pipe.close()
    wake()
    wake()
