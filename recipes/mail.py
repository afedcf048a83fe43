"""Mail to merchants, through the mail server of the settings; without one, nothing is sent and the log says so."""

import logging
import queue
import smtplib
import ssl
import threading
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from urllib.parse import unquote, urlsplit

from integrations.kit import one_line
from recipes.addresses import mailbox
from recipes.settings import Settings

logger = logging.getLogger(__name__)

SECONDS = 20.0
MOST_WAITING = 100
SUBMISSION_PORT = 587
SMTPS_PORT = 465


class Mailer:
    """Sends plain-text mail, one connection to the server for each."""

    def __init__(self, settings: Settings) -> None:
        self._server = settings.mail_server
        self._sender = settings.mail_from

    def __repr__(self) -> str:
        return f"Mailer({'on' if self.is_on else 'off'})"

    @property
    def is_on(self) -> bool:
        """Whether a mail server is set."""
        return bool(self._server)

    def send(self, recipient: str, *, subject: str, text: str) -> bool:
        """Sends one mail; whether the server took it.

        Never raises for a server that is away: what a mail says stands on the pages too. Line breaks in the subject
        become spaces, so nothing in it can add a header. Addresses and the text are never logged.
        """
        if not self.is_on:
            logger.info("no mail is sent: POCKETWIRE_MAIL_SERVER is not set")
            return False
        try:
            self._deliver(self._message(recipient, subject, text))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            # Only the class: the server's answer may hold addresses or the password's user.
            logger.warning("a mail could not be sent (%s)", type(error).__name__)
            return False
        return True

    def _message(self, recipient: str, subject: str, text: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = mailbox(self._sender or f"pocketwire@{urlsplit(self._server).hostname}")
        message["To"] = mailbox(recipient)
        message["Subject"] = one_line(subject)
        message["Date"] = localtime()
        message["Message-ID"] = make_msgid(domain="pocketwire")
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message

    def _deliver(self, message: EmailMessage) -> None:
        server = urlsplit(self._server)
        host = server.hostname or ""
        context = ssl.create_default_context()
        connection: smtplib.SMTP
        if server.scheme == "smtps":
            connection = smtplib.SMTP_SSL(host, server.port or SMTPS_PORT, timeout=SECONDS, context=context)
        else:
            connection = smtplib.SMTP(host, server.port or SUBMISSION_PORT, timeout=SECONDS)
        with connection:
            connection.ehlo()
            if server.scheme == "smtp" and connection.has_extn("starttls"):
                connection.starttls(context=context)
                connection.ehlo()
            elif server.scheme == "smtp" and server.username:
                # The password and what the mail says would go in the clear.
                raise smtplib.SMTPNotSupportedError("the server offers no STARTTLS")
            if server.username:
                connection.login(unquote(server.username), unquote(server.password or ""))
            connection.send_message(message)


class Outbox:
    """Mail that nobody waits for: it is sent one after another by a thread that starts with the first one.

    What still waits when the process ends is not sent.
    """

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer
        self._waiting: queue.Queue[tuple[str, str, str]] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def is_on(self) -> bool:
        """Whether a mail server is set."""
        return self._mailer.is_on

    def post(self, recipient: str, *, subject: str, text: str) -> bool:
        """Puts one mail in, as Mailer.send takes it, and returns at once; whether there was room for it."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._send, name="mail", daemon=True)
                self._thread.start()
        try:
            self._waiting.put_nowait((recipient, subject, text))
        except queue.Full:
            logger.warning("a mail is not sent: %d others wait for the mail server", MOST_WAITING)
            return False
        return True

    def _send(self) -> None:
        while True:
            recipient, subject, text = self._waiting.get()
            self._mailer.send(recipient, subject=subject, text=text)
