"""Discourse, against a stand-in that checks each request."""

import socket
from typing import Any

import pytest

from integrations.discourse import Credentials, check, connect, groups, integration
from integrations.errors import ActionError, Permanent, Temporary, Unauthorized
from integrations.kit import FormError, Option, Outcome, validate
from tests.integrations import calls
from tests.integrations.conftest import StartVendor
from tests.integrations.vendor import Answer, Vendor, answer

KEY = "0123456789abcdef" * 4
FORUM = {"url": "https://forum.example.com", "api_key": KEY}
CREDENTIALS = validate(Credentials, FORUM)
BUYER = "Ada.Lovelace@example.com"
USERS = "GET /admin/users.json"
USER = "GET /u/{username}.json"
ADD = "PUT /groups/{id}/members.json"
REMOVE = "DELETE /groups/{id}/members.json"
GROUPS = "GET /groups.json"
ADA = {"id": 7, "username": "ada"}
ALREADY = "'ada' ist bereits Mitglied dieser Gruppe."


@pytest.fixture
def vendor(start_vendor: StartVendor) -> Vendor:
    """A forum where the buyer has the account ada."""
    vendor = start_vendor("discourse.json")
    vendor.answers = {USERS: answer([ADA])}
    return vendor


def perform(vendor: Vendor, action: str) -> Outcome:
    """As calls.perform, for the buyer and group 41."""
    values = {"group": "41", "email": BUYER}
    return calls.perform(integration, connect(CREDENTIALS, vendor.url), action, values)


def refused(status: int, *said: str, **more: Any) -> Answer:
    """Discourse's own refusal."""
    return answer({"errors": list(said), **more}, status)


# ── Members ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("action", "route", "sentence"),
    [
        ("add_to_group", ADD, "Added ada to the group."),
        ("remove_from_group", REMOVE, "Removed ada from the group."),
    ],
)
def test_the_buyer_is_found_by_address_and_moved_by_name(
    vendor: Vendor, action: str, route: str, sentence: str
) -> None:
    """Among all accounts: a suspended one has to leave the group, too. Key and user go along as headers."""
    outcome = perform(vendor, action)
    (asked,), (wrote,) = vendor.seen(USERS), vendor.seen(route)
    assert asked.args.to_dict() == {"email": BUYER}
    assert wrote.path == "/groups/41/members.json"
    assert wrote.json == {"usernames": "ada"}
    assert {request.headers["Api-Key"] for request in vendor.calls} == {KEY}
    assert {request.headers["Api-Username"] for request in vendor.calls} == {"system"}
    assert outcome.sentence == sentence
    assert integration.action(action).repeatable


@pytest.mark.parametrize(
    "refusal",
    [refused(422, "'ada' is already a member of this group."), refused(422, ALREADY)],
    ids=["English", "German"],
)
def test_adding_who_is_in_it_is_a_success(vendor: Vendor, refusal: Answer) -> None:
    """The forum says so in its own language; where that is not English we look."""
    vendor.answers |= {ADD: refusal, USER: answer({"user": {**ADA, "groups": [{"id": 11}, {"id": 41}]}})}
    assert perform(vendor, "add_to_group").sentence == "ada was in the group already."


def test_another_422_is_no_success(vendor: Vendor) -> None:
    """The group may be full."""
    vendor.answers |= {ADD: refused(422, "Zu viele."), USER: answer({"user": {**ADA, "groups": [{"id": 11}]}})}
    with pytest.raises(Permanent, match="Discourse says: Zu viele"):
        perform(vendor, "add_to_group")


def test_removing_who_is_not_in_it_is_a_success(vendor: Vendor) -> None:
    """Discourse skips the name."""
    vendor.answers[REMOVE] = answer({"success": "OK", "usernames": [], "skipped_usernames": ["ada"]})
    assert perform(vendor, "remove_from_group").sentence == "ada was not in the group."


def test_a_buyer_without_an_account(vendor: Vendor) -> None:
    """Adding waits for the buyer to sign up, which a retry does not bring about; removing has nothing to do."""
    vendor.answers[USERS] = answer([])
    with pytest.raises(Permanent, match="ask the buyer to sign up with it, then run this again"):
        perform(vendor, "add_to_group")
    assert perform(vendor, "remove_from_group").sentence == (
        "The buyer has no account in the forum: there was nothing to remove."
    )
    assert len(vendor.calls) == len(vendor.seen(USERS)) == 2


def test_only_the_account_with_this_very_address_is_touched(vendor: Vendor) -> None:
    """Addresses are compared where the forum shows them, without regard to case."""
    vendor.answers[USERS] = answer(
        [
            {**ADA, "username": "other", "email": "ada@example.com"},
            {**ADA, "email": BUYER.upper()},
        ]
    )
    assert perform(vendor, "add_to_group").sentence == "Added ada to the group."
    vendor.answers[USERS] = answer([{**ADA, "email": "ada@example.com"}])
    with pytest.raises(Permanent, match="no account with this buyer's"):
        perform(vendor, "add_to_group")


