"""README's pictures: real pages of a real service. `make screenshots` makes them anew."""

import sys
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.browser.chromium import MISSING, Window, find_chromium, launched
from tests.browser.merchant import sign_in
from tests.browser.services import Services, running_services
from tests.browser.store import Past
from tests.integrations.vendor import answer
from tests.service.running import Service

PICTURES = Path(__file__).parent / "pictures"
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 375, "height": 812}
_BUYERS = (
    "Ines Carvalho", "Tomasz Zielinski", "Amara Okafor", "Jonas Lindqvist", "Priya Raman", "Mateo Alvarez",
    "Hannah Fischer", "Sofia Rossi", "Noah Bennett", "Yuki Tanaka", "Leila Haddad", "Oscar Nyberg",
)  # fmt: skip
_PRICES = (19.0, 34.0, 64.99, 12.5)
_MEMBER = {"discord_id": "80351110224678912", "plan": "supporter"}


def main() -> None:
    """Makes all of them."""
    if find_chromium() is None:
        sys.exit(MISSING)
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_services() as services, launched() as browser:
        with closing(Past(Path(folder) / "data", services.api_base)) as past:
            _live_a_week(past, services)
        service = Service(Path(folder), services.api_base)
        try:
            service.start()
            _take_all(browser, service)
        finally:
            service.end()


def _live_a_week(past: Past, services: Services) -> None:
    for number, buyer in enumerate(_BUYERS):
        _sell(past, 150 - 12.7 * number, buyer, _PRICES[number % len(_PRICES)])
    past.happens(timedelta(hours=3.4), "order.refunded", "Mateo Alvarez")
    past.happens(timedelta(hours=1.2), "customer.subscription.deleted", "Jonas Lindqvist", metadata=_MEMBER)
    # Slack is busy for a moment: the first try fails, the second succeeds.
    services["slack"].script.append(answer({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": "30"}))
    said = {"id": "6a44aa01fae6c4f0cb5a21c0", "rating": 5, "review": "A guide that gets to the point. Thank you!"}
    past.happens(timedelta(minutes=18), "review.created", "Priya Raman", review=said)
    past.ago -= timedelta(seconds=31)
    past.work()
    _sell(past, 0.05, "Elif Demir", _PRICES[2])


def _sell(past: Past, hours_ago: float, buyer: str, price: float) -> None:
    ago = timedelta(hours=hours_ago)
    past.happens(ago, "customer.created", buyer)
    past.happens(ago, "order.completed", buyer, amount=price)


def _take_all(browser: Browser, service: Service) -> None:
    desk = _window(browser, service, viewport=DESK)
    page = desk.page
    _take(page, "home")
    page.goto("/recipes")
    _take(page, "recipes")
    page.get_by_role("link", name="When a buyer leaves a review, post it to Slack #reviews").click()
    page.locator("[data-recipe]").wait_for()
    _take(page, "recipe")
    page.goto("/activity")
    _take(page, "activity")
    page.goto("/activity/runs")
    page.get_by_role("link", name="Post reviews to Slack").click()
    page.locator(".wire").wait_for()
    _take(page, "run")
    desk.close()
    phone = _window(browser, service, viewport=PHONE, color_scheme="dark")
    _take(phone.page, "home-phone")
    phone.close()


def _window(browser: Browser, service: Service, **options: Any) -> Window:
    window = Window(browser, base_url=service.url, locale="en-GB", **options)
    sign_in(window.page, "/")
    window.page.get_by_role("heading", name="Last events").wait_for()
    return window


def _take(page: Page, name: str) -> None:
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled", caret="hide")


if __name__ == "__main__":
    main()
