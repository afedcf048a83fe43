"""Every main page, filled: nothing in the console, nothing refused, nothing wider than a phone."""

from collections.abc import Sequence
from typing import Literal

import pytest
from playwright.sync_api import Page, ViewportSize

from tests.browser.chromium import Window
from tests.browser.conftest import OpenWindow
from tests.browser.merchant import follow, paste_secret, sell, switch_on, wait_for_runs

DESK: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 375, "height": 812}
LONG = "a-buyer-with-a-very-long-address-that-has-no-place-to-break@a-host-with-a-long-name.example.com"
MAIN_PAGES = (
    "/",
    "/recipes",
    "/recipes?show=on",
    "/recipes/new/review.created/slack-message",
    "/connections",
    "/connections/new/google_sheets",
    "/activity",
    "/activity/runs",
    "/ledger",
    "/ledger/table?name=Reviews",
    "/set-up",
    "/account",
    "/account/password",
)


@pytest.fixture(scope="module")
def places(connected: Page) -> Sequence[str]:
    """The main pages' addresses, in a store with connections and a recipe that wrote down a review of long words."""
    page = connected
    page.goto("/recipes/new/review.created/ledger-row")
    switch_on(page)
    recipe = page.url
    review = {"id": "review_1", "rating": 2, "review": f"{'Long' * 60} {'words ' * 60}"}
    sell(paste_secret(page), "review.created", review=review, customer={"email": LONG})
    [line] = wait_for_runs(page, LONG, "Ledger")
    follow(line.get_by_role("link"))
    run = page.url
    follow(page.locator(".wire").get_by_role("link").first)
    return (*MAIN_PAGES, recipe, f"{recipe}/delete", run, page.url)


def test_every_page_is_sound_and_fits_a_phone(places: Sequence[str], page: Page, open_window: OpenWindow) -> None:
    """Light and dark, whatever a buyer wrote. What a console says fails the test at its end, with the window."""
    gate = open_window(viewport=PHONE)
    page.set_viewport_size(PHONE)
    for window, place in [*((page, place) for place in places), (gate, "/sign-in"), (gate, "/forgotten-password")]:
        answer = window.goto(place)
        assert answer
        assert answer.status == 200, place
        assert "content-security-policy" in answer.headers, place
        # What is folded away has to fit too.
        window.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        papers = [_paper_of(window, scheme, place) for scheme in ("light", "dark")]
        assert papers[0] != papers[1], place
    page.set_viewport_size(DESK)


def _paper_of(page: Page, scheme: Literal["light", "dark"], place: str) -> str:
    page.emulate_media(color_scheme=scheme)
    width, paper = page.evaluate(
        "[document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]"
    )
    assert width <= PHONE["width"], f"{place} is {width} px wide when it is {scheme}"
    return str(paper)


def test_the_window_sees_what_goes_wrong_in_it(page: Page, owner: Window) -> None:
    """A script that raises, a script against the content policy, a request to elsewhere: each would fail a test."""
    page.goto("/set-up")
    page.evaluate("setTimeout(() => { throw new Error('broken') })")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), { text: '1' }))")
    with page.expect_popup() as popup:
        page.evaluate("void window.open('http://192.0.2.1/')")
    popup.value.close()
    page.goto("/connections")
    with pytest.raises(AssertionError) as caught:
        owner.check()
    for problem in ("raised: broken", "Content Security Policy", "a request to elsewhere: http://192.0.2.1/"):
        assert problem in str(caught.value)


def test_all_of_a_row_can_be_pressed_and_what_else_is_in_it_too(places: Sequence[str], page: Page) -> None:
    """On a phone nobody hits a few words; a recipe's switch still switches."""
    page.set_viewport_size(DESK)
    page.goto("/activity")
    row = page.locator("main .panel-list > li").first
    box = row.bounding_box()
    assert box
    with page.expect_event("domcontentloaded"):
        row.click(position={"x": box["width"] - 12, "y": box["height"] / 2})
    assert "/activity/events/" in page.url
    page.goto("/recipes?show=on")
    switch = page.get_by_role("switch").first
    for wanted in ("false", "true"):
        switch.click()
        page.locator(f"[role=switch][aria-checked={wanted}]").first.wait_for()
    assert page.url.endswith("/recipes?show=on")


def test_a_button_shows_that_the_keyboard_is_on_it(places: Sequence[str], page: Page) -> None:
    """Bootstrap's own buttons take the outline away."""
    page.goto("/connections")
    page.keyboard.press("Tab")
    page.locator("button.btn").first.focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
