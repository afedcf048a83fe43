"""Slack: messages to a channel, and who is in it."""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.request import Request

import requests
from pydantic import SecretStr
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from integrations.deadline import TIMEOUTS, Timeouts, limited
from integrations.errors import ActionError, Permanent, Temporary, Unauthorized, Unsure
from integrations.failures import answered_at, excerpt, redact, retry_after, status_error
from integrations.kit import Call, Form, Integration, NotDone, Option, Outcome, action, choice, lines, secret, text

TITLE = "Slack"
LONGEST_BLOCK = 3000
MOST_CHANNELS = 1000
PAGE = 200
# The most that our clock may be from Slack's, whose times its messages have.
_CLOCKS_APART = timedelta(minutes=5)
_MARK = "pocketwire"


class Credentials(Form):
    """What a connection needs."""

    bot_token: SecretStr = secret(
        "Bot token",
        pattern=r"xoxb-[A-Za-z0-9-]{10,}",
        pattern_help="has to be a whole Bot User OAuth Token, which starts with xoxb- and is some 55 characters long: "
        "copy it from OAuth & Permissions, in your app's settings at api.slack.com/apps",
        help="Under OAuth & Permissions, in your app's settings. Starts with xoxb-, some 55 characters.",
    )


# The client writes answers and network failures to its log by itself, buyers' data and all.
_SILENT = logging.getLogger(f"{__name__}.client")
_SILENT.setLevel(logging.CRITICAL + 1)


class _OneAttempt(WebClient):
    """The vendor's client, save for how it sends: no redirect is followed, and every status is an answer.

    Its own way follows redirects to any host, token and all, and has a time-out for each piece only.
    """

    def __init__(self, token: str, base: str, timeouts: Timeouts) -> None:
        # The default handlers send again when the connection breaks after delivery.
        super().__init__(token, base_url=base, retry_handlers=[], logger=_SILENT)
        self._session = limited(requests.Session(), timeouts)

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        body = cast("bytes | None", req.data)
        answer = self._session.post(url, data=body, headers=dict(req.header_items()), allow_redirects=False)
        return {
            "status": answer.status_code,
            "headers": answer.headers,
            "body": answer.content.decode("utf-8", "replace"),
        }


def connect(credentials: Credentials, base: str, timeouts: Timeouts = TIMEOUTS, /) -> WebClient:
    """A client that speaks for the app."""
    return _OneAttempt(credentials.bot_token.get_secret_value(), base, timeouts)


_RECONNECT = {
    "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "no_permission",
    "not_allowed_token_type",
}  # fmt: skip
_SLOW_DOWN = {"ratelimited", "rate_limited"}
_NOT_DONE = {"service_unavailable", "request_timeout"}
# Slack says of both that a part may have been done.
_PERHAPS_DONE = {"internal_error", "fatal_error"}
_SENTENCES = {
    "channel_not_found": "This channel is gone, or it is private and the app is not in it: choose another one, or type "
    "/invite and the app's name in the channel.",
    "not_in_channel": "The app is not in this channel: type /invite and the app's name there.",
    "is_archived": "This channel is archived: choose another one.",
    "cant_kick_from_general": "Nobody can be removed from a workspace's main channel: choose another one.",
    "restricted_action": "Your workspace does not let apps do this: an owner can change it in Slack's settings.",
    "msg_too_long": "The message is too long for Slack: shorten it.",
}


