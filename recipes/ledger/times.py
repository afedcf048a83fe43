"""Times in sentences."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


def day(moment: datetime, zone: ZoneInfo) -> str:
    """ "Friday, 24 July", in that zone."""
    there = moment.astimezone(zone)
    return f"{there:%A}, {there.day} {there:%B}"


def span(time: timedelta) -> str:
    """ "3 days", "5 hours", "less than an hour": rounded up, so that it is never said too short."""
    hours = -(-time // timedelta(hours=1))
    if hours <= 1:
        return "an hour"
    return f"{hours} hours" if hours < 48 else f"{-(-hours // 24)} days"
