"""How times, spans and counts read."""

from datetime import timedelta

import pytest

from tests.conftest import NOW
from web.display import ago, count, date_and_time, duration


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=-30), "just now"),
        (timedelta(seconds=30), "in a moment"),
        (timedelta(minutes=-5), "5 min ago"),
        (timedelta(hours=-3), "3 h ago"),
        (timedelta(days=-1), "1 day ago"),
        (timedelta(days=-40), "40 days ago"),
        (timedelta(days=-800), "2 years ago"),
        (timedelta(minutes=9), "in 9 min"),
        (timedelta(days=2), "in 2 days"),
    ],
)
def test_relative_times(span: timedelta, words: str) -> None:
    """As people say them."""
    assert ago(NOW + span, NOW) == words


def test_dates_name_the_year_only_if_it_is_another() -> None:
    """The less there is to read, the better."""
    assert date_and_time(NOW, NOW) == "24 Jul, 12:00"
    assert date_and_time(NOW - timedelta(days=365), NOW) == "24 Jul 2025, 12:00"


def test_spans_and_counts() -> None:
    """One is not many."""
    assert (duration(182), duration(30011)) == ("182 ms", "30.0 s")
    assert (count(1, "run"), count(1200, "run"), count(2, "thing needs", "things need")) == (
        "1 run", "1,200 runs", "2 things need",
    )  # fmt: skip
