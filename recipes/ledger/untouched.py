"""Why nothing was done about an event that no recipe ran for."""

from collections.abc import Mapping, Sequence

from sqlmodel import Session, col, or_, select

from recipes.events import names_that_run
from recipes.models import Event, Kept, Merchant, OffPeriod, Origin, Recipe, RunsOn, Standing

NO_RECIPE = "No recipe is on for this."
NEW = "About to be looked at."
SUSPENDED = "Kept: the store is suspended. Once it is resumed, this runs in its turn."


def why_untouched(session: Session, merchant_id: int, events: Sequence[Event]) -> Mapping[int, str]:
    """For each of these events of one merchant that have no runs: why, as a sentence, by the event's id."""
    said = {event.id or 0: event.standing_reason or NO_RECIPE for event in events}
    ready = [event for event in events if event.standing == Standing.READY]
    if any(event.fanned_out_at is None for event in ready):
        is_suspended = session.get_one(Merchant, merchant_id).suspended_at is not None
        new = [event for event in ready if event.fanned_out_at is None]
        said |= {event.id or 0: SUSPENDED if is_suspended else NEW for event in new}
    # A sample is for what is on when it is sent.
    past = [event for event in ready if event.fanned_out_at is not None and event.origin != Origin.SAMPLE]
    off = _off(session, merchant_id, past)
    for event in past:
        for recipe, period in off:
            if _would_have_run(recipe, period, event):
                said[event.id or 0] = _kept(recipe, period)
                break
    return said


def _off(session: Session, merchant_id: int, events: Sequence[Event]) -> Sequence[tuple[Recipe, OffPeriod]]:
    """When which recipes were off, as far as it can be about these events; those that wait for a word first."""
    if not events:
        return []
    times = [event.received_at for event in events]
    found = (
        select(Recipe, OffPeriod)
        .join(OffPeriod, col(OffPeriod.recipe_id) == col(Recipe.id))
        .where(
            Recipe.merchant_id == merchant_id,
            col(Recipe.deleted_at).is_(None),
            col(OffPeriod.kept) != Kept.DONE,
            col(Recipe.event_type).in_({name for event in events for name in names_that_run(event.type)}),
            col(OffPeriod.since) <= max(times),
            or_(col(OffPeriod.until).is_(None), col(OffPeriod.until) > min(times)),
        )
        .order_by((col(OffPeriod.kept) == Kept.LEFT).asc(), col(Recipe.id))
    )
    return session.exec(found).all()


def _would_have_run(recipe: Recipe, period: OffPeriod, event: Event) -> bool:
    return (
        recipe.event_type in names_that_run(event.type)
        and recipe.runs_on in (RunsOn.BOTH, event.mode)
        and period.since <= event.received_at
        and (period.until is None or event.received_at < period.until)
    )


def _kept(recipe: Recipe, period: OffPeriod) -> str:
    if period.kept == Kept.LEFT:
        return f"You left it as it is: “{recipe.title}” was off."
    if period.kept == Kept.RUNNING:
        return f"It came while “{recipe.title}” was off, and is run in its turn."
    asks = "the recipe's page asks whether to run it" if recipe.enabled else "switch it on, and you are asked"
    return f"It came while “{recipe.title}” was off: {asks}."
