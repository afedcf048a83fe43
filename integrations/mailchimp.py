"""Mailchimp: buyers in an audience, and their tags."""

import hashlib
from collections.abc import Mapping
from typing import Any

import requests
from mailchimp_marketing.api.lists_api import ListsApi
from mailchimp_marketing.api.root_api import RootApi
from mailchimp_marketing.api_client import ApiClient, ApiClientError
from pydantic import SecretStr

from integrations.deadline import TIMEOUTS, Timeouts, limited
from integrations.errors import ActionError, Permanent, Temporary, Unauthorized
from integrations.failures import HttpError, excerpt, http_error, network_error, parsed
from integrations.kit import Call, Form, Integration, Option, Outcome, action, choice, secret, text, toggle

TITLE = "Mailchimp"


class Credentials(Form):
    """What a connection needs."""

    # The key's end becomes part of the host's name: only a data centre's name may stand there.
    api_key: SecretStr = secret(
        "API key",
        pattern=r"[A-Za-z0-9]{16,64}-[a-z]{2,4}[0-9]{1,3}",
        pattern_help="has to end with a dash and your data centre, such as -us21",
        help="Ends with a dash and your data centre, such as -us21.",
    )


class _OneAttempt(ApiClient):
    """The vendor's client, save for how it sends: no redirect is followed, and a refusal is always an error.

    Its own way returns an empty 403 or 429, which Mailchimp sends under load, as if all were well.
    """

    def __init__(self, api_key: str, base: str, timeouts: Timeouts) -> None:
        super().__init__({"api_key": api_key})  # type: ignore[no-untyped-call]
        self._session = limited(requests.Session(), timeouts)
        self.host = base
        # Else it replaces the word "server" anywhere in an address, also in an audience's id.
        self.server = ""

    def request(
        self, method: str, url: str, query_params: Any = None, headers: Any = None, body: Any = None
    ) -> requests.Response:
        """A 204, or a 2xx that is JSON. Raises HttpError, ValueError where it is not JSON, requests' own."""
        answer = self._session.request(
            method,
            url,
            params=query_params,
            json=body,
            headers=headers,
            auth=("pocketwire", self.api_key),
            allow_redirects=False,
        )
        if not 200 <= answer.status_code < 300:
            raise HttpError(answer.status_code, parsed(answer.content), answer.headers)
        if answer.status_code != 204:
            answer.json()
        return answer


def connect(credentials: Credentials, base: str, timeouts: Timeouts = TIMEOUTS, /) -> ApiClient:
    """A client for the key's data centre, or for `base` in its place."""
    key = credentials.api_key.get_secret_value()
    host = base.rstrip("/").removesuffix("/3.0") or f"https://{key.rpartition('-')[2]}.api.mailchimp.com"
    return _OneAttempt(key, f"{host}/3.0", timeouts)


_NEEDS_CONSENT = {"Member In Compliance State", "Forgotten Email Not Subscribed"}
_WRONG_KEY = {"User Disabled", "WrongDatacenter", "API Key Invalid"}


def explain(error: Exception) -> ActionError | None:
    """Mailchimp's problem documents; a 403 without one is its way to say that it is busy."""
    # The client wraps what `request` raises.
    inner = error.text if isinstance(error, ApiClientError) else error
    if not isinstance(inner, HttpError):
        return network_error(TITLE, inner)
    problem = inner.body if isinstance(inner.body, dict) else {}
    title, status, detail = problem.get("title"), inner.status, excerpt(inner.body)
    if title in _NEEDS_CONSENT:
        sentence = "This buyer needs to give consent: only they can come back, through your Mailchimp sign-up form."
        return Permanent(sentence, status=status, detail=detail)
    if status == 403 and not title:
        return Temporary("Mailchimp asked us to slow down.", status=status, detail=detail)
    if status == 403 and title in _WRONG_KEY:
        return Unauthorized("Mailchimp does not accept this API key.", status=status, detail=detail)
    if status == 404:
        return Permanent("This audience is gone from Mailchimp: choose another.", status=status, detail=detail)
    wrong = [f"{each['field']}: {each['message']}" for each in problem.get("errors", ())]
    return http_error(TITLE, inner, reason=" ".join([problem.get("detail", ""), *wrong]).strip())


def check(client: ApiClient) -> str:
    """The account's name."""
    account: dict[str, Any] = RootApi(client).get_root(fields=["account_name"])
    return str(account["account_name"])


def audiences(client: ApiClient, chosen: Mapping[str, str]) -> list[Option]:
    """All audiences of the account."""
    found = ListsApi(client).get_all_lists(count=1000, fields=["lists.id", "lists.name"])
    return [Option(str(each["id"]), str(each["name"])) for each in found["lists"]]


