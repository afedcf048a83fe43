"""Stores batches of deliveries: those that come, and those that waited in the spool."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnection

from recipes.db import transaction
from recipes.intake import Intake
from recipes.spool import Delivery, Spool

logger = logging.getLogger(__name__)

LARGEST_BATCH = 1_000


def store(
    engine: Engine, deliveries: Sequence[Delivery], came_meanwhile: Callable[[], Sequence[Delivery]] = tuple
) -> list[bool]:
    """Stores a batch in one transaction. For each delivery: whether it is new.

    came_meanwhile: asked once the database is ours, which can take longer than storing; what it gives is stored with
    the others. Raises SQLAlchemyError if the database cannot be written. A delivery that cannot be taken apart is
    stored as unreadable; it never keeps others out.
    """
    batch = list(deliveries)
    try:
        with transaction(engine) as session:
            batch += came_meanwhile()
            return Intake(session).take(batch)
    except Exception as error:
        if is_about_the_database(error):
            raise
        logger.exception("a batch of %d could not be interpreted: storing one by one", len(batch))
        return [_store_one(engine, delivery) for delivery in batch]


def _store_one(engine: Engine, delivery: Delivery) -> bool:
    try:
        with transaction(engine) as session:
            return Intake(session).take([delivery])[0]
    except Exception as error:
        if is_about_the_database(error):
            raise
        digest = hashlib.sha256(delivery.body).hexdigest()
        logger.exception("a delivery could not be interpreted: stored as unreadable (sha256 %s)", digest)
        with transaction(engine) as session:
            return Intake(session).take_unread(delivery)


def bring_in(engine: Engine, spool: Spool, most: int | None = None) -> int:
    """Stores what is in the spool, oldest first, at most so many batches; the number of deliveries.

    Raises SQLAlchemyError while the database cannot be written, OSError if the spool cannot be read. A batch with
    a delivery that no database would take (its endpoint is gone) is set aside in the folder and logged once the others
    of it are stored.
    """
    count = 0
    for path, deliveries in islice(spool.batches(), most):
        refused = 0
        for part in _parts(deliveries):
            try:
                store(engine, part)
            except Exception as error:
                if is_about_the_database(error):
                    raise
                refused += sum(not _is_taken(engine, delivery) for delivery in part)
        if refused:
            logger.error("%d deliveries of the batch %s cannot be stored", refused, path.name)
            spool.set_aside(path)
        else:
            # Only now: a crash before this line brings the batch in twice, and its identity keys see to that.
            spool.remove(path)
        count += len(deliveries) - refused
    return count


def _is_taken(engine: Engine, delivery: Delivery) -> bool:
    try:
        _store_one(engine, delivery)
    except Exception as error:
        if is_about_the_database(error):
            raise
        logger.exception("a delivery to endpoint %d cannot be stored", delivery.endpoint_id)
        return False
    return True


def is_about_the_database(error: Exception) -> bool:
    """Whether it is away, locked, full, read-only or broken; not, whether it refuses what stands in a delivery."""
    return isinstance(error, DBAPIError | NoConnection) and not isinstance(error, IntegrityError | DataError)


def _parts(deliveries: Sequence[Delivery]) -> Iterable[Sequence[Delivery]]:
    return (deliveries[start : start + LARGEST_BATCH] for start in range(0, len(deliveries), LARGEST_BATCH))
