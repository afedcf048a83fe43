"""Discourse: who is in a forum's group."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from integrations.errors import ActionError, Permanent, Temporary, Unauthorized
from integrations.failures import HttpError, excerpt, http_error
from integrations.http import TIMEOUTS, Service, Timeouts
from integrations.kit import Call, Form, Integration, Option, Outcome, action, choice, secret, text

TITLE = "Discourse"
_MOST_PAGES = 30  # of 36 groups each


class Credentials(Form):
    """What a connection needs."""

    url: str = text(
        "Forum's address",
        pattern=r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?",
        pattern_help="has to begin with https://, such as https://forum.example.com",
        help="As your browser shows it, such as https://forum.example.com.",
    )
    api_key: SecretStr = secret(
        "API key", pattern=r"[!-~]+", pattern_help="holds a letter that no key has: copy it once more"
    )
    api_username: str = text(
        "API user",
        default="system",
        pattern=r"[A-Za-z0-9._-]{1,60}",
        pattern_help="has to be the name of a forum's user, without @",
        help="The administrator in whose name the key works; system for a key for all users.",
    )


def connect(credentials: Credentials, base: str, timeouts: Timeouts = TIMEOUTS, /) -> Service:
    """A client for the forum. Its address is the merchant's word, so it may not lead into private networks."""
    headers = {"Api-Key": credentials.api_key.get_secret_value(), "Api-Username": credentials.api_username}
    return Service(base or credentials.url, headers, guarded=not base, timeouts=timeouts)


def explain(error: Exception) -> ActionError | None:
    """Discourse's refusals; their texts come in the forum's own language."""
    if not isinstance(error, HttpError):
        return None
    body = error.body if isinstance(error.body, dict) else {}
    said = " ".join(str(each) for each in body.get("errors") or ())
    kept: dict[str, Any] = {"status": error.status, "detail": excerpt(error.body)}
    seconds = (body.get("extras") or {}).get("wait_seconds")
    if error.status == 429 and isinstance(seconds, int | float):
        return Temporary(f"{TITLE} asked us to slow down.", after=timedelta(seconds=seconds), **kept)
    if 300 <= error.status < 400:
        return Unauthorized("The forum's address leads elsewhere: reconnect with the one your browser shows.", **kept)
    # A wrong key gets the same 403 as a forbidden group; only its text speaks of the API, in every language.
    if error.status == 403 and "API" in said:
        return Unauthorized("The forum does not accept our API key or its user.", **kept)
    if error.status == 404:
        return Permanent("The forum cannot find this: the group is gone, or the API user is no administrator.", **kept)
    return http_error(TITLE, error, reason=said)


def check(client: Service) -> str:
    """The forum's name. Asks for an account too, which only an administrator's key may."""
    title = client.call("GET", "/site/basic-info.json")["title"]
    _username(client, "nobody@pocketwire.invalid")
    return str(title)


def groups(client: Service, chosen: Mapping[str, str]) -> list[Option]:
    """The forum's own groups, without those that Discourse fills by itself."""
    options: list[Option] = []
    seen = 0
    for page in range(_MOST_PAGES):
        found = client.call("GET", "/groups.json", params={"page": str(page)})
        listed = found["groups"]
        options += [
            Option(str(each["id"]), str(each.get("full_name") or each["name"]))
            for each in listed
            if not each.get("automatic")
        ]
        seen += len(listed)
        if not listed or seen >= found.get("total_rows_groups", 0):
            break
    return options


class Member(Form):
    """A buyer and a group."""

    group: str = choice("Group", load=groups)
    email: str = text("E-mail address", help="The buyer's, as in their account in the forum.")


@action("Add to a group", repeatable=True, gives=True)
def add_to_group(call: Call, form: Member) -> Outcome:
    """Adds the buyer's account; fails if the buyer has none yet."""
    username = _username(call.client, form.email)
    if username is None:
        raise Permanent(
            "The forum has no account with this buyer's e-mail address: "
            "ask the buyer to sign up with it, then run this again."
        )
    try:
        call.client.call("PUT", _members(form.group), json_body={"usernames": username})
    except HttpError as error:
        if error.status != 422 or not _is_member(call.client, username, form.group, error):
            raise
        return Outcome(f"{username} was in the group already.")
    return Outcome(f"Added {username} to the group.")


@action("Remove from a group", repeatable=True, takes=("add_to_group",))
def remove_from_group(call: Call, form: Member) -> Outcome:
    """Removes the buyer's account; nothing to do if the buyer has none or is not in the group."""
    username = _username(call.client, form.email)
    if username is None:
        return Outcome("The buyer has no account in the forum: there was nothing to remove.")
    answer = call.client.call("DELETE", _members(form.group), json_body={"usernames": username})
    if (answer or {}).get("skipped_usernames"):
        return Outcome(f"{username} was not in the group.")
    return Outcome(f"Removed {username} from the group.")


def _members(group: str) -> str:
    return f"/groups/{quote(group, safe='')}/members.json"


def _username(client: Service, email: str) -> str | None:
    """The name of the account with this address, None if there is none."""
    # Among all accounts, not the active ones only: someone who must leave a group may be suspended.
    found = client.call("GET", "/admin/users.json", params={"email": email})
    named = [each for each in found if str(each.get("email") or email).casefold() == email.casefold()]
    if len(named) > 1:
        # A forum that does not know the filter answers with everybody: better no one than someone else.
        raise Permanent("The forum does not tell which account has this e-mail address: it needs an update.")
    return str(named[0]["username"]) if named else None


def _is_member(client: Service, username: str, group: str, refusal: HttpError) -> bool:
    """Whether a 422 only says that the account is in the group, which its text says in the forum's own language."""
    if "already a member" in excerpt(refusal.body):
        return True
    user = client.call("GET", f"/u/{quote(username, safe='')}.json")["user"]
    return any(str(each["id"]) == group for each in user.get("groups", ()))


integration = Integration(
    name="discourse",
    title=TITLE,
    summary="Let buyers into a forum's group, and out again.",
    credentials=Credentials,
    connect=connect,
    check=check,
    explain=explain,
    actions=(add_to_group, remove_from_group),
    how_to_connect="In your forum, open Admin, then API, and create a key for a single user who is an administrator, "
    "or for all users. Copy it at once: the forum shows it only this time. "
    "Give the forum's address here just as your browser shows it.",
    concurrent=2,
    per_minute=25,
)
