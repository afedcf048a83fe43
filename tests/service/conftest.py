"""A service for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integrations.conftest import _no_proxy, start_vendor
from tests.service.running import Service

__all__ = ["_no_proxy", "start_vendor"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service with an account, not yet started."""
    service = Service(tmp_path)
    yield service
    service.end()
