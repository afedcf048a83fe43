"""Slack through its own client, against a stand-in that checks each request."""

from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from slack_sdk.errors import SlackApiError
from werkzeug.wrappers import Request, Response

from integrations.errors import ActionError, Permanent, Temporary, Unauthorized, Unsure
from integrations.http import Timeouts
from integrations.kit import FormError, NotDone, Outcome, fields, validate
from integrations.slack import Credentials, Message, channels, check, connect, integration, was_posted
from tests.integrations import calls
from tests.integrations.conftest import StartVendor
from tests.integrations.vendor import Vendor, answer

TOKEN = "xoxb-123456789012-abcdefABCDEF"
BUYER = "ada@example.com"
POST, INVITE, KICK = "POST /chat.postMessage", "POST /conversations.invite", "POST /conversations.kick"
LOOK_UP, INFO, HISTORY = "POST /users.lookupByEmail", "POST /conversations.info", "POST /conversations.history"
NOW_IN_A_HEAD = format_datetime(calls.NOW, usegmt=True)
CREDENTIALS = validate(Credentials, {"bot_token": TOKEN})


@pytest.fixture
def vendor(start_vendor: StartVendor) -> Vendor:
    """Slack with a channel C1, a user U1 and an app that is in the channel."""
    vendor = start_vendor("slack.openapi.json", "/api")
    vendor.answers = {
        POST: answer({"ok": True, "channel": "C1", "ts": "1.2"}),
        LOOK_UP: answer({"ok": True, "user": {"id": "U1"}}),
        INVITE: answer({"ok": True}),
        KICK: answer({"ok": True}),
        INFO: answer({"ok": True, "channel": {"id": "C1", "is_member": True}}),
    }
    return vendor


def perform(vendor: Vendor, action: str, **values: Any) -> Outcome:
    """As calls.perform, with what every action here needs."""
    return calls.perform(integration, connect(CREDENTIALS, vendor.url), action, {"channel": "C1", **values})


def refused(word: str, **more: Any) -> Response:
    """A refusal as Slack words it: HTTP 200."""
    return answer({"ok": False, "error": word, **more})


def marked(key: str) -> dict[str, Any]:
    """A message of Pocketwire's."""
    return {"ts": "1.5", "bot_id": "B1", "metadata": {"event_type": "pocketwire", "event_payload": {"key": key}}}


def test_a_message_is_a_block_with_its_text_for_notifications(vendor: Vendor) -> None:
    """No previews of links, no mention out of an @name, and the run's key for looking it up."""
    assert perform(vendor, "post_message", text="*New review*").sentence == "Posted to the channel."
    assert vendor.calls[0].json == {
        "channel": "C1",
        "text": "*New review*",
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*New review*", "verbatim": True}}],
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {"event_type": "pocketwire", "event_payload": {"key": calls.KEY}},
    }


def test_a_message_too_long_for_a_block_goes_without(vendor: Vendor) -> None:
    """A block takes 3,000 characters; the text takes more."""
    perform(vendor, "post_message", text="a" * 3001)
    assert "blocks" not in vendor.calls[0].json


def test_what_a_buyer_wrote_cannot_mention_or_link() -> None:
    """The escape is declared with the field, so that every fact put into it goes through."""
    escape = next(spec.escape for spec in fields(Message) if spec.name == "text")
    assert escape("<!channel> & <https://evil.example|here>") == (
        "&lt;!channel&gt; &amp; &lt;https://evil.example|here&gt;"
    )


def test_the_message_is_found_again_by_its_key(vendor: Vendor) -> None:
    """After a lost answer the merchant need not look."""
    mine = {"event_type": "pocketwire", "event_payload": {"key": calls.KEY}}
    vendor.answers[HISTORY] = answer({"ok": True, "messages": [{"ts": "2.0"}, {"ts": "1.2", "metadata": mine}]})
    assert _was_posted(vendor) is not None
    assert vendor.calls[0].form["include_all_metadata"] in ("1", "true")


