"""Done means 2, by the pages: a signed delivery in, the right outgoing request out, for four services."""

import hashlib

from playwright.sync_api import Page, expect

from tests.browser.merchant import choose, go_to, open_recipe, paste_secret, sell, switch_on, wait_for_runs
from tests.browser.services import AUDIENCE, CHANNEL, ROLE, SERVER, SPREADSHEET, Services

MEMBER = "80351110224678912"
BUYER = {"email": "grace@example.com", "firstName": "Grace", "lastName": "Hopper"}


def test_services_are_connected_by_their_forms(connected: Page, page: Page) -> None:
    """Each was asked at once, and says what it calls the account."""
    go_to(page, "Connections")
    listed = page.get_by_role("list", name="Your connections").locator(".item")
    for title, account in {
        "Mailchimp": "Juniper Press",
        "Slack": "Juniper Press, as pocketwire",
        "Google Sheets": "1 spreadsheet shared with it",
        "Discord": "juniper, in 1 server",
    }.items():
        line = listed.filter(has_text=title)
        expect(line.get_by_text(account)).to_be_visible()
        expect(line.get_by_text("Works", exact=True)).to_be_visible()


def test_four_signed_deliveries_become_four_calls(connected: Page, page: Page, services: Services) -> None:
    """Buyer to Mailchimp, review to Slack, order to Google Sheets, role taken on Discord."""
    _set_up_all(page)
    address = paste_secret(page)
    sell(address, "customer.created", customer={"id": "buyer_1", **BUYER})
    sell(address, "review.created", customer=BUYER, review={"id": "r1", "rating": 4, "review": "Clear & <b>short</b>."})
    sell(address, "order.completed", customer=BUYER, order={"id": "order_g1"})
    sell(address, "customer.subscription.deleted", customer=BUYER, metadata={"discord_id": MEMBER})
    wait_for_runs(
        page,
        BUYER["email"],
        "Add buyers to Mailchimp",
        "Post reviews to Slack",
        "Keep orders in Google Sheets",
        "Revoke community access",
    )
    _assert_outgoing(services)
    assert services.problems == []


def _set_up_all(page: Page) -> None:
    open_recipe(page, "customer.created", "add them to the Mailchimp audience")
    choose(page, {"Audience": "Readers"})
    switch_on(page)
    open_recipe(page, "review.created", "When a buyer leaves a review, post it to Slack")
    choose(page, {"Channel": "#reviews"})
    expect(page.locator("#preview")).to_contain_text("New review: 5 of 5 stars")
    switch_on(page)
    open_recipe(page, "order.completed", "write it to the Google Sheets spreadsheet")
    expect(page.get_by_label("Worksheet")).to_be_disabled()
    choose(page, {"Spreadsheet": "Juniper Press orders", "Worksheet": "Orders"})
    switch_on(page)
    open_recipe(page, "customer.subscription.deleted", "take the Discord role")
    choose(page, {"Server": "Juniper Readers", "Role": "Supporter"})
    switch_on(page)
    go_to(page, "Recipes")
    page.get_by_text("post it to Slack #reviews").wait_for()


def _assert_outgoing(services: Services) -> None:
    [added] = services["mailchimp"].seen("PUT /lists/{list_id}/members/{subscriber_hash}")
    digest = hashlib.md5(BUYER["email"].encode(), usedforsecurity=False).hexdigest()
    assert added.path == f"/3.0/lists/{AUDIENCE}/members/{digest}"
    assert added.json == {
        "email_address": BUYER["email"],
        "status_if_new": "subscribed",
        "merge_fields": {"FNAME": "Grace", "LNAME": "Hopper"},
    }
    [posted] = services["slack"].seen("POST /chat.postMessage")
    assert posted.json["channel"] == CHANNEL
    assert "*New review: 4 of 5 stars*\n“Clear &amp; &lt;b&gt;short&lt;/b&gt;.”" in posted.json["text"]
    [written] = services["google_sheets"].seen("POST /v4/spreadsheets/{spreadsheetId}/values:batchUpdate")
    assert written.path == f"/v4/spreadsheets/{SPREADSHEET}/values:batchUpdate"
    header, row = services.sheet.rows
    cells = dict(zip(header, row, strict=True))
    expected = {"Order ID": "order_g1", "E-mail": BUYER["email"], "Name": "Grace Hopper", "Amount": 64.99}
    assert {name: cells[name] for name in expected} == expected
    [taken] = services["discord"].seen("DELETE /guilds/{guild_id}/members/{user_id}/roles/{role_id}")
    assert taken.path == f"/api/v10/guilds/{SERVER}/members/{MEMBER}/roles/{ROLE}"
    assert taken.get_data() == b""
