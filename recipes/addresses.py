"""Addresses as an operator writes them: of a database, what is listened on, of the web, a mail server, a mail's sender.

Each function raises ValueError if it cannot use the text. The error says in words what is wrong, to follow the name of
the setting; it never holds the text, which may have a password in it.
"""

import ipaddress
import re
from collections.abc import Callable
from email.errors import MessageError
from email.headerregistry import Address
from urllib.parse import SplitResult, urlsplit

SQLITE = "sqlite:///"
HIGHEST_PORT = 65_535
_PORT = f"a port from 1 to {HIGHEST_PORT}"
_LISTENING = re.compile(r"(?:\[(?P<six>[^\[\]]*)\]|(?P<four>[^:\[\]]*)):(?P<port>[^:]*)")
_HOST_NAME = re.compile(r"[\w-]+(?:\.[\w-]+)*\.?")
_BARE = re.compile(r"(?P<spec>[^@\s,;<>]+@[^@\s,;<>]+)")
_NAMED = re.compile(rf"(?P<name>[^@\r\n,;<>]*)<{_BARE.pattern}>")


def listening(text: str) -> tuple[str, int]:
    """The IP address, without brackets, and the port of a text such as 127.0.0.1:8000 or [::1]:8000."""
    found = _LISTENING.fullmatch(text)
    if found is None:
        raise ValueError("has to be an IP address, a colon and a port, with an IPv6 address in square brackets")
    port = found["port"]
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= HIGHEST_PORT):
        raise ValueError(f"has to end in {_PORT}")
    if found["six"] is not None and _is_ip(found["six"], ipaddress.IPv6Address):
        return found["six"], int(port)
    if found["four"] and _is_ip(found["four"], ipaddress.IPv4Address):
        return found["four"], int(port)
    # Granian takes no host names, not even localhost.
    raise ValueError("has to begin with an IP address, 127.0.0.1 for this machine alone or 0.0.0.0 for every network")


def bind_text(host: str, port: int) -> str:
    """An IP address, with or without brackets, and a port as `listening` reads them."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def database(text: str) -> str:
    """A database's address, sqlite:///path or postgresql://user:password@host/database, as it is."""
    if text.startswith(SQLITE):
        # In memory, each process would have a database of its own, and an end would lose it.
        if "?" in text or text.removeprefix(SQLITE) in ("", ":memory:"):
            raise ValueError("has to be the path of a file after sqlite:/// and nothing else")
        return text
    if not text.startswith("postgresql://"):
        raise ValueError("has to begin with sqlite:/// and the path of a file, or with postgresql://")
    parts = _split(text, "postgresql")
    if not parts.path.strip("/") or "/" in parts.path[1:] or "#" in text:
        raise ValueError(
            "has to have a database's name after the host and a slash; in a user or a password write %2F for a slash "
            "and %23 for a number sign"
        )
    # Without a host it is this machine, or a socket that the query names.
    if parts.netloc.rpartition("@")[2]:
        _check_host(parts)
    return text


def web_address(text: str) -> str:
    """An http:// or https:// address, which may have a path, as it is."""
    parts = _split(text, "http", "https")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or a password")
    if "?" in text or "#" in text:
        raise ValueError("must not have a ? or a # in it")
    _check_host(parts)
    return text


def site_address(text: str) -> str:
    """A web address without a path, not even a final slash: our pages lead to paths that begin at the host."""
    site = web_address(text).rstrip("/")
    if urlsplit(site).path:
        raise ValueError("has to end after the host and port: Pocketwire does not work under a path")
    return site


def is_own_machine(address: str) -> bool:
    """Whether a web address leads nowhere but to the machine it is opened on."""
    host = urlsplit(address).hostname or ""
    return host == "localhost" or (_is_ip(host, ipaddress.ip_address) and ipaddress.ip_address(host).is_loopback)


def mail_server(text: str) -> str:
    """A mail server's address, smtp:// or smtps://, with user and password percent-encoded if any, as it is."""
    parts = _split(text, "smtp", "smtps")
    if parts.path.strip("/") or "?" in text or "#" in text:
        raise ValueError(
            "has to end after the host and port; in a user or a password write %2F for a slash, %3F for a question "
            "mark and %23 for a number sign"
        )
    if bool(parts.username) != bool(parts.password):
        raise ValueError("has to have both a user and a password, or neither")
    _check_host(parts)
    return text


def mailbox(text: str) -> Address:
    """One mail address, bare or as "Name <address>", and nothing besides."""
    found = _BARE.fullmatch(text.strip()) or _NAMED.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        parts = found.groupdict()
        return Address(display_name=parts.get("name", "").strip(), addr_spec=parts["spec"])
    except (ValueError, MessageError):
        raise ValueError("has to be one mail address, with a name before it if you like") from None


def _split(text: str, *schemes: str) -> SplitResult:
    if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise ValueError(f"has to begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if any(letter == " " or not letter.isprintable() for letter in text):
        raise ValueError("must not have spaces in it")
    try:
        return urlsplit(text)
    except ValueError:
        raise ValueError("has square brackets that are not around an IPv6 address") from None


def _check_host(parts: SplitResult) -> None:
    host = parts.hostname or ""
    looks_numeric = host.replace(".", "").isdecimal()
    if not _is_ip(host, ipaddress.ip_address) and (looks_numeric or not _HOST_NAME.fullmatch(host)):
        raise ValueError(f"has to have a host after {parts.scheme}://")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"has to have {_PORT} after the colon")


def _is_ip(text: str, read: Callable[[str], object]) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return "%" not in text
