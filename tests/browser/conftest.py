"""One service, one browser and one owner's window for all tests of this folder."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import MISSING, Window, find_chromium, launched
from tests.browser.merchant import connect, go_to, make_account
from tests.browser.services import TITLES, Services, running_services
from tests.integrations.conftest import _no_proxy
from tests.service.running import Service

__all__ = ["_no_proxy"]

OpenWindow = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of this folder, and skips each by name where no browser is."""
    is_missing = find_chromium() is None
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.skipif(is_missing, reason=MISSING))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser. It ends with this folder: while it runs, no other test could run an event loop."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="package")
def services() -> Iterator[Services]:
    """The four services; at the end none may have seen a request that its description refuses."""
    with running_services() as services:
        yield services
        assert services.problems == []


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory, services: Services) -> Iterator[Service]:
    """A service on an empty data directory, started."""
    service = Service(tmp_path_factory.mktemp("store"), services.api_base)
    try:
        service.start()
        yield service
    finally:
        service.end()


@pytest.fixture(scope="package")
def owner(browser: Browser, service: Service) -> Iterator[Window]:
    """The window of who made the account by the first-run link. All tests share it: a new one takes half a second."""
    window = Window(browser, base_url=service.url)
    make_account(window.page, service.printed(r"http://\S+/first-run/\S+")[0])
    yield window
    window.close()


@pytest.fixture(scope="package")
def connected(owner: Window) -> Page:
    """The owner's page, where the four services are connected by their forms."""
    go_to(owner.page, "Connections")
    for app, title in TITLES.items():
        connect(owner.page, app, title)
    return owner.page


@pytest.fixture
def page(owner: Window) -> Iterator[Page]:
    """The owner's page, wherever the test before left it; at the end nothing may have gone wrong in it."""
    yield owner.page
    owner.check()


@pytest.fixture
def open_window(browser: Browser, service: Service) -> Iterator[OpenWindow]:
    """Opens a window in which nobody is signed in; at the end nothing may have gone wrong in it.

    Options are those of Playwright's new_context.
    """
    with ExitStack() as opened:

        def open_window(**options: Any) -> Page:
            window = Window(browser, base_url=service.url, **options)
            opened.callback(window.close)
            return window.page

        yield open_window