@pytest.mark.parametrize(
    "found",
    [
        refused("missing_scope"),
        refused("not_in_channel"),
        answer({"ok": True, "messages": [{"ts": "2.0", "metadata": None}]}),
        answer({"ok": True}),
        answer("<html>"),
    ],
)
def test_looking_it_up_never_says_more_than_it_knows(vendor: Vendor, found: Response) -> None:
    """None: the merchant decides. An error here could be taken for "nothing happened" and post twice."""
    vendor.answers[HISTORY] = found
    assert _was_posted(vendor) is None


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ({"has_more": False, "messages": [{"ts": "2.0"}]}, True),
        ({"has_more": False, "messages": [{"ts": "2.0", "bot_id": "B2", "metadata": {"event_type": "other"}}]}, True),
        ({"has_more": False, "messages": [{"ts": "2.0", "bot_id": "B1"}]}, False),
        ({"has_more": False, "messages": [marked("run-7-step-2-2026")]}, True),
        ({"has_more": False, "messages": [marked("run-7-step")]}, False),
        ({"has_more": True, "messages": [{"ts": "2.0"}]}, False),
        ({"messages": []}, False),
    ],
)
def test_slack_shows_that_a_message_was_not_posted(vendor: Vendor, page: dict[str, Any], told: bool) -> None:
    """If the page holds all since, and no app's message that may be ours: without a mark, or with one of an old key."""
    vendor.answers[HISTORY] = answer({"ok": True, **page}, headers={"Date": NOW_IN_A_HEAD})
    assert _was_posted(vendor, since=calls.NOW) == (NotDone() if told else None)
    assert vendor.calls[0].form["oldest"] == str(calls.NOW.timestamp() - 600)


@pytest.mark.parametrize(
    ("since", "date", "told"),
    [
        (timedelta(days=-3), NOW_IN_A_HEAD, True),
        (timedelta(), "Fri, 24 Jul 2026 11:56:00 GMT", True),
        (timedelta(), "Fri, 24 Jul 2026 11:54:00 GMT", False),
        (timedelta(), "Fri, 24 Jul 2026 12:06:00 GMT", False),
        (timedelta(), "Fri, 24 Jul 2026 12:00:00 -0000", False),
        (timedelta(), "noon", False),
        (timedelta(hours=1), NOW_IN_A_HEAD, False),
    ],
)
def test_slack_shows_nothing_to_a_clock_that_is_not_its_own(
    vendor: Vendor, since: timedelta, date: str, told: bool
) -> None:
    """Its message would be older than what was asked for, by a clock that is fast or was when the event came."""
    vendor.answers[HISTORY] = answer({"ok": True, "has_more": False, "messages": []}, headers={"Date": date})
    assert _was_posted(vendor, since=calls.NOW + since) == (NotDone() if told else None)


def test_looking_it_up_while_slack_is_busy_or_away_is_for_later(vendor: Vendor) -> None:
    """It may well tell then: the merchant need not be asked yet."""
    for planned in (vendor.drop, refused("ratelimited"), answer("", 500), answer("<html>", 503)):
        vendor.answers[HISTORY] = planned
        with pytest.raises((SlackApiError, OSError)):
            _was_posted(vendor)


def _was_posted(vendor: Vendor, since: datetime | None = None) -> Outcome | NotDone | None:
    form = validate(Message, {"channel": "C1", "text": "Hello"})
    return was_posted(replace(calls.call(connect(CREDENTIALS, vendor.url)), since=since), form)


def test_invite_finds_the_person_by_address(vendor: Vendor) -> None:
    """The address goes in the body, never in the URL."""
    perform(vendor, "invite_to_channel", email=BUYER)
    look_up, invite = vendor.calls
    assert (look_up.form["email"], look_up.query_string) == (BUYER, b"")
    assert (invite.form["channel"], invite.form["users"]) == ("C1", "U1")


