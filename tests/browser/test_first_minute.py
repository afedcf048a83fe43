"""Done means 1: from the first-run link to a row in the Ledger, all seen in the browser."""

import requests
from playwright.sync_api import Page, expect

from tests.browser.merchant import STORE, follow, open_recipe, send_test_event, switch_on, wait_for_runs
from tests.service.running import Service


def test_the_first_run_link_leads_to_an_account_once(page: Page, service: Service) -> None:
    """The owner came by it and is at Home; for whoever opens it after, it is no page."""
    page.goto("/")
    expect(page).to_have_title("Home · Pocketwire")
    expect(page.get_by_role("link", name=f"Account and store: {STORE}")).to_be_visible()
    link = service.printed(r"http://\S+/first-run/\S+")[0]
    assert requests.get(link, timeout=10).status_code == 404


def test_a_test_event_becomes_a_row_in_the_ledger(page: Page) -> None:
    """Recipe on by its form, event sent from Set-up, row on the Ledger's page."""
    open_recipe(page, "order.completed", "write it to the Ledger table")
    expect(page.locator("#preview")).to_contain_text("customer@example.com")
    switch_on(page)
    send_test_event(page, "New sale")
    wait_for_runs(page, "customer+", "Keep orders in the Ledger")
    follow(page.get_by_role("link", name="Ledger", exact=True))
    follow(page.get_by_role("link", name="Orders", exact=True))
    row = page.get_by_role("row").filter(has_text="customer+")
    expect(row).to_contain_text("Jane Doe")
    expect(row).to_contain_text("64.99")
