"""The engine's sign of life: cheap to give, and a silence is measured without a clock that can be set."""

import os
from pathlib import Path

import pytest

from recipes.sign_of_life import SignOfLife, Silence, last_sign


@pytest.fixture
def sign(tmp_path: Path) -> Path:
    """The sign of an engine that ran before."""
    path = tmp_path / "engine-alive"
    path.touch()
    _give(path, 1)
    return path


def _give(path: Path, at: float) -> None:
    os.utime(path, (at, at))


def test_the_file_is_touched_once_a_second(tmp_path: Path) -> None:
    """A busy engine turns a thousand times a second."""
    now = 100.0
    path = tmp_path / "engine-alive"
    assert last_sign(path) is None
    alive = SignOfLife(path, lambda: now)
    alive.give()
    assert last_sign(path) is not None
    _give(path, 1)
    now = 100.9
    alive.give()
    assert path.stat().st_mtime == 1
    now = 101.0
    alive.give()
    assert path.stat().st_mtime > 1


def test_a_sign_that_cannot_be_given_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The engine's work matters more than that it is seen."""
    SignOfLife(tmp_path / "no-such-folder" / "engine-alive").give()
    assert "cannot be given" in caplog.text


def test_silence_begins_with_the_last_change(sign: Path) -> None:
    """Whatever time the file bears: one that is set back, or an hour ahead, is a sign like any other."""
    silence = Silence(sign, at_start=20, later=5)
    looks = []
    for second in range(12):
        if second == 3:
            _give(sign, 5_000_000_000)
        if second == 4:
            _give(sign, 7)
        looks.append(silence.is_too_long(1000 + second))
    assert looks == [False] * 10 + [True] * 2


def test_a_start_may_take_longer(sign: Path) -> None:
    """The sign of the engine before is none of this one's; with its own first sign the usual limit holds."""
    silence = Silence(sign, at_start=20, later=5)
    assert [silence.is_too_long(second) for second in (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20)] == [False] * 11
    assert silence.is_too_long(22)
    silence = Silence(sign, at_start=20, later=5)
    assert not silence.is_too_long(0)
    _give(sign, 2)
    assert not silence.is_too_long(1)
    assert [silence.is_too_long(second) for second in (2, 4, 6, 7)] == [False, False, False, True]


def test_time_in_which_nobody_looked_is_no_silence(sign: Path) -> None:
    """A machine that was suspended: the engine had no more time to show itself than the one who looks."""
    silence = Silence(sign, at_start=20, later=20)
    assert not silence.is_too_long(0)
    assert not silence.is_too_long(36_000)
