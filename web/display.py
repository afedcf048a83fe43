"""How times, spans and outcomes are written on a page."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import Flask, g, request, url_for
from markupsafe import Markup

from integrations import integration
from integrations.kit import Integration
from recipes import connections
from recipes.events import event_type
from recipes.models import RunState
from web.site import site


@dataclass(frozen=True)
class Sign:
    """How an outcome looks: `tone` (ok, wait, bad, quiet) gives its colour, `icon` its picture."""

    tone: str
    icon: str


RUN_SIGNS = {
    RunState.QUEUED: Sign("wait", "clock"),
    RunState.RUNNING: Sign("wait", "clock"),
    RunState.WAITING: Sign("wait", "clock"),
    RunState.HELD: Sign("wait", "pause"),
    RunState.DELAYED: Sign("quiet", "clock"),
    RunState.UNSURE: Sign("bad", "question"),
    RunState.SUCCEEDED: Sign("ok", "check"),
    RunState.SKIPPED: Sign("quiet", "filter"),
    RunState.FAILED: Sign("bad", "cross"),
    RunState.CANCELLED: Sign("quiet", "minus"),
}
_GLYPHS = {
    "Sales": "bag",
    "Subscriptions": "loop",
    "Renewals": "loop",
    "Customers": "person",
    "Reviews": "star",
    "Payments": "card",
    "Products": "box",
}
_SPANS = ((timedelta(days=365), "year"), (timedelta(days=1), "day"), (timedelta(hours=1), "h"))


def add_to(app: Flask) -> None:
    """Gives the templates these filters and words."""
    app.jinja_env.filters.update(moment=moment, ago=_ago_now, duration=duration, count=count)
    app.jinja_env.globals.update(
        RUN_SIGNS=RUN_SIGNS, here=here, service_of=service_of, glyph_of=glyph_of, needs_credentials=needs_credentials
    )


def here(**changes: Any) -> str:
    """The address of this page with other arguments; None takes one away."""
    arguments = {**request.args.to_dict(), **changes}
    kept = {name: value for name, value in arguments.items() if value is not None}
    return url_for(request.endpoint or "home.home", **(request.view_args or {}), **kept)


def service_of(app: str | None) -> Integration | dict[str, str]:
    """The service called `app`; its bare name as title if it is not shipped any more."""
    try:
        return integration(app or "")
    except KeyError:
        return {"title": app or "the service"}


def needs_credentials(app: str) -> bool:
    """Whether a service has to be given something before it works."""
    return not connections.needs_no_credentials(app)


def glyph_of(type_name: str) -> str:
    """The picture for a type of event: its family's."""
    known = event_type(type_name)
    return _GLYPHS.get(known.family, "bolt") if known else "question"


def zone() -> ZoneInfo:
    """The time zone of the store that is shown."""
    try:
        return ZoneInfo(g.merchant.time_zone)
    except (AttributeError, ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def moment(time: datetime | None) -> Markup:
    """A time in the store's zone with the relative time beside it; a dash for none."""
    if time is None:
        return Markup('<span class="quiet">–</span>')
    here, now = time.astimezone(zone()), site().now()
    return Markup('<time datetime="{}" title="{}">{} <span class="ago">({})</span></time>').format(
        here.isoformat(timespec="seconds"),
        f"{here:%A, %-d %B %Y, %H:%M:%S} ({zone().key})",
        date_and_time(here, now),
        ago(time, now),
    )


def date_and_time(here: datetime, now: datetime) -> str:
    """ "24 Jul, 14:03"; with the year if it is not this one."""
    year = "" if here.year == now.astimezone(here.tzinfo).year else f" {here:%Y}"
    return f"{here:%-d %b}{year}, {here:%H:%M}"


def ago(time: datetime, now: datetime) -> str:
    """ "5 min ago", "in 2 days"."""
    span = abs(now - time)
    if span < timedelta(minutes=1):
        return "just now" if time <= now else "in a moment"
    words = f"{span // timedelta(minutes=1)} min"
    for unit, name in _SPANS:
        if span >= unit:
            number = span // unit
            words = f"{number} {name}" if name == "h" or number == 1 else f"{number} {name}s"
            break
    return f"{words} ago" if time <= now else f"in {words}"


def _ago_now(time: datetime) -> str:
    return ago(time, site().now())


def duration(milliseconds: int) -> str:
    """ "182 ms", "30.0 s"."""
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def count(number: int, one: str, many: str | None = None) -> str:
    """ "1 run", "12 runs"; `many` where an s is not enough."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
