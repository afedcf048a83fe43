"""What a merchant does on the pages, found by what they read there."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from playwright.sync_api import Locator, Page

from recipes.events import event_type
from recipes.pocketsflow.sending import compact, deliver
from tests.integrations.cases import CASES
from tests.service.running import eventually

EMAIL, PASSWORD, STORE = "ada@juniper.example", "a password of some length", "Juniper Press"
SECRET = "whsec_of_the_store_in_the_browser"


def follow(link: Locator) -> None:
    """Clicks a link or a button and waits for the next page: what is looked for after is looked for there."""
    with link.page.expect_event("domcontentloaded"):
        link.click()


def make_account(page: Page, link: str) -> None:
    """From the first-run link to Home."""
    page.goto(link)
    page.get_by_label("Your store’s name").fill(STORE)
    page.get_by_label("Your e-mail").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password once more").fill(PASSWORD)
    follow(page.get_by_role("button", name="Make my account"))


def sign_in(page: Page, url: str) -> None:
    """With the account's password."""
    page.goto(url)
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    follow(page.get_by_role("button", name="Sign in"))


def go_to(page: Page, place: str) -> None:
    """By the list of places."""
    follow(page.get_by_role("navigation", name="Places").get_by_role("link", name=place))


def connect(page: Page, app: str, title: str) -> None:
    """From the list of connections, by the service's form, which asks the service at once, and back to the list."""
    follow(page.locator(".apps").get_by_role("link", name=title))
    for name, value in CASES[app].credentials.items():
        page.locator(f"[name={name}]").fill(str(value))
    follow(page.get_by_role("button", name="Connect", exact=True))
    page.get_by_role("status").filter(has_text=f"{title} works").wait_for()


def open_recipe(page: Page, event: str, sentence: str) -> None:
    """Opens the set-up form of a recipe that the shelf offers for an event."""
    go_to(page, "Recipes")
    section = page.locator(f'section[id="{event}"]')
    offered = section.get_by_role("link", name=sentence)
    if not offered.is_visible():
        section.locator("summary").click()
    follow(offered)


def choose(page: Page, choices: Mapping[str, str]) -> None:
    """Chooses, by label, what the service offers; a later choice waits for the earlier one."""
    for label, option in choices.items():
        page.locator("[data-recipe]").get_by_label(label, exact=True).select_option(label=option)
        page.locator("[data-recipe]:not([aria-busy])").wait_for()


def switch_on(page: Page) -> None:
    """Saves what is set up and switches it on."""
    follow(page.get_by_role("button", name="Save and switch on"))
    page.get_by_text("Saved, and on").wait_for()
    page.get_by_role("switch", checked=True).wait_for()


def paste_secret(page: Page) -> str:
    """Gives the live side its signing secret; the delivery address that the page shows."""
    go_to(page, "Set-up")
    live = page.get_by_role("region", name="Your store, live")
    live.get_by_label("Signing secret").fill(SECRET)
    follow(live.locator("form", has=page.get_by_label("Signing secret")).get_by_role("button"))
    page.get_by_text("The signing secret is saved.").wait_for()
    return live.get_by_label("Delivery address").input_value()


def send_test_event(page: Page, title: str) -> None:
    """Set-up's “Send me a test event”, to the live side."""
    go_to(page, "Set-up")
    live = page.get_by_role("region", name="Your store, live")
    live.get_by_label("Kind of test event").select_option(label=title)
    follow(live.get_by_role("button", name="Send me a test event"))
    page.get_by_text(f"a sample “{title}” came in").wait_for()


def sell(address: str, event: str, **changes: Any) -> None:
    """Pocketsflow's side: the event's sample with changes at its top level, signed and delivered."""
    known = event_type(event)
    assert known is not None
    status, said = deliver(address, event, SECRET, compact(known.sample() | changes), datetime.now(UTC))
    assert status == 200, said


def wait_for_runs(page: Page, buyer: str, *recipes: str) -> list[Locator]:
    """Looks at the runs until those of these recipes for a buyer are done; their lines."""
    page.goto("/activity/runs")
    runs = page.get_by_role("list", name="Runs").get_by_role("listitem").filter(has_text=buyer)
    lines = [runs.filter(has_text=recipe) for recipe in recipes]
    done = [line.get_by_text("Done", exact=True) for line in lines]
    eventually(lambda: all(each.is_visible() for each in done) or not page.reload(), f"{recipes} done for {buyer}")
    return lines
