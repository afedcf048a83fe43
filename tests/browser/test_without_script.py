"""The same pages with JavaScript off: quicker with it, whole without it."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import Window
from tests.browser.conftest import OpenWindow
from tests.browser.merchant import follow, go_to, open_recipe, sign_in
from tests.integrations.cases import CASES
from tests.service.running import Service


def test_a_recipe_is_set_up_saved_and_switched_without_script(owner: Window, open_window: OpenWindow) -> None:
    """Sign in, add a condition, save, switch on and off: each is a form of its own."""
    page = open_window(java_script_enabled=False)
    sign_in(page, "/")
    open_recipe(page, "product.created", "write it to the Ledger table")
    page.get_by_label("Table").fill("Catalogue")
    page.get_by_label("Condition 1: what").select_option(label="Product name")
    page.get_by_label("Condition 1: how").select_option(label="contains")
    page.get_by_label("Condition 1: value").fill("Handbook")
    follow(page.get_by_role("button", name="Refresh the preview"))
    page.get_by_text("This event would be skipped.").wait_for()
    follow(page.get_by_role("button", name="Save, leave off"))
    page.get_by_text("Saved. The recipe is still off.").wait_for()
    assert page.get_by_label("Condition 1: value").input_value() == "Handbook"

    go_to(page, "Recipes")
    for said, is_on in (("The recipe is on", True), ("The recipe is off", False)):
        switch = page.locator('section[id="product.created"]').get_by_role("switch")
        follow(switch)
        page.get_by_role("status").filter(has_text=said).wait_for()
        expect(switch).to_be_checked(checked=is_on)


def test_a_recipe_is_kept_while_its_service_is_connected_and_deleted_at_last(
    connected: Page, open_window: OpenWindow
) -> None:
    """Away to a new connection and back: the message is as it was typed, the new connection chosen."""
    page = open_window(java_script_enabled=False)
    sign_in(page, "/")
    open_recipe(page, "product.updated", "post it to Slack")
    page.get_by_label("Message").fill("{{ product.name }} has changed.\n\nLook at it & say so.")
    follow(page.get_by_role("button", name="Add another"))
    page.get_by_label("Name").fill("Second team")
    for name, value in CASES["slack"].credentials.items():
        page.locator(f"[name={name}]").fill(str(value))
    follow(page.get_by_role("button", name="Connect", exact=True))
    page.get_by_role("status").filter(has_text="Second team works").wait_for()
    page.get_by_text("Not saved yet: this is how you left it").wait_for()
    assert page.get_by_label("Message").input_value() == "{{ product.name }} has changed.\n\nLook at it & say so."
    expect(page.get_by_label("Connection").locator("option:checked")).to_contain_text("Second team")
    page.get_by_label("Channel").select_option(label="#sales")
    follow(page.get_by_role("button", name="Save and switch on"))

    follow(page.get_by_role("link", name="Delete this recipe"))
    follow(page.get_by_role("button", name="Delete the recipe"))
    page.get_by_role("status").filter(has_text="is deleted.").wait_for()
    expect(page.locator('section[id="product.updated"]').get_by_role("switch")).to_have_count(0)

    go_to(page, "Connections")
    follow(page.get_by_role("link", name="Reconnect Second team"))
    follow(page.get_by_role("button", name="Remove Second team"))


@pytest.mark.parametrize("has_script", [True, False])
def test_the_first_mistake_has_the_focus(owner: Window, browser: Browser, service: Service, has_script: bool) -> None:
    """Though it stands far down the page; the way to it is said at the top as well."""
    window = Window(browser, base_url=service.url, java_script_enabled=has_script)
    page = window.page
    sign_in(page, "/recipes/new/invoice.paid/ledger-row")
    texts = page.locator("[name='steps.0.fields.columns__text']")
    for row in (3, 1):
        texts.nth(row).fill("{{ invoice.amonut }}")
    follow(page.get_by_role("button", name="Save, leave off"))
    expect(texts.nth(1)).to_be_focused()
    expect(texts.nth(1)).to_be_in_viewport()
    expect(texts.nth(1)).to_have_accessible_description(
        "Subscription: There is no fact called invoice.amonut. Did you mean invoice.amount?"
    )
    expect(page.get_by_role("alert")).to_contain_text("2 things below need a look")
    page.get_by_role("link", name="show the first").click()
    assert page.url.endswith("#steps.0.fields.columns.1.text")
    with pytest.raises(AssertionError, match="422"):  # that, and nothing else, is what the browser complains of
        window.close()


def test_the_switch_needs_no_reload_where_scripts_run(page: Page) -> None:
    """It is the same form, sent by the script; a reload shows what was said."""
    page.goto("/recipes/new/product.deleted/ledger-row")
    follow(page.get_by_role("button", name="Save, leave off"))
    go_to(page, "Recipes")
    switch = page.locator('section[id="product.deleted"]').get_by_role("switch")
    page.evaluate("window.stays = true")
    switch.click()
    expect(page.locator("#announce")).to_contain_text("The recipe is on")
    assert page.evaluate("window.stays") is True
    page.reload()
    expect(switch).to_have_attribute("aria-checked", "true")
