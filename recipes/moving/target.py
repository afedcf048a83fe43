"""The PostgreSQL that is moved to: whether it can be reached, and takes it."""

from urllib.parse import unquote

from sqlalchemy import URL, Connection, Engine, make_url, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlmodel import SQLModel

from recipes import addresses, models  # noqa: F401 - its tables are what is looked for
from recipes.db import open_database
from recipes.migrations import Schema, migrate, schema_of
from recipes.moved import MOVE_TABLE
from recipes.moving.journal import Journal
from recipes.refusal import Refusal

OPTION = "--to"
OLDEST = 14
_SHOWN = 3

# What PostgreSQL and its client say, and what is to be done about it.
_SAYINGS = (
    ("password authentication failed", "the user or the password in it is wrong"),
    ("no password supplied", "it asks for a password: put one after the user and a colon"),
    ("role", "there is no such user: correct it, or make it with createuser"),
    ("does not exist", "there is no such database: correct its name, or make it with createdb"),
    ("refused", "nobody answers at its host and port: correct them, or start PostgreSQL there"),
    ("resolve", "there is no such host: correct it"),
    ("No such file", "PostgreSQL does not run on this machine: write a host into it, or start it"),
    ("timeout", "its host does not answer: correct it, or look at the firewall between"),
)
_LIVELY = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '1 minute'"


class CannotMove(Refusal):
    """The move cannot be begun, or cannot go on. The text is a sentence with what to do."""


# Of what may stand after an address's question mark, what is no secret: libpq's "Parameter Key Words".
_PARAMETERS = {
    "application_name", "channel_binding", "client_encoding", "connect_timeout", "gssencmode", "host", "hostaddr",
    "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "load_balance_hosts", "options",
    "passfile", "port", "service", "sslcert", "sslcrl", "sslkey", "sslmode", "sslnegotiation", "sslrootcert",
    "target_session_attrs", "tcp_user_timeout",
}  # fmt: skip


def shown(url: str) -> str:
    """An address without what is secret in it."""
    address = make_url(url)
    query = {name: value for name, value in address.query.items() if name in _PARAMETERS}
    return URL.create(
        "postgresql", address.username, None, address.host, address.port, address.database, query
    ).render_as_string()


def open_target(url: str) -> Engine:
    """Opens a database that is fit to be moved to. Raises CannotMove, which never holds the password."""
    if not url.startswith("postgresql://"):
        raise CannotMove(
            f"{OPTION} has to begin with postgresql:// (example: postgresql://user:password@host/database)."
        )
    try:
        engine = open_database(addresses.database(url))
    except ValueError as error:
        if isinstance(error, Refusal):
            raise
        raise CannotMove(f"{OPTION} {error} (example: postgresql://user:password@host/database).") from None
    try:
        with engine.connect() as connection:
            _check_server(connection)
    except DBAPIError as error:
        engine.dispose()
        raise CannotMove(f"{OPTION}: {shown(url)} cannot be used: {_reason(error, url)}.") from None
    except CannotMove:
        engine.dispose()
        raise
    return engine


def _check_server(connection: Connection) -> None:
    version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10_000
    if version < OLDEST:
        raise CannotMove(f"{OPTION}: PostgreSQL {OLDEST} or newer is needed; that one is {version}.")
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise CannotMove(f"{OPTION}: the database has to be in UTF8, not {encoding}: make one with createdb -E UTF8.")


def _reason(error: DBAPIError, url: str) -> str:
    said = str(error.orig)
    for saying, meaning in _SAYINGS:
        if saying in said:
            return meaning
    address = make_url(url)
    for secret in (address.password, *(each for each in address.query.values() if isinstance(each, str))):
        for form in (secret, unquote(secret or "")):
            said = said.replace(form, "…") if form else said
    return f"it says “{' '.join(said.split())}”"


def make_ready(target: Engine) -> None:
    """Makes all tables in a database that holds nothing yet. Raises CannotMove if it holds anything."""
    with target.connect() as connection:
        there = _tables(connection)
    if MOVE_TABLE in there:
        raise CannotMove(
            f"{OPTION}: this database holds an unfinished move of another installation, or one that was begun anew "
            "since, elsewhere or after SQLite had gone on. Choose a new, empty one (createdb makes it)."
        )
    if there and schema_of(target) is Schema.EMPTY:
        some = ", ".join(there[:_SHOWN]) + (", …" if len(there) > _SHOWN else "")
        raise CannotMove(f"{OPTION}: this database has tables of something else ({some}). Choose a new, empty one.")
    refuse_rows(target)
    try:
        migrate(target)
    except ProgrammingError as error:
        raise CannotMove(
            f"{OPTION}: its user may not make tables there ({_first_line(error)}): make it the database's owner."
        ) from None
    check_no_worker(target)


def check_no_worker(target: Engine) -> None:
    """Raises CannotMove if a worker has just shown life in a database that has all tables."""
    with target.connect() as connection:
        if connection.execute(text(_LIVELY)).scalar_one():
            raise CannotMove(
                f"{OPTION}: a pocketwire worker is at work on this database. Stop it, then run pocketwire move again "
                "(a minute later if it was killed)."
            )


def refuse_rows(target: Engine) -> None:
    """Raises CannotMove if there is anything in one of our tables."""
    with target.connect() as connection:
        there = _tables(connection)
        for table in SQLModel.metadata.sorted_tables:
            if table.name in there and connection.execute(table.select().limit(1)).first() is not None:
                raise CannotMove(
                    f"{OPTION}: this database holds an installation already (there are rows in {table.name}), and "
                    "nothing in it is ever overwritten. Choose a new, empty one."
                )


def _tables(connection: Connection) -> list[str]:
    statement = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
    return list(connection.execute(text(statement)).scalars())


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).partition("\n")[0]


def journal_in(target: Engine) -> Journal | None:
    """The journal of the move that goes into this database; None if there is none."""
    with target.connect() as connection:
        return Journal(target) if MOVE_TABLE in _tables(connection) else None
