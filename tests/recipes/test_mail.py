"""Mail: sent through a real server on loopback, harmless in its headers, and never a reason to fail."""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator

import pytest

from recipes.mail import Mailer
from recipes.settings import Settings, load_settings


class Server:
    """Takes mail by SMTP on loopback; `said` holds the lines that came, `accepts` is what it answers to a mail."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Ends it, also where nobody has come."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._thread.join()
        self._listener.close()

    @property
    def message(self) -> str:
        """The mail as it came."""
        return "\n".join(self.said[self.said.index("data") + 1 : self.said.index(".")])

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        # A client that goes away in the middle is no failure of the server.
        with contextlib.suppress(OSError), connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(b"220 ready\r\n")
            in_data = False
            for raw in stream:
                line = raw.decode().rstrip("\r\n")
                self.said.append(line)
                if in_data and line != ".":
                    continue
                in_data = line.upper() == "DATA"
                if line == "QUIT":
                    stream.write(b"221 bye\r\n")
                    return
                stream.write(b"354 go on\r\n" if in_data else b"250 fine\r\n")


@pytest.fixture
def server() -> Iterator[Server]:
    """A mail server."""
    server = Server()
    yield server
    server.close()


def mailer(settings: Settings, server: str, sender: str = "Pocketwire <bot@example.com>") -> Mailer:
    return Mailer(load_settings(_env_file=None, data_dir=settings.data_dir, mail_server=server, mail_from=sender))


def test_a_mail_arrives(settings: Settings, server: Server) -> None:
    sent = mailer(settings, f"smtp://127.0.0.1:{server.port}").send(
        "ada@example.com", subject="Reconnect Mailchimp: 12 runs are waiting", text="Nothing is lost.\n"
    )
    assert sent
    assert "From: Pocketwire <bot@example.com>" in server.message
    assert "To: ada@example.com" in server.message
    assert "Subject: Reconnect Mailchimp: 12 runs are waiting" in server.message
    assert server.message.endswith("Nothing is lost.")


def test_a_line_break_in_the_subject_adds_no_header(settings: Settings, server: Server) -> None:
    mailer(settings, f"smtp://127.0.0.1:{server.port}").send(
        "ada@example.com", subject="Hello\r\nBcc: eve@example.com\r\n\r\nBody", text="Text"
    )
    headers = server.message.split("\n\n")[0]
    assert "\nBcc:" not in headers
    assert "Subject: Hello Bcc: eve@example.com Body" in headers


@pytest.mark.parametrize(
    "recipient", ["ada@example.com\nBcc: eve@example.com", "ada@example.com, eve@example.com", "", "nobody"]
)
def test_a_recipient_is_one_address_and_nothing_else(
    settings: Settings, server: Server, recipient: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not mailer(settings, f"smtp://127.0.0.1:{server.port}").send(recipient, subject="Hi", text="Text")
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


def test_a_password_never_goes_in_the_clear(settings: Settings, server: Server) -> None:
    """The server offers no STARTTLS: better no mail than a password that anyone can read."""
    assert not mailer(settings, f"smtp://user:hunter2@127.0.0.1:{server.port}").send(
        "ada@example.com", subject="Hi", text="Text"
    )
    assert not any("AUTH" in line or "MAIL" in line for line in server.said)