def explain(error: Exception) -> ActionError | None:
    """Slack's refusals, which come with HTTP 200 and a word."""
    if not isinstance(error, SlackApiError):
        return None
    code, status, said = _code(error), error.response.status_code, error.response.data
    after = retry_after(error.response.headers, datetime.now(UTC))
    if code is None:
        return status_error(TITLE, status, after=after)
    detail = excerpt(said)
    if code == "missing_scope":
        needed = redact(str(said.get("needed")))
        sentence = f"The Slack app lacks the permission {needed}: add it, reinstall the app and reconnect."
        return Unauthorized(sentence, status=status, detail=detail)
    if code in _RECONNECT:
        return Unauthorized("Slack does not accept our token.", status=status, detail=detail)
    if code in _SLOW_DOWN:
        return Temporary("Slack asked us to slow down.", after=after, status=status, detail=detail)
    if code in _NOT_DONE:
        return Temporary("Slack did not take the call.", after=after, status=status, detail=detail)
    if code in _PERHAPS_DONE:
        return Unsure("Slack has a problem of its own.", status=status, detail=detail)
    if code in _SENTENCES or status == 200:
        return Permanent(_SENTENCES.get(code, f"Slack refused this: {code}."), status=status, detail=detail)
    return status_error(TITLE, status, reason=code, detail=detail, after=after)


def _code(error: SlackApiError) -> str | None:
    """Slack's word for a refusal; None for an answer that is not Slack's."""
    answer = error.response.data
    code = answer.get("error") if isinstance(answer, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"[a-z0-9_]+", code) else None


def check(client: WebClient) -> str:
    """The workspace's name and the app's own."""
    account = client.auth_test()
    return f"{account['team']}, as {account['user']}"


