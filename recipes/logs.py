"""Where the service's log goes, and what is too much for it."""

import logging

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# At INFO these write addresses of people and pages.
_QUIET = ("alembic", "apscheduler", "procrastinate", "urllib3")


def set_up_logging() -> None:
    """Logs to standard error, from INFO on."""
    logging.basicConfig(level=logging.INFO, format=_FORMAT)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
