"""Brings a database to the newest revision with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from recipes.migrations import MigrationError


def upgrade(connection: Connection) -> list[str]:
    """Runs what is missing in the transaction at hand; the revisions applied. Raises MigrationError."""
    applied: list[str] = []
    config = configuration()
    config.attributes.update(connection=connection, applied=applied)
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise MigrationError(
            "This database was made by another version of Pocketwire, which this one does not know."
        ) from error
    return applied


def configuration() -> Config:
    """Alembic's configuration for this folder."""
    config = Config()
    # Alembic reads the option with interpolation: a % in the folder's name has to be doubled.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "os")
    return config
