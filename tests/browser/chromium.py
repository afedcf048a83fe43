"""A real Chromium, found on the machine and never downloaded, that may talk to nobody but 127.0.0.1."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "Chromium is not installed: apt-get install chromium"
_FLAGS = (
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    # Stops what is on its way to elsewhere, the browser's own requests too. Playwright's routes would do it for
    # pages only, and switch the cache off.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_HERE = "http://127.0.0.1:"
_PATIENCE_MILLISECONDS = 10_000


def find_chromium() -> str | None:
    """The path of an installed Chromium; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser, closed at the end. As root it runs without its sandbox, which it would refuse."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(),
            chromium_sandbox=os.geteuid() != 0,
            args=_FLAGS,
        )
        yield browser
        browser.close()


class Window:
    """A page in a window of its own that talks to 127.0.0.1 only, and what went wrong in it.

    Wrong is what its console calls an error or a warning (what the content policy refuses is among it), what its
    scripts raise, and every request to elsewhere, which does not get out.
    """

    def __init__(self, browser: Browser, **options: Any) -> None:
        """options: those of Playwright's new_context."""
        self._problems: list[str] = []
        # Reduced motion: nobody has to wait for smooth scrolling.
        context = browser.new_context(service_workers="block", reduced_motion="reduce", **options)
        context.set_default_timeout(_PATIENCE_MILLISECONDS)
        context.on("console", self._hear)
        context.on("request", self._look)
        context.on("weberror", lambda error: self._problems.append(f"raised: {error.error.message}"))
        self.page = context.new_page()

    def check(self) -> None:
        """Fails with what went wrong since the last time."""
        problems, self._problems = self._problems, []
        assert not problems, "; ".join(problems)

    def close(self) -> None:
        """Closes it and checks."""
        self.page.context.close()
        self.check()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._problems.append(f"{message.type}: {message.text}")

    def _look(self, request: Request) -> None:
        if not request.url.startswith(_HERE):
            self._problems.append(f"a request to elsewhere: {request.url}")