def test_a_forum_that_lists_everybody_changes_nobody(vendor: Vendor) -> None:
    """One too old for the filter by address; the first of the list is anybody."""
    vendor.answers[USERS] = answer([{**ADA, "username": "first"}, ADA])
    for action in ("add_to_group", "remove_from_group"):
        with pytest.raises(Permanent, match="does not tell which account"):
            perform(vendor, action)
    assert not vendor.seen(ADD)
    assert not vendor.seen(REMOVE)


# ── Refusals ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("refusal", "meaning", "words"),
    [
        (refused(403, "Der API-Benutzername oder -Schlüssel ist ungültig."), Unauthorized, "our API key"),
        (refused(403, "You are not permitted to view the requested resource."), Permanent, "You are not permitted"),
        (refused(404, "Not found"), Permanent, "the API user is no administrator"),
        (refused(400, "Invalid"), Permanent, "Discourse says: Invalid."),
        (answer(status=301, headers={"Location": "https://evil.example/"}), Unauthorized, "leads elsewhere"),
    ],
)
def test_a_refusal_says_what_to_do(vendor: Vendor, refusal: Answer, meaning: type[ActionError], words: str) -> None:
    """A wrong key and a forbidden group share their status; only the first pauses the connection."""
    vendor.answers[ADD] = refusal
    with pytest.raises(meaning) as caught:
        perform(vendor, "add_to_group")
    assert words in caught.value.sentence


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        (refused(429, "Slow down", extras={"wait_seconds": 12, "time_left": "12 seconds"}), 12),
        (answer("Slow down, too many requests", 429, {"Retry-After": "30"}), 30),
    ],
)
def test_the_forum_says_how_long_to_wait(vendor: Vendor, refusal: Answer, seconds: float) -> None:
    """In the body, or in a header where the web server in front of it answers."""
    vendor.answers[ADD] = refusal
    with pytest.raises(Temporary) as caught:
        perform(vendor, "add_to_group")
    assert caught.value.after is not None
    assert caught.value.after.total_seconds() == seconds


# ── Connecting and choosing ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    [
        "http://forum.example.com",
        "forum.example.com",
        "https://user:pass@forum.example.com",
        "https://forum.example.com/?x=1",
        "https://forum.example.com#x",
        "https://forum.example.com/a b",
    ],
)
def test_the_forums_address_has_to_be_plain_https(url: str) -> None:
    """The key goes there."""
    with pytest.raises(FormError, match="Forum's address has to begin with https://"):
        validate(Credentials, {**FORUM, "url": url})


def test_a_private_address_is_not_called() -> None:
    """A merchant must not reach into the operator's network with it."""
    with socket.create_server(("127.0.0.1", 0)) as inside:
        url = f"https://127.0.0.1:{inside.getsockname()[1]}"
        client = connect(validate(Credentials, {**FORUM, "url": url}), "")
        with pytest.raises(Permanent, match="not on the open internet"):
            calls.perform(integration, client, "add_to_group", {"group": "41", "email": BUYER})


@pytest.mark.parametrize("user", ["ada", "system", None])
def test_the_key_may_belong_to_one_administrator(vendor: Vendor, user: str | None) -> None:
    """Without a name it is one for all users."""
    client = connect(validate(Credentials, {**FORUM, "api_username": user}), vendor.url)
    client.call("GET", "/groups.json")
    assert vendor.calls[0].headers["Api-Username"] == (user or "system")


def test_check_names_the_forum_and_asks_what_only_an_administrator_may(vendor: Vendor) -> None:
    """The name alone would be told to anybody."""
    vendor.answers |= {"GET /site/basic-info.json": answer({"title": "Acme Readers"}), USERS: answer([])}
    assert check(connect(CREDENTIALS, vendor.url)) == "Acme Readers"
    assert len(vendor.seen(USERS)) == 1


def test_groups_are_read_page_by_page_without_the_automatic_ones(vendor: Vendor) -> None:
    """Discourse fills those by trust level and refuses to add to them."""
    first = [{"id": number, "name": f"trust_level_{number}", "automatic": True} for number in range(36)]
    second = [{"id": 41, "name": "buyers", "full_name": "Buyers"}, {"id": 42, "name": "staff2", "full_name": None}]
    vendor.script = [answer({"groups": page, "total_rows_groups": 38}) for page in (first, second)]
    assert groups(connect(CREDENTIALS, vendor.url), {}) == [Option("41", "Buyers"), Option("42", "staff2")]
    assert [request.args["page"] for request in vendor.seen(GROUPS)] == ["0", "1"]


def test_pages_of_groups_end(vendor: Vendor) -> None:
    """Whatever the forum says of their number."""
    vendor.answers[GROUPS] = answer({"groups": [{"id": 1, "name": "a"}], "total_rows_groups": 10_000})
    assert len(groups(connect(CREDENTIALS, vendor.url), {})) == 30


def test_no_key_in_what_is_printed() -> None:
    """A client may end up in a log."""
    assert KEY not in f"{connect(CREDENTIALS, '')!r} {CREDENTIALS!r}"
