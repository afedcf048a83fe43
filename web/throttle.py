"""Slows down whoever guesses passwords. Kept in memory: it starts anew with the service."""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address

from recipes.accounts import AccountError, normal_email

# What tries are counted by, such as ("address", "192.0.2.1").
Key = tuple[str, ...]

MOST_KEYS = 10_000

# Failed sign-ins in ten minutes.
WINDOW = timedelta(minutes=10)
MOST_BY_DEVICE = 10
MOST_BY_ADDRESS_AND_EMAIL = 10
MOST_BY_ADDRESS = 50
MOST_BY_EMAIL = 100

# An address has at most 254 characters (RFC 5321, section 4.5.3.1.3); the others are for blanks around it.
_LONGEST_EMAIL = 300


class Throttle:
    """Counts tries over a window of time."""

    def __init__(self, window: timedelta = WINDOW) -> None:
        self._window = window
        self._tries: OrderedDict[Key, deque[datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def admit(self, limits: Mapping[Key, int], now: datetime) -> bool:
        """Counts one try under each key; False, and nothing is counted, if one of them had its most already.

        Counted before its outcome is known: of many tries at once none slips through. limits: the most by key.
        """
        with self._lock:
            if any(self._count(key, now) >= most for key, most in limits.items()):
                return False
            for key in limits:
                self._tries.setdefault(key, deque()).append(now)
                self._tries.move_to_end(key)
            while len(self._tries) > MOST_KEYS:
                # Whoever tries ten thousand names must not fill our memory: what is longest ago is forgotten.
                self._tries.popitem(last=False)
            return True

    def take_back(self, keys: Iterable[Key]) -> None:
        """Uncounts a try that was admitted: it was no guess."""
        with self._lock:
            for key in keys:
                if tries := self._tries.get(key):
                    tries.pop()

    def _count(self, key: Key, now: datetime) -> int:
        tries = self._tries.get(key)
        if tries is None:
            return 0
        while tries and now - tries[0] >= self._window:
            tries.popleft()
        if not tries:
            del self._tries[key]
        return len(tries)


def sign_in_limits(address: str | None, email: str, device: str | None) -> dict[Key, int]:
    """How often a sign-in may fail, by what is counted.

    device: the browser's number if the account has signed in with it before. Then only its own tries count, so no
    stranger can lock the owner of an account out, wherever from and however often they guess.
    """
    if device:
        return {("device", device): MOST_BY_DEVICE}
    network = network_of(address)
    return {
        ("address and e-mail", network, email): MOST_BY_ADDRESS_AND_EMAIL,
        ("address", network): MOST_BY_ADDRESS,
        ("e-mail", email): MOST_BY_EMAIL,
    }


def network_of(address: str | None) -> str:
    """What one customer of a provider has: the address itself, of IPv6 its first 64 bits.

    All that is no address is counted as one. Some proxies add the port: it is left out.
    """
    host = address or ""
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        parsed = ip_address(host)
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or IPv6Network((int(parsed), 64), strict=False))


def email_of(text: str | None) -> str:
    """The e-mail address that was typed, in the one spelling that accounts keep; blank if it is none."""
    try:
        return normal_email((text or "")[:_LONGEST_EMAIL])
    except AccountError:
        return ""
