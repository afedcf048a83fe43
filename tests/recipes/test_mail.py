"""Mail: sent through a real server on loopback, harmless in its headers, and never a reason to fail."""

import logging
import socket
import threading
from collections.abc import Iterator

import pytest

from recipes.mail import MOST_WAITING, Mailer, Outbox
from recipes.settings import Settings, load_settings
from tests.mail_server import MailServer, mail_server


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A mail server."""
    with mail_server() as server:
        yield server


def mailer(settings: Settings, server: str, sender: str = "Pocketwire <bot@example.com>") -> Mailer:
    return Mailer(load_settings(_env_file=None, data_dir=settings.data_dir, mail_server=server, mail_from=sender))


def test_a_mail_arrives(settings: Settings, server: MailServer) -> None:
    sent = mailer(settings, server.url).send(
        "ada@example.com", subject="Reconnect Mailchimp: 12 runs are waiting", text="Nothing is lost.\n"
    )
    assert sent
    mail = server.next_text()
    assert "From: Pocketwire <bot@example.com>" in mail
    assert "To: ada@example.com" in mail
    assert "Subject: Reconnect Mailchimp: 12 runs are waiting" in mail
    assert mail.endswith("Nothing is lost.")


def test_a_line_break_in_the_subject_adds_no_header(settings: Settings, server: MailServer) -> None:
    mailer(settings, server.url).send(
        "ada@example.com", subject="Hello\r\nBcc: eve@example.com\r\n\r\nBody", text="Text"
    )
    headers = server.next_text().split("\n\n")[0]
    assert "\nBcc:" not in headers
    assert "Subject: Hello Bcc: eve@example.com Body" in headers


@pytest.mark.parametrize(
    "recipient",
    ["ada@example.com\nBcc: eve@example.com", "ada@example.com, eve@example.com", "", "nobody", "ada@example..com"],
)
def test_a_recipient_is_one_address_and_nothing_else(
    settings: Settings, server: MailServer, recipient: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not mailer(settings, server.url).send(recipient, subject="Hi", text="Text")
    assert server.said == []
    assert "eve@example.com" not in caplog.text


def test_without_a_mail_server_nothing_is_sent_and_the_log_says_so(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    off = mailer(settings, "")
    with caplog.at_level(logging.INFO):
        assert not off.send("ada@example.com", subject="Hi", text="Text")
    assert not off.is_on
    assert "POCKETWIRE_MAIL_SERVER is not set" in caplog.text
    assert "ada@example.com" not in caplog.text


def test_a_server_that_is_away_is_no_reason_to_fail(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"smtp://user:hunter2@127.0.0.1:{taken.getsockname()[1]}"
        away = mailer(settings, url)
        assert not away.send("ada@example.com", subject="Hi", text="Text")
    assert "ConnectionRefusedError" in caplog.text
    assert "hunter2" not in caplog.text + repr(away)


def test_a_password_never_goes_in_the_clear(settings: Settings, server: MailServer) -> None:
    """The server offers no STARTTLS: better no mail than a password that anyone can read."""
    assert not mailer(settings, f"smtp://user:hunter2@127.0.0.1:{server.port}").send(
        "ada@example.com", subject="Hi", text="Text"
    )
    assert not any("AUTH" in line or "MAIL" in line for line in server.said)


class Slow(Mailer):
    """A mailer whose server takes each mail only when it is told to."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.sent: list[str] = []
        self.begun, self.goes_on = threading.Semaphore(0), threading.Semaphore(0)

    def send(self, recipient: str, *, subject: str, text: str) -> bool:
        """Says that it has begun, waits, then keeps the subject."""
        self.begun.release()
        self.goes_on.acquire()
        self.sent.append(subject)
        return True


def test_an_outbox_sends_one_after_another_and_nobody_waits(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """While the mail server is slow, a page answers at once; and what waits does not grow without end."""
    slow = Slow(settings)
    outbox = Outbox(slow)
    assert outbox.post("ada@example.com", subject="first", text="Text")
    slow.begun.acquire()
    assert all(outbox.post("ada@example.com", subject=str(n), text="Text") for n in range(MOST_WAITING))
    assert not outbox.post("eve@example.com", subject="too many", text="Text")
    assert "a mail is not sent" in caplog.text
    assert "example.com" not in caplog.text
    assert slow.sent == []
    for _ in range(MOST_WAITING):
        slow.goes_on.release()
        slow.begun.acquire()
    assert slow.sent == ["first", *(str(n) for n in range(MOST_WAITING - 1))]
    slow.goes_on.release()
