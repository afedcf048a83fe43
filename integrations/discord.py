"""Discord: roles of a server's members, and messages to a channel."""

import hashlib
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from integrations.errors import ActionError, Permanent, Temporary, Unauthorized
from integrations.failures import HttpError, excerpt, http_error
from integrations.http import TIMEOUTS, Service, Timeouts
from integrations.kit import Call, Form, Integration, Option, Outcome, action, choice, lines, secret, text

TITLE = "Discord"
_BASE = "https://discord.com/api/v10"
_USER_AGENT = "DiscordBot (https://pocketwire.example, 0.1)"  # Discord refuses other forms
_MOST_SERVERS, _SERVERS_A_PAGE = 1000, 200
_TEXT_CHANNELS = (0, 5)  # text, announcements
_LONGEST_MESSAGE = 2000
_LONGEST_NONCE = 25
_NOT_IN_SERVER = 10007
_MEMBER_ID = re.compile(r"[1-9][0-9]{14,19}")


class Credentials(Form):
    """What a connection needs."""

    bot_token: SecretStr = secret(
        "Bot token",
        pattern=r"[!-~]+",
        pattern_help="holds a letter or a space that no token has: copy it once more",
        help="Three parts with dots between them.",
    )


def connect(credentials: Credentials, base: str, timeouts: Timeouts = TIMEOUTS, /) -> Service:
    """A client that speaks for the bot."""
    headers = {"Authorization": f"Bot {credentials.bot_token.get_secret_value()}", "User-Agent": _USER_AGENT}
    return Service(base, headers, timeouts=timeouts)


_MEANINGS = {
    10003: "The channel is gone from Discord: choose another.",
    10004: "The server is gone, or the bot is no longer in it: invite the bot again, or choose another server.",
    10007: "This buyer has not joined the server yet: once they have, run this again.",
    10011: "The role is gone from Discord: choose another.",
    10013: "Discord knows no member with this ID: check where the recipe takes it from.",
    50001: "The bot cannot see this server or channel: invite it again, and let it see the channel.",
    50013: "The bot lacks the permission for this. In the server's settings, under Roles, the bot's role must stand "
    "above the role it gives or takes and have Manage Roles; for messages it needs Send Messages.",
}


def explain(error: Exception) -> ActionError | None:
    """Discord's refusals, told by the code in their body."""
    if not isinstance(error, HttpError):
        return None
    body = error.body if isinstance(error.body, dict) else {}
    kept: dict[str, Any] = {"status": error.status, "detail": excerpt(error.body)}
    seconds = body.get("retry_after")
    if error.status == 429 and isinstance(seconds, int | float):
        return Temporary(f"{TITLE} asked us to slow down.", after=timedelta(seconds=seconds), **kept)
    if error.status == 401:
        return Unauthorized(f"{TITLE} does not accept the bot's token.", **kept)
    if 400 <= error.status < 500 and body.get("code") in _MEANINGS:
        return Permanent(_MEANINGS[body["code"]], **kept)
    return http_error(TITLE, error, reason=str(body.get("message") or ""))


def check(client: Service) -> str:
    """The bot's name and how many servers it is in."""
    name = client.call("GET", "/users/@me")["username"]
    count = len(servers(client, {}))
    return f"{name}, in {'1 server' if count == 1 else f'{count} servers'}"


def servers(client: Service, chosen: Mapping[str, str]) -> list[Option]:
    """The servers that the bot is in."""
    options: list[Option] = []
    params = {"limit": str(_SERVERS_A_PAGE)}
    while len(options) < _MOST_SERVERS:
        page = client.call("GET", "/users/@me/guilds", params=params)
        options += [Option(str(each["id"]), str(each["name"])) for each in page]
        if len(page) < _SERVERS_A_PAGE:
            break
        params["after"] = options[-1].value
    return options


def roles(client: Service, chosen: Mapping[str, str]) -> list[Option]:
    """The chosen server's roles that can be given: not everybody's, and none that belongs to an app."""
    server = chosen.get("server")
    if not server:
        return []
    found = client.call("GET", f"/guilds/{_id(server)}/roles")
    ranked = sorted(found, key=lambda each: -each["position"])
    return [
        Option(str(each["id"]), str(each["name"])) for each in ranked if each["id"] != server and not each["managed"]
    ]


