"""What has to be done from time to time: lost runs, the spool, notices."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from integrations import integration
from recipes import engine as runs
from recipes.db import UNAVAILABLE, reading, transaction
from recipes.ledger import silences
from recipes.mail import Mailer
from recipes.models import (
    OPEN_STATES,
    Account,
    Connection,
    ConnectionState,
    Membership,
    Merchant,
    Notice,
    Run,
    RunState,
    among,
)
from recipes.spool import Spool
from recipes.storing import bring_in

logger = logging.getLogger(__name__)


def recover_runs(engine: Engine, now: datetime, only_lease: str | None = None) -> int:
    """Puts back runs whose engine died; their number."""
    with transaction(engine) as session:
        found = runs.recover(session, now=now, only_lease=only_lease)
    if found:
        logger.warning("%d runs were under way when an engine stopped; they go on", found)
    return found


def mend_due_times(engine: Engine, now: datetime, back: timedelta = timedelta(0)) -> None:
    """Lets no run wait for longer because the clock was set back, just now by `back` if that is known."""
    with transaction(engine) as session:
        mended = runs.mend_due_times(session, now=now, back=back)
    if mended:
        logger.warning("the clock was set back: %d runs do not wait for its old time", mended)


def empty_spool(engine: Engine, spool: Spool) -> int:
    """Stores the deliveries that wait in the spool; their number, 0 while the database cannot take them."""
    try:
        count = bring_in(engine, spool)
    except (SQLAlchemyError, OSError) as error:
        logger.warning("the spool has to wait: it cannot be brought in (%s)", type(error).__name__)
        return 0
    if count:
        logger.info("%d deliveries came in from the spool", count)
    return count


def send_notices(engine: Engine, mailer: Mailer, public_url: str, now: datetime) -> int:
    """Tells merchants once, by mail, of each connection that has paused; the number of notices."""
    sent = 0
    for connection in _paused_untold(engine):
        try:
            sent += _send_notice(engine, mailer, public_url, connection, now)
        except UNAVAILABLE:
            raise
        except Exception:
            # The others' merchants are told all the same.
            logger.exception("the notice that connection %s has paused cannot be sent", connection.id)
    return sent


def _send_notice(engine: Engine, mailer: Mailer, public_url: str, connection: Connection, now: datetime) -> bool:
    with reading(engine) as session:
        held = session.execute(
            select(func.count()).where(
                col(Run.connection_id) == connection.id,
                among(col(Run.state), OPEN_STATES),
                col(Run.state) == RunState.HELD,
            )
        ).scalar_one()
    waiting = "1 run is waiting" if held == 1 else f"{held} runs are waiting"
    mail = _Mail(
        subject=f"Reconnect {_title(connection.app)}: {waiting}",
        text=f"{connection.paused_reason}\n\nNothing is lost: {waiting} for {connection.name}, "
        f"and all of them go on, in order, once it is reconnected.\n\n"
        f"{public_url}/connections/{connection.id}\n",
    )
    return _tell(engine, mailer, connection.merchant_id, _about(connection), mail, now)


def _title(app: str) -> str:
    try:
        return integration(app).title
    except KeyError:  # it is not shipped any more
        return app


@dataclass(frozen=True)
class _Mail:
    subject: str
    text: str


def _tell(engine: Engine, mailer: Mailer, merchant_id: int, about: str, mail: _Mail, now: datetime) -> bool:
    """Mails everybody of a store, and notes it; whether it is done with, or has to be tried again."""
    # Noted first: a crash in between loses a mail (the page says the same), it never sends it twice.
    with transaction(engine) as session:
        session.add(Notice(merchant_id=merchant_id, about=about, created_at=now))
        people = select(col(Account.email)).join(Membership, col(Membership.account_id) == col(Account.id))
        addresses = session.execute(people.where(col(Membership.merchant_id) == merchant_id)).scalars().all()
    delivered = [mailer.send(address, subject=mail.subject, text=mail.text) for address in addresses]
    if mailer.is_on and addresses and not any(delivered):
        # The mail server is away: nobody was told, so the next turn tries again.
        with transaction(engine) as session:
            session.execute(delete(Notice).where(col(Notice.merchant_id) == merchant_id, col(Notice.about) == about))
        return False
    return True


def notice_silences(engine: Engine, mailer: Mailer, public_url: str, now: datetime) -> int:
    """Tells merchants once, by mail, of each thing that has gone quiet; the number of notices."""
    with reading(engine) as session:
        merchants = session.execute(select(col(Merchant.id)).order_by(col(Merchant.id))).scalars().all()
    sent = 0
    for merchant_id in merchants:
        try:
            sent += _notice_silences(engine, mailer, public_url, merchant_id, now)
        except UNAVAILABLE:
            raise
        except Exception:
            logger.exception("what has gone quiet at store %d cannot be told", merchant_id)
    return sent


def _notice_silences(engine: Engine, mailer: Mailer, public_url: str, merchant_id: int, now: datetime) -> int:
    with reading(engine) as session:
        quiet = silences(session, merchant_id, now)
        told = select(col(Notice.about)).where(
            col(Notice.merchant_id) == merchant_id, col(Notice.about).in_([each.about for each in quiet])
        )
        told_of = set(session.execute(told).scalars())
    sent = 0
    for each in quiet:
        if each.about not in told_of:
            mail = _Mail(subject=each.sentence, text=f"{each.sentence}\n\n{each.note}\n\n{public_url}/\n")
            sent += _tell(engine, mailer, merchant_id, each.about, mail, now)
    return sent


def _about(connection: Connection) -> str:
    # By when it paused: one that was mended at the service, and pauses again later, is news.
    return f"connection:{connection.id}:paused:{connection.paused_at}"


def _paused_untold(engine: Engine) -> list[Connection]:
    with reading(engine) as session:
        paused = session.execute(select(Connection).where(col(Connection.state) == ConnectionState.PAUSED))
        connections = list(paused.scalars())
        told = set(
            session.execute(
                select(col(Notice.about)).where(col(Notice.about).in_([_about(each) for each in connections]))
            ).scalars()
        )
    return [connection for connection in connections if _about(connection) not in told]
