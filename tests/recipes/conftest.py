"""Fixtures for tests of the use cases: services on loopback, as the engine's tests have them."""

from tests.integrations.conftest import closed_port
from tests.recipes.engine.conftest import _no_proxy, kitchen, mailchimp, slack, start_vendor

__all__ = ["_no_proxy", "closed_port", "kitchen", "mailchimp", "slack", "start_vendor"]
