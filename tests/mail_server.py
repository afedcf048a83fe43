"""A mail server on loopback that speaks SMTP, and keeps what it is given."""

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_string
from email.message import EmailMessage
from email.policy import default

PATIENCE_SECONDS = 20


class MailServer:
    """Takes mail by SMTP, one connection after another; `said` holds all lines that came."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._mails: queue.Queue[str] = queue.Queue()
        self._is_closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"smtp://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Ends it, also where nobody has come."""
        self._is_closing = True
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            pass
        self._thread.join()
        self._listener.close()

    def next_text(self) -> str:
        """The next mail as it comes, headers and all; waits for it."""
        return self._mails.get(timeout=PATIENCE_SECONDS)

    def next_mail(self) -> EmailMessage:
        """The next mail, as a mail program reads it; waits for it."""
        return message_from_string(self.next_text(), _class=EmailMessage, policy=default)

    def _serve(self) -> None:
        while not self._is_closing:
            connection, _ = self._listener.accept()
            # A client that goes away in the middle is no failure of the server.
            with suppress(OSError), connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        with connection.makefile("rwb", buffering=0) as stream:
            stream.write(b"220 ready\r\n")
            mail: list[str] | None = None
            for raw in stream:
                line = raw.decode().rstrip("\r\n")
                self.said.append(line)
                if mail is not None and line != ".":
                    # A line's own first dot is doubled on its way (RFC 5321, section 4.5.2).
                    mail.append(line.removeprefix("."))
                    continue
                if mail is not None:
                    self._mails.put("\n".join(mail))
                mail = [] if line.upper() == "DATA" else None
                stream.write(_answer(line))
                if line.upper() == "QUIT":
                    return


def _answer(line: str) -> bytes:
    return {"DATA": b"354 go on\r\n", "QUIT": b"221 bye\r\n"}.get(line.upper(), b"250 fine\r\n")


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A server, closed at the end."""
    server = MailServer()
    try:
        yield server
    finally:
        server.close()
