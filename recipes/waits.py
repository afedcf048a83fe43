"""How long a step waits before it is done, as it is written: "3 days"."""

import re
from datetime import timedelta

# In the order in which they are offered.
UNITS = ("minutes", "hours", "days")
LONGEST_DAYS = 365
_MINUTES = {"minute": 1, "hour": 60, "day": 24 * 60}
_WAIT = re.compile(r"([0-9]{1,9}) *(minute|hour|day)s?", re.IGNORECASE)
_HOW = "Wait before this has to be a whole number of minutes, hours or days, such as 3 days."
_TOO_SHORT = "Wait before this has to be at least 1 minute: leave it blank for no wait."
_TOO_LONG = f"Wait before this can be at most {LONGEST_DAYS} days."


def problem(text: str) -> str | None:
    """What is wrong with a wait as it was entered, as a sentence; None if nothing is. A blank one is no wait."""
    if not text.strip():
        return None
    found = _WAIT.fullmatch(text.strip())
    if found is None:
        return _HOW
    minutes = _minutes(found)
    if minutes < 1:
        return _TOO_SHORT
    return _TOO_LONG if minutes > LONGEST_DAYS * _MINUTES["day"] else None


def normalized(text: str) -> str:
    """The wait as it is stored and read: "1 hour", "3 days", "" for none. Raises ValueError with the problem."""
    if said := problem(text):
        raise ValueError(said)
    found = _WAIT.fullmatch(text.strip())
    if found is None:
        return ""
    number, unit = int(found[1]), found[2].lower()
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def duration(text: str) -> timedelta:
    """The time that a stored wait takes; none at all for ""."""
    found = _WAIT.fullmatch(text)
    return timedelta(minutes=_minutes(found)) if found else timedelta(0)


def parts(text: str) -> tuple[str, str]:
    """The number and the unit of a wait as they were entered, right or wrong: "3" and "days"."""
    number, _, unit = text.strip().rpartition(" ")
    of_many = unit.lower() if unit.lower().endswith("s") else f"{unit.lower()}s"
    return (number, of_many) if of_many in UNITS else (text.strip(), UNITS[-1])


def _minutes(found: re.Match[str]) -> int:
    return int(found[1]) * _MINUTES[found[2].lower()]
