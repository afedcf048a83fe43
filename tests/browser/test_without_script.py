"""The same pages with JavaScript off: quicker with it, whole without it."""

from playwright.sync_api import Page, expect

from tests.browser.chromium import Window
from tests.browser.conftest import OpenWindow
from tests.browser.merchant import follow, go_to, open_recipe, sign_in


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
