"""How long a step waits: as people write it, as it is stored, and what is refused."""

from datetime import timedelta

import pytest

from recipes import waits

GOOD = [
    ("3 days", "3 days", timedelta(days=3)),
    (" 1 Day ", "1 day", timedelta(days=1)),
    ("1 hours", "1 hour", timedelta(hours=1)),
    ("090 minutes", "90 minutes", timedelta(minutes=90)),
    ("365days", "365 days", timedelta(days=365)),
    ("", "", timedelta(0)),
    ("  ", "", timedelta(0)),
]
WRONG = [
    ("three days", "such as 3 days"),
    ("3", "such as 3 days"),
    ("3 weeks", "such as 3 days"),
    ("1.5 hours", "whole number"),
    ("-1 days", "whole number"),
    ("٣ days", "whole number"),
    ("0 days", "at least 1 minute"),
    ("366 days", "at most 365 days"),
    ("8761 hours", "at most 365 days"),
    ("9" * 9 + " days", "at most 365 days"),
    ("9" * 5000 + " days", "whole number"),
]


@pytest.mark.parametrize(("text", "stored", "time"), GOOD)
def test_what_is_understood(text: str, stored: str, time: timedelta) -> None:
    """However it is typed, it is stored in one way."""
    assert waits.problem(text) is None
    assert (waits.normalized(text), waits.duration(stored)) == (stored, time)


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_refused_says_what_would_do(text: str, said: str) -> None:
    """In a sentence that names the field; what was typed stands there again to be mended."""
    problem = waits.problem(text)
    assert problem is not None
    assert problem.startswith("Wait before this ")
    assert said in problem
    with pytest.raises(ValueError, match=said):
        waits.normalized(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("3 days", ("3", "days")),
        ("1 hour", ("1", "hours")),
        ("x minutes", ("x", "minutes")),
        ("soon", ("soon", "days")),
        ("", ("", "days")),
    ],
)
def test_a_number_and_a_unit_stand_in_two_fields(text: str, shown: tuple[str, str]) -> None:
    """Right or wrong, as they were entered."""
    assert waits.parts(text) == shown