def channels(client: WebClient, chosen: Mapping[str, str]) -> list[Option]:
    """The channels the app can see, by name; a large workspace's first thousand."""
    found: list[Option] = []
    cursor = ""
    # Slack may send shorter pages than asked for: the calls are counted too.
    for _ in range(2 * MOST_CHANNELS // PAGE):
        page = client.conversations_list(
            types="public_channel,private_channel", exclude_archived=True, limit=PAGE, cursor=cursor or None
        )
        for each in page["channels"]:
            found.append(Option(each["id"], f"#{each['name']}{' (private)' if each.get('is_private') else ''}"))
        cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
        if not cursor or len(found) >= MOST_CHANNELS:
            break
    return sorted(found, key=lambda option: option.label)


def slack_escape(text: str) -> str:
    """What a buyer wrote, without power to mention or to link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Message(Form):
    """A message and where it goes."""

    channel: str = choice("Channel", load=channels)
    text: str = lines(
        "Message", escape=slack_escape, help="Slack's own marks work: *bold*, _italic_, <https://…|link>."
    )


def was_posted(call: Call, form: Message) -> Outcome | NotDone | None:
    """Looks for the call's key among the channel's newest messages.

    NotDone if all of them since the first try are there to see and it is not among them. None if it may be further
    back, or have lost its key, if our clock is not Slack's, or if the app may not read here. Raises where asking later
    may tell.
    """
    oldest = str((call.since - 2 * _CLOCKS_APART).timestamp()) if call.since else None
    try:
        page = call.client.conversations_history(
            channel=form.channel, include_all_metadata=True, limit=PAGE, oldest=oldest
        )
    except SlackClientError as error:
        found = explain(error)
        # Slack's own trouble passes; what it refuses to show, it will refuse again.
        if isinstance(found, Temporary) or (isinstance(found, Unsure) and (found.status or 0) >= 500):
            raise
        return None
    messages = page.get("messages") or ()
    for message in messages:
        if message.get("metadata") == _mark(call):
            return Outcome("The message is in the channel.", detail=f"ts {message.get('ts')}")
    if page.get("has_more") is not False or any(_may_be(call, message) for message in messages):
        return None
    return NotDone() if _is_timed_right(call, answered_at(page.headers)) else None


def _is_timed_right(call: Call, answered: datetime | None) -> bool:
    """Whether the call's times are Slack's, too: by a clock that was fast, the message is older than what was asked."""
    if call.since is None or answered is None:
        return False
    return call.since <= call.now and abs(answered - call.now) <= _CLOCKS_APART


def _may_be(call: Call, message: Mapping[str, Any]) -> bool:
    """Whether a message that does not bear the call's key may be its message all the same."""
    metadata = message.get("metadata")
    if not metadata:
        return bool(message.get("bot_id"))  # an app's, of which Slack may not have kept them
    key = (metadata.get("event_payload") or {}).get("key")
    # Earlier keys had no time at their end.
    return metadata.get("event_type") == _MARK and isinstance(key, str) and call.key.startswith(f"{key}-")


@action("Post a message", repeatable=False, already_done=was_posted)
def post_message(call: Call, form: Message) -> Outcome:
    """Posts as the app; the text of the block is also what notifications show."""
    # verbatim: an @name or #channel in what a buyer wrote stays plain text.
    block = {"type": "section", "text": {"type": "mrkdwn", "text": form.text, "verbatim": True}}
    posted = call.client.chat_postMessage(
        channel=form.channel,
        text=form.text,
        blocks=[block] if len(form.text) <= LONGEST_BLOCK else None,
        unfurl_links=False,
        unfurl_media=False,
        metadata=_mark(call),
    )
    return Outcome("Posted to the channel.", detail=f"ts {posted.get('ts')}")


def _mark(call: Call) -> dict[str, Any]:
    return {"event_type": _MARK, "event_payload": {"key": call.key}}


class Member(Form):
    """Someone in a channel."""

    channel: str = choice("Channel", load=channels)
    email: str = text("E-mail address", help="The one they use in your workspace.")


@action("Invite to a channel", repeatable=True, gives=True)
def invite_to_channel(call: Call, form: Member) -> Outcome:
    """Adds a member of the workspace to the channel."""
    user = _user(call.client, form.email)
    if user is None:
        raise Permanent("Nobody in your Slack workspace has this e-mail address: invite them to the workspace first.")
    try:
        call.client.conversations_invite(channel=form.channel, users=user)
    except SlackApiError as error:
        if _code(error) != "already_in_channel":
            raise
        return Outcome("The buyer was in the channel already.")
    return Outcome("The buyer is in the channel.")


@action(
    "Remove from a channel",
    repeatable=True,
    takes=("invite_to_channel",),
    help="They stay in the workspace and in its other channels.",
)
def remove_from_channel(call: Call, form: Member) -> Outcome:
    """Removes a member of the workspace from the channel; nothing to do if they are not in it."""
    user = _user(call.client, form.email)
    if user is None:
        return Outcome("Nobody in your Slack workspace has this e-mail address: there was nobody to remove.")
    try:
        call.client.conversations_kick(channel=form.channel, user=user)
    except SlackApiError as error:
        # Slack has one word for "they are not in it" and "the app is not in it".
        if _code(error) != "not_in_channel" or not _app_is_in(call.client, form.channel):
            raise
        return Outcome("The buyer was not in the channel.")
    return Outcome("The buyer was removed from the channel.")


def _user(client: WebClient, email: str) -> str | None:
    try:
        return str(client.users_lookupByEmail(email=email)["user"]["id"])
    except SlackApiError as error:
        if _code(error) != "users_not_found":
            raise
        return None


def _app_is_in(client: WebClient, channel: str) -> bool:
    return bool(client.conversations_info(channel=channel)["channel"].get("is_member"))


integration = Integration(
    name="slack",
    title=TITLE,
    summary="Post messages, and let buyers into channels or out of them.",
    credentials=Credentials,
    connect=connect,
    check=check,
    explain=explain,
    actions=(post_message, invite_to_channel, remove_from_channel),
    base=WebClient.BASE_URL,
    how_to_connect="Create an app at api.slack.com/apps and give its bot these scopes under OAuth & Permissions: "
    "chat:write, channels:read, groups:read, users:read, users:read.email, channels:manage, groups:write. "
    "channels:history and groups:history are worth adding: with them Pocketwire can look whether a message arrived "
    "when Slack did not answer. Install the app, copy the Bot User OAuth Token, and invite the app to each channel "
    "it should work in.",
    per_minute=50,
)