def test_remove_kicks_the_person_found_by_address(vendor: Vendor) -> None:
    """From this channel only."""
    assert perform(vendor, "remove_from_channel", email=BUYER).sentence == "The buyer was removed from the channel."
    assert (vendor.calls[1].form["channel"], vendor.calls[1].form["user"]) == ("C1", "U1")


def test_inviting_who_is_in_it_is_a_success(vendor: Vendor) -> None:
    """So that a repeat is one."""
    vendor.answers[INVITE] = refused("already_in_channel")
    assert perform(vendor, "invite_to_channel", email=BUYER).sentence == "The buyer was in the channel already."


def test_removing_who_is_not_in_it_is_a_success(vendor: Vendor) -> None:
    """So that a repeat is one."""
    vendor.answers[KICK] = refused("not_in_channel")
    assert perform(vendor, "remove_from_channel", email=BUYER).sentence == "The buyer was not in the channel."


def test_not_in_channel_is_no_success_while_the_app_is_outside(vendor: Vendor) -> None:
    """The same word then speaks of the app, and the buyer may well be in it."""
    vendor.answers |= {KICK: refused("not_in_channel"), INFO: answer({"ok": True, "channel": {"is_member": False}})}
    with pytest.raises(Permanent, match="The app is not in this channel: type /invite"):
        perform(vendor, "remove_from_channel", email=BUYER)


def test_a_buyer_whom_the_workspace_does_not_know(vendor: Vendor) -> None:
    """Nobody to invite is a problem, nobody to remove is none."""
    vendor.answers[LOOK_UP] = refused("users_not_found")
    with pytest.raises(Permanent, match="invite them to the workspace first"):
        perform(vendor, "invite_to_channel", email=BUYER)
    assert "nobody to remove" in perform(vendor, "remove_from_channel", email=BUYER).sentence


MEANINGS: dict[type[ActionError], tuple[str, ...]] = {
    Unauthorized: (
        "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "missing_scope",
        "no_permission",
    ),
    Temporary: ("ratelimited", "rate_limited", "service_unavailable", "request_timeout"),
    Unsure: ("internal_error", "fatal_error"),
    Permanent: ("channel_not_found", "not_in_channel", "is_archived", "msg_too_long", "restricted_action", "a_new_one"),
}  # fmt: skip
REFUSALS = [(word, meaning) for meaning, words in MEANINGS.items() for word in words]


@pytest.mark.parametrize(("word", "meaning"), REFUSALS)
def test_a_refusal_means_what_its_word_says(vendor: Vendor, word: str, meaning: type[ActionError]) -> None:
    """All come with HTTP 200."""
    vendor.answers[POST] = refused(word)
    with pytest.raises(meaning):
        perform(vendor, "post_message", text="Hello")


def test_a_missing_permission_is_named(vendor: Vendor) -> None:
    """The merchant can add just that."""
    vendor.answers[INVITE] = refused("missing_scope", needed="channels:manage")
    with pytest.raises(Unauthorized, match="lacks the permission channels:manage: add it"):
        perform(vendor, "invite_to_channel", email=BUYER)


@pytest.mark.parametrize("header", ["Retry-After", "retry-after"])
def test_slack_says_how_long_to_wait(vendor: Vendor, header: str) -> None:
    """The engine waits, not the client."""
    vendor.answers[POST] = answer({"ok": False, "error": "ratelimited"}, 429, {header: "7"})
    with pytest.raises(Temporary) as caught:
        perform(vendor, "post_message", text="Hello")
    assert caught.value.after == timedelta(seconds=7)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_does_not_get_the_token(vendor: Vendor, start_vendor: StartVendor, status: int) -> None:
    """The client's own way follows to any host, with the token."""
    elsewhere = start_vendor("slack.openapi.json", "/api")
    vendor.answers[POST] = answer(status=status, headers={"Location": f"{elsewhere.url}/chat.postMessage"})
    with pytest.raises(Permanent, match="sent us to another address"):
        perform(vendor, "post_message", text="Hello")
    assert not elsewhere.calls


