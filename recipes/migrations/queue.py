"""Procrastinate's own tables, on PostgreSQL: made once, then brought to the version that is installed."""

import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

_NUMBER = re.compile(r"\d+")


def bring_up_queue(connection: Connection) -> None:
    """Makes or changes the tables in the transaction at hand. What version they are of is noted as their comment."""
    manager: Any = import_module("procrastinate.schema").SchemaManager
    installed = version("procrastinate")
    found = connection.execute(text("SELECT obj_description(to_regclass('procrastinate_jobs'), 'pg_class')")).scalar()
    there = connection.execute(text("SELECT to_regclass('procrastinate_jobs') IS NOT NULL")).scalar()
    if there and found is None:
        # Made by something else than us; it knows what version they are of, we do not.
        return
    if not there:
        _run(connection, manager.get_schema())
    elif _numbers(str(found)) < _numbers(installed):
        for file in _later_than(_numbers(str(found)), Path(manager.get_migrations_path())):
            _run(connection, file.read_text("utf-8"))
    else:
        return
    _run(connection, f"COMMENT ON TABLE procrastinate_jobs IS 'procrastinate {installed}'")


def _later_than(found: tuple[int, ...], folder: Path) -> list[Path]:
    # Such as 03.04.00_50_post_add_retry_failed_job_procedure.sql: the version it came with, then its place in it.
    return sorted(path for path in folder.glob("*.sql") if _numbers(path.name.partition("_")[0]) > found)


def _numbers(written: str) -> tuple[int, ...]:
    found = [int(each) for each in _NUMBER.findall(written)][:3]
    return tuple(found + [0] * (3 - len(found)))


def _run(connection: Connection, statements: str) -> None:
    # The driver's own, without parameters: many statements at once, with signs that would pass for parameters.
    driver: Any = connection.connection.driver_connection
    driver.execute(statements)
