"""Fixtures for the engine's tests: real clients of Slack and Mailchimp against stand-ins on loopback."""

import pytest
from sqlalchemy import Engine

from recipes.models import Endpoint
from recipes.vault import Vault
from tests.integrations.conftest import StartVendor, _no_proxy, start_vendor
from tests.integrations.vendor import Vendor, answer
from tests.recipes.engine.kitchen import Kitchen

__all__ = ["_no_proxy", "start_vendor"]


@pytest.fixture
def slack(start_vendor: StartVendor) -> Vendor:
    """Slack on loopback; a message is posted, whatever the channel."""
    vendor = start_vendor("slack.openapi.json", "/api")
    vendor.answers["POST /chat.postMessage"] = answer({"ok": True, "channel": "C0123456789", "ts": "1.2"})
    return vendor


@pytest.fixture
def mailchimp(start_vendor: StartVendor) -> Vendor:
    """Mailchimp on loopback; whoever is added is there."""
    vendor = start_vendor("mailchimp.openapi.json", "/3.0")
    member = {"id": "1", "status": "subscribed"}
    vendor.answers["PUT /lists/{list_id}/members/{subscriber_hash}"] = answer(member)
    return vendor


@pytest.fixture
def kitchen(engine: Engine, vault: Vault, endpoint: Endpoint, slack: Vendor, mailchimp: Vendor) -> Kitchen:
    """An engine with its services on loopback."""
    bases = {"slack": slack.url + "/", "mailchimp": mailchimp.url}
    return Kitchen(engine, vault, endpoint, bases)