def test_a_proxy_from_the_environment_is_used(
    vendor: Vendor, start_vendor: StartVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some installations reach the internet only that way."""
    seen: list[str] = []

    def as_proxy(request: Request) -> Response:
        seen.append(request.environ["RAW_URI"])
        return answer({"ok": True, "team": "Acme", "user": "pocketwire"})

    proxy = start_vendor("no description")
    proxy.script = [as_proxy]
    monkeypatch.setenv("http_proxy", proxy.url)
    check(connect(CREDENTIALS, "http://slack.example/api/"))
    assert seen == ["http://slack.example/api/auth.test"]


@pytest.mark.parametrize(
    "token", ["xoxp-123456789012-abc", "xoxb-short", "xoxb-123-456", f"{TOKEN} x", f"https://slack.com/{TOKEN}"]
)
def test_only_a_bot_token_is_taken(token: str) -> None:
    """A user's token would post in a person's name."""
    with pytest.raises(
        FormError, match="starts with xoxb- and is some 55 characters long: copy it from OAuth"
    ) as caught:
        validate(Credentials, {"bot_token": token})
    assert token not in str(caught.value)


def test_check_names_workspace_and_app(vendor: Vendor) -> None:
    """One harmless call, with the token as bearer."""
    vendor.answers["POST /auth.test"] = answer({"ok": True, "team": "Acme Books", "user": "pocketwire"})
    assert check(connect(CREDENTIALS, vendor.url)) == "Acme Books, as pocketwire"
    assert vendor.calls[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_channels_are_read_page_by_page(vendor: Vendor) -> None:
    """Public and private, without archived ones, by name."""
    vendor.script = [
        _page([{"id": "C2", "name": "wins"}], next_cursor="more"),
        _page([{"id": "C1", "name": "reviews", "is_private": True}]),
    ]
    found = channels(connect(CREDENTIALS, vendor.url), {})
    assert [(each.value, each.label) for each in found] == [("C1", "#reviews (private)"), ("C2", "#wins")]
    first, second = vendor.calls
    assert first.form["types"] == "public_channel,private_channel"
    assert first.form["exclude_archived"] in ("1", "true")
    assert second.form["cursor"] == "more"


def test_a_large_workspace_offers_its_first_thousand_channels(vendor: Vendor) -> None:
    """A page that loads for minutes helps nobody."""
    page = _page([{"id": f"C{number}", "name": f"c{number}"} for number in range(200)], next_cursor="more")
    vendor.answers["POST /conversations.list"] = page
    assert len(channels(connect(CREDENTIALS, vendor.url), {})) == 1000
    assert len(vendor.calls) == 5


def test_pages_without_channels_end_too(vendor: Vendor) -> None:
    """Slack may send fewer than asked for, even none, and a cursor all the same."""
    vendor.answers["POST /conversations.list"] = _page([], next_cursor="more")
    assert channels(connect(CREDENTIALS, vendor.url), {}) == []


def test_nothing_is_sent_again_and_the_time_out_is_ours(vendor: Vendor) -> None:
    """Sending again after a time-out would post twice."""
    vendor.answers[POST] = vendor.hang
    client = connect(CREDENTIALS, vendor.url, Timeouts(connect=0.2, total=0.4))
    with pytest.raises(requests.exceptions.ReadTimeout) as caught:
        client.chat_postMessage(channel="C1", text="Hello")
    assert isinstance(integration.error(caught.value), Unsure)
    assert len(vendor.calls) == 1


def _page(found: list[dict[str, Any]], next_cursor: str = "") -> Response:
    return answer({"ok": True, "channels": found, "response_metadata": {"next_cursor": next_cursor}})
