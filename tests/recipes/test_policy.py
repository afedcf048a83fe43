"""What follows from a failed try: DESIGN's table, row by row."""

from datetime import timedelta

import pytest

from integrations.errors import ActionError, Permanent, Temporary, Unauthorized, Unsure
from recipes.policy import SCHEDULE, Again, AskMerchant, Decision, Pause, Stop, decide
from tests.conftest import NOW

LAST = len(SCHEDULE) + 1


@pytest.mark.parametrize(
    ("error", "repeatable", "decision"),
    [
        (Temporary("busy"), True, Again(NOW + timedelta(seconds=5))),
        (Temporary("busy"), False, Again(NOW + timedelta(seconds=5))),
        (Unsure("no answer"), True, Again(NOW + timedelta(seconds=5))),
        (Unsure("no answer"), False, AskMerchant()),
        (Permanent("no"), True, Stop()),
        (Permanent("no"), False, Stop()),
        (Unauthorized("key"), True, Pause()),
        (Unauthorized("key"), False, Pause()),
    ],
)
def test_the_kind_of_error_says_what_happens_next(error: ActionError, repeatable: bool, decision: Decision) -> None:
    """A call that may have happened and must not happen twice is never simply repeated."""
    assert decide(error, 1, repeatable, NOW, 0.0) == decision


@pytest.mark.parametrize(
    ("error", "repeatable", "decision"),
    [
        (Temporary("busy"), True, Stop()),
        (Temporary("busy", after=timedelta(seconds=1)), False, Stop()),
        (Unsure("no answer"), True, Stop()),
        (Unsure("no answer"), False, AskMerchant()),
        (Unauthorized("key"), True, Pause()),
    ],
)
def test_after_the_last_try(error: ActionError, repeatable: bool, decision: Decision) -> None:
    """Tries come to an end; what needs the merchant still does."""
    assert decide(error, LAST, repeatable, NOW, 0.0) == decision


def test_waits_grow_from_seconds_to_a_day() -> None:
    """The schedule of the design: nine waits between ten tries."""
    waits = [decide(Temporary("busy"), attempt, True, NOW, 0.0) for attempt in range(1, LAST)]
    seconds = [5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600]
    assert waits == [Again(NOW + timedelta(seconds=each)) for each in seconds]


@pytest.mark.parametrize(("jitter", "seconds"), [(-0.2, 24), (0.0, 30), (0.2, 36)])
def test_jitter_spreads_the_tries(jitter: float, seconds: int) -> None:
    """A thousand runs that failed together do not come back together."""
    assert decide(Temporary("busy"), 2, True, NOW, jitter) == Again(NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("attempt", "asked", "waited"),
    [
        (1, timedelta(seconds=40), timedelta(seconds=40)),
        (1, timedelta(0), timedelta(seconds=4)),
        (4, timedelta(seconds=40), timedelta(minutes=8)),
        (1, timedelta(days=365), timedelta(hours=24)),
    ],
)
def test_a_service_is_never_asked_sooner_than_it_said(attempt: int, asked: timedelta, waited: timedelta) -> None:
    """Retry-After is a minimum, jitter or not; an absurd one counts as a day."""
    assert decide(Temporary("busy", after=asked), attempt, True, NOW, -0.2) == Again(NOW + waited)


def test_an_error_of_no_known_kind_stops() -> None:
    """Nothing is repeated on a guess."""
    assert decide(ActionError("what"), 1, True, NOW, 0.0) == Stop()
