"""Fixtures for tests of the use cases: services on loopback, as the engine's tests have them, and a terminal."""

from tests.integrations.conftest import closed_port
from tests.recipes.engine.conftest import _no_proxy, kitchen, mailchimp, slack, start_vendor
from tests.recipes.terminal import address, installation, reviews, terminal

__all__ = [
    "_no_proxy",
    "address",
    "closed_port",
    "installation",
    "kitchen",
    "mailchimp",
    "reviews",
    "slack",
    "start_vendor",
    "terminal",
]
