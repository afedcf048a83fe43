"""When a silence is news: never in a steady store, always where what used to come has long stopped."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.silence import is_quiet, rhythm_of
from tests.conftest import NOW

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("count", "every", "silent", "quiet"),
    [
        (100, 6 * HOUR, 25 * HOUR, True),
        (100, 6 * HOUR, 23 * HOUR, False),  # less than a day is no news to anybody
        (30, DAY, 3 * DAY, False),
        (30, DAY, 3 * DAY + HOUR, True),
        (19, DAY, 90 * DAY, False),  # a handful
        (1000, timedelta(minutes=5), 90 * DAY, False),  # one busy week-end: no rhythm yet
        (2, DAY, 90 * DAY, False),
        (1, DAY, 90 * DAY, False),
    ],
)
def test_a_silence_is_measured_by_what_is_usual(count: int, every: timedelta, silent: timedelta, quiet: bool) -> None:
    rhythm = rhythm_of(NOW - number * every for number in range(count))
    assert rhythm is not None
    assert is_quiet(rhythm, NOW + silent, at_least=DAY) is quiet


def test_nothing_has_no_rhythm() -> None:
    assert rhythm_of([]) is None


_PAUSES = st.lists(st.integers(1, 72 * 60), min_size=1, max_size=200)


@given(pauses=_PAUSES, silent=st.integers(0, 72 * 60), unit=st.sampled_from([1, 7, 60]))
def test_a_steady_store_raises_no_alarm(pauses: list[int], silent: int, unit: int) -> None:
    """As long as no pause is three times as long as one that it had before, whatever its rhythm; nor within a day."""
    times = [NOW]
    for pause in pauses:
        times.append(times[-1] + timedelta(minutes=pause * unit))
    rhythm = rhythm_of(times)
    assert rhythm is not None
    usual = max(pauses) * unit
    asked = timedelta(minutes=min(silent * unit, 3 * usual))
    assert not is_quiet(rhythm, times[-1] + asked, at_least=DAY)


@given(pauses=st.lists(st.integers(60, 72 * 60), min_size=200, max_size=200))
def test_one_that_stopped_is_noticed_and_stays_noticed(pauses: list[int]) -> None:
    """Ten days and more after the last, of a store that never paused for more than three."""
    times = [NOW]
    for pause in pauses:
        times.append(times[-1] + timedelta(minutes=pause))
    rhythm = rhythm_of(times)
    assert rhythm is not None
    for days in (10, 11, 100):
        assert is_quiet(rhythm, times[-1] + timedelta(days=days), at_least=DAY)