class Subscriber(Form):
    """Who goes into which audience."""

    audience: str = choice("Audience", load=audiences)
    email: str = text("E-mail address")
    first_name: str | None = text("First name", required=False)
    last_name: str | None = text("Last name", required=False)
    tags: str | None = text("Tags", required=False, help="Parted by commas.")
    ask_to_confirm: bool = toggle(
        "Ask new subscribers to confirm", help="Mailchimp sends them a mail first, and adds them once they agree."
    )


def _tags(form: Subscriber) -> list[str]:
    return [tag.strip() for tag in (form.tags or "").split(",") if tag.strip()]


def _tags_given(form: Subscriber) -> list[tuple[str, ...]]:
    """As a Tag's form says it: the place in the audience itself is taken by no action."""
    return [(form.audience, form.email, tag) for tag in _tags(form)]


@action("Add or update a subscriber", repeatable=True, gives=True, rights=_tags_given)
def add_subscriber(call: Call, form: Subscriber) -> Outcome:
    """Adds the buyer, or updates the name; who has unsubscribed stays so."""
    names = {"FNAME": form.first_name, "LNAME": form.last_name}
    member = ListsApi(call.client).set_list_member(
        form.audience,
        _hash(form.email),
        {
            "email_address": form.email,
            # Never `status`: it would resubscribe a reader who has left.
            "status_if_new": "pending" if form.ask_to_confirm else "subscribed",
            "merge_fields": {name: value for name, value in names.items() if value},
        },
        skip_merge_validation="true",
    )
    if tags := _tags(form):
        _mark(call.client, form.audience, form.email, tags, "active")
    return Outcome(_STANDINGS.get(member["status"], "The buyer is in the audience."))


_STANDINGS = {
    "pending": "The buyer was asked to confirm the subscription.",
    "unsubscribed": "The buyer is in the audience and was updated; they have unsubscribed, and stay so.",
    "cleaned": "The buyer was updated, but mail to this address bounces.",
    "archived": "The buyer was updated; they are archived in this audience, and stay so.",
}


class Tag(Form):
    """A tag of a buyer in an audience."""

    audience: str = choice("Audience", load=audiences)
    email: str = text("E-mail address")
    tag: str = text("Tag")


@action("Add a tag", repeatable=True, gives=True)
def add_tag(call: Call, form: Tag) -> Outcome:
    """Tags a buyer who is in the audience already."""
    if not _is_marked(call.client, form, "active"):
        raise Permanent("The buyer is not in this audience: add them first, then the tag.", status=404)
    return Outcome(f"The buyer has the tag {form.tag}.")


@action("Take a tag off", repeatable=True, takes=("add_tag", "add_subscriber"))
def remove_tag(call: Call, form: Tag) -> Outcome:
    """Takes the tag off; nothing to do if the buyer is not in the audience."""
    if not _is_marked(call.client, form, "inactive"):
        return Outcome("The buyer is not in this audience: there was no tag to take off.")
    return Outcome(f"The buyer no longer has the tag {form.tag}.")


def _is_marked(client: ApiClient, form: Tag, status: str) -> bool:
    """Sets the tag's status. False if the buyer is not in the audience; raises if the audience is not there."""
    try:
        _mark(client, form.audience, form.email, [form.tag], status)
    except ApiClientError as error:
        if not (isinstance(error.text, HttpError) and error.text.status == 404):
            raise
    else:
        return True
    # The same 404 stands for a missing buyer and a missing audience.
    ListsApi(client).get_list(form.audience, fields=["id"])
    return False


def _mark(client: ApiClient, audience: str, email: str, tags: list[str], status: str) -> None:
    body = {"tags": [{"name": tag, "status": status} for tag in tags]}
    ListsApi(client).update_list_member_tags(audience, _hash(email), body)


def _hash(email: str) -> str:
    return hashlib.md5(email.lower().encode(), usedforsecurity=False).hexdigest()


integration = Integration(
    name="mailchimp",
    title=TITLE,
    summary="Add buyers to an audience and tag them.",
    credentials=Credentials,
    connect=connect,
    check=check,
    explain=explain,
    actions=(add_subscriber, add_tag, remove_tag),
    how_to_connect="In Mailchimp, open your profile, then Extras and API keys, and create a key for Pocketwire. "
    "Copy it at once: Mailchimp shows it only this time. It reaches the whole account, so make one for Pocketwire "
    "alone, and revoke it there when you no longer need it.",
    concurrent=5,
)