def channels(client: Service, chosen: Mapping[str, str]) -> list[Option]:
    """The chosen server's channels that take messages."""
    server = chosen.get("server")
    if not server:
        return []
    found = client.call("GET", f"/guilds/{_id(server)}/channels")
    return [Option(str(each["id"]), f"#{each['name']}") for each in found if each["type"] in _TEXT_CHANNELS]


class Role(Form):
    """A role and who has it."""

    server: str = choice("Server", load=servers)
    role: str = choice("Role", load=roles, after=("server",))
    # Not required: an event without one has to fail with a sentence that says what to do about it.
    member: str | None = text("Member's Discord ID", required=False, help="A number of 17 to 20 digits, not a name.")


@action("Give a role", repeatable=True, gives=True)
def give_role(call: Call, form: Role) -> Outcome:
    """Gives the member the role; who has it already keeps it."""
    member = _member(form)
    call.client.call("PUT", _place(form, member))
    return Outcome(f"Gave the role to the member {member}.")


@action("Take a role away", repeatable=True, takes=("give_role",))
def take_role(call: Call, form: Role) -> Outcome:
    """Takes the role from the member; nothing to do if they have left the server."""
    member = _member(form)
    try:
        call.client.call("DELETE", _place(form, member))
    except HttpError as error:
        if not (isinstance(error.body, dict) and error.body.get("code") == _NOT_IN_SERVER):
            raise
        return Outcome(f"The member {member} is not in the server: there was no role to take away.")
    return Outcome(f"Took the role from the member {member}.")


def _member(form: Role) -> str:
    if not _MEMBER_ID.fullmatch(form.member or ""):
        raise Permanent(
            "This event names no Discord member: put discord_id into the checkout's metadata, "
            "pass it as clientReferenceId, or fill in the recipe's member field."
        )
    return str(form.member)


def _place(form: Role, member: str) -> str:
    return f"/guilds/{_id(form.server)}/members/{member}/roles/{_id(form.role)}"


def _id(value: str) -> str:
    return quote(value, safe="")


# Addresses stay as they are: inside them nothing is markup, and a backslash would break them.
_MARKUP = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'*+,;=%-]+|[\\*_~`|<>\[\]#@]")


def discord_escape(text: str) -> str:
    """A buyer's text, so that Discord shows it letter for letter."""
    return _MARKUP.sub(lambda found: found[0] if found[0].startswith("http") else f"\\{found[0]}", text)


class Message(Form):
    """A message to a channel."""

    server: str = choice("Server", load=servers)
    channel: str = choice("Channel", load=channels, after=("server",))
    text: str = lines("Message", escape=discord_escape, help="Discord's own marks work, such as **bold**.")


@action("Post a message", repeatable=False)
def post_message(call: Call, form: Message) -> Outcome:
    """Posts the message. It calls nobody: @everyone and the like stay text."""
    content = form.text if len(form.text) <= _LONGEST_MESSAGE else form.text[: _LONGEST_MESSAGE - 1] + "…"
    call.client.call(
        "POST",
        f"/channels/{_id(form.channel)}/messages",
        json_body={
            "content": content,
            "allowed_mentions": {"parse": []},
            # Within minutes Discord answers the same nonce with the message that is there already.
            "nonce": hashlib.sha256(call.key.encode()).hexdigest()[:_LONGEST_NONCE],
            "enforce_nonce": True,
        },
    )
    return Outcome("Posted to the channel.")


integration = Integration(
    name="discord",
    title=TITLE,
    summary="Give buyers a role and take it away, post to a channel.",
    credentials=Credentials,
    connect=connect,
    check=check,
    explain=explain,
    actions=(give_role, take_role, post_message),
    base=_BASE,
    how_to_connect="In Discord's developer portal, make an application, open Bot, and reset the token to see and copy "
    "it. Under OAuth2, make an invitation with the scope bot and the permissions Manage Roles, View Channels and Send "
    "Messages, and open it to bring the bot into your server. "
    "In the server's settings, under Roles, drag the bot's role above the roles it is to give.",
    concurrent=2,
    per_minute=50,
)
