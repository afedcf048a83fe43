"""What the contract test calls: for each integration its credentials and, for each action, a form and its writing call.

To add an integration: add a `Case` to CASES, with an `ActionCase` for every action.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.wrappers import Response

from tests.integrations.google_key import ACCESS_TOKEN, key_file, private_key, token_answer
from tests.integrations.vendor import answer

BUYER = "buyer+42@example.com"


@dataclass(frozen=True)
class ActionCase:
    """form: values as the engine has them after mapping. writes: the call that changes something, by its route.

    answers: JSON for the other calls it makes, by route, beside the case's own. otherwise: what follows where
    that is not the usual (test_contract.USUAL), such as {"404": "done"} for a removal.
    """

    form: Mapping[str, Any]
    writes: str
    answers: Mapping[str, Any] = field(default_factory=dict)
    otherwise: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """credentials: values of the connection's form. description, prefix: the vendor's, as for Vendor.

    secrets: texts that no error may show; the buyer's address is always among them. answers: JSON by route,
    beside: the same for addresses that the description leaves out. refusals: by status the vendor's own
    document, or a whole answer where the vendor refuses in another way. Let the documents tell too much: the
    test looks for the secrets.
    """

    credentials: Mapping[str, Any]
    description: str
    actions: Mapping[str, ActionCase]
    secrets: tuple[str, ...]
    refusals: Mapping[int, Any]
    prefix: str = ""
    answers: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)
    otherwise: Mapping[str, str] = field(default_factory=dict)

    def refusal(self, status: int) -> Response:
        """The vendor's own way to say `status`, with a Retry-After that nobody may sit out."""
        document = self.refusals[status]
        return document if isinstance(document, Response) else answer(document, status, {"Retry-After": "7"})


# Integrations that call nobody: nothing can fail on the way.
CALLS_NOBODY = {"ledger"}

_MAILCHIMP_KEY = "0123456789abcdef0123456789abcdef-us21"
_TAG = {"audience": "a1b2c3", "email": BUYER, "tag": "Book"}
_TAGS = "POST /lists/{list_id}/members/{subscriber_hash}/tags"


def _problem(title: str) -> dict[str, str]:
    return {"type": "about:blank", "title": title, "detail": f"{BUYER} with {_MAILCHIMP_KEY}: no.", "instance": "1"}


_MAILCHIMP = Case(
    credentials={"api_key": _MAILCHIMP_KEY},
    description="mailchimp.openapi.json",
    prefix="/3.0",
    secrets=(_MAILCHIMP_KEY,),
    refusals={
        400: _problem("Invalid Resource"),
        401: _problem("API Key Invalid"),
        403: _problem("Forbidden"),
        404: _problem("Resource Not Found"),
        429: _problem("Too Many Requests"),
        500: _problem("InternalServerError"),
    },
    otherwise={"bare 403": "again"},  # its way to say that it is busy
    answers={
        "PUT /lists/{list_id}/members/{subscriber_hash}": {"id": "1", "status": "subscribed"},
        "GET /lists/{list_id}": {"id": "a1b2c3"},
    },
    actions={
        "add_subscriber": ActionCase(
            form={"audience": "a1b2c3", "email": BUYER, "first_name": "Ada", "tags": "Book, Buyer"},
            writes="PUT /lists/{list_id}/members/{subscriber_hash}",
        ),
        "add_tag": ActionCase(form=_TAG, writes=_TAGS),
        # Who is not in the audience has no tag.
        "remove_tag": ActionCase(form=_TAG, writes=_TAGS, otherwise={"404": "done", "bare 404": "done"}),
    },
)

_SLACK_TOKEN = "xoxb-123456789012-abcdefABCDEF"
_MEMBER = {"channel": "C1", "email": BUYER}


def _refused(word: str) -> Response:
    # Slack's refusals come with HTTP 200.
    return answer({"ok": False, "error": word, "needed": f"{BUYER} {_SLACK_TOKEN}"}, 200, {"Retry-After": "7"})


_SLACK = Case(
    credentials={"bot_token": _SLACK_TOKEN},
    description="slack.openapi.json",
    prefix="/api",
    secrets=(_SLACK_TOKEN,),
    refusals={
        400: _refused("invalid_arguments"),
        401: _refused("invalid_auth"),
        403: _refused("missing_scope"),
        404: _refused("channel_not_found"),
        429: _refused("ratelimited"),
        500: _refused("fatal_error"),
    },
    answers={
        "POST /users.lookupByEmail": {"ok": True, "user": {"id": "U1"}},
        "POST /chat.postMessage": {"ok": True, "channel": "C1", "ts": "1.2"},
        "POST /conversations.invite": {"ok": True},
        "POST /conversations.kick": {"ok": True},
    },
    actions={
        "post_message": ActionCase(form={"channel": "C1", "text": "A new review"}, writes="POST /chat.postMessage"),
        "invite_to_channel": ActionCase(form=_MEMBER, writes="POST /conversations.invite"),
        "remove_from_channel": ActionCase(form=_MEMBER, writes="POST /conversations.kick"),
    },
)

_SHEET = "/v4/spreadsheets/{spreadsheetId}"


def _google(code: int, status: str, message: str) -> dict[str, Any]:
    said = f"{message} {BUYER} Bearer {ACCESS_TOKEN}"
    return {"error": {"code": code, "message": said, "status": status, "errors": [{"reason": "other"}]}}


_GOOGLE_SHEETS = Case(
    credentials={"service_account": key_file()},
    description="google-sheets.openapi.json",
    secrets=(ACCESS_TOKEN, private_key()),
    beside={"POST /token": token_answer()},
    refusals={
        400: _google(400, "INVALID_ARGUMENT", "Invalid value"),
        401: _google(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
        403: _google(403, "PERMISSION_DENIED", "The caller does not have permission"),
        404: _google(404, "NOT_FOUND", "Requested entity was not found."),
        429: _google(429, "RESOURCE_EXHAUSTED", "Quota exceeded"),
        500: _google(500, "INTERNAL", "Internal error"),
    },
    answers={
        f"GET {_SHEET}/values:batchGet": {
            "valueRanges": [{"values": [["Order ID", "Buyer"]]}, {"values": [["Order ID"]]}]
        }
    },
    actions={
        "put_row": ActionCase(
            form={"spreadsheet": "s1", "worksheet": "Orders", "key": "order_1", "columns": {"Buyer": BUYER}},
            writes=f"POST {_SHEET}/values/{{range}}:append",
        )
    },
)

_FORUM_KEY = "0123456789abcdef" * 4
_BUYER_IN_GROUP = {"group": "41", "email": BUYER}


def _forum(error_type: str, *said: str) -> dict[str, Any]:
    return {"errors": [*said, BUYER, _FORUM_KEY], "error_type": error_type}


_DISCOURSE = Case(
    credentials={"url": "https://forum.example.com", "api_key": _FORUM_KEY},
    description="discourse.json",
    secrets=(_FORUM_KEY,),
    refusals={
        400: _forum("invalid_parameters", "You supplied invalid parameters to the request."),
        401: _forum("not_logged_in"),
        403: _forum("invalid_access", "You are not permitted to view the requested resource."),
        404: _forum("not_found", "The requested URL or resource could not be found."),
        429: _forum("rate_limit") | {"extras": {"wait_seconds": 7}},
        500: _forum("internal"),
    },
    answers={"GET /admin/users.json": [{"id": 7, "username": "ada"}]},
    actions={
        "add_to_group": ActionCase(form=_BUYER_IN_GROUP, writes="PUT /groups/{id}/members.json"),
        "remove_from_group": ActionCase(form=_BUYER_IN_GROUP, writes="DELETE /groups/{id}/members.json"),
    },
    otherwise={"redirect": "reconnect"},  # the forum has moved: its address is part of the connection
)

_DISCORD_TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"
_ROLE = {"server": "197038439483310086", "role": "41771983423143936", "member": "80351110224678912"}
_ROLES = "/guilds/{guild_id}/members/{user_id}/roles/{role_id}"


def _discord(code: int) -> dict[str, Any]:
    return {"code": code, "message": f"{BUYER} Bot {_DISCORD_TOKEN}", "retry_after": 7.5, "global": False}


_DISCORD = Case(
    credentials={"bot_token": _DISCORD_TOKEN},
    description="discord.json",
    prefix="/api/v10",
    secrets=(_DISCORD_TOKEN,),
    refusals={
        400: _discord(50035),
        401: _discord(0),
        403: _discord(50013),
        404: _discord(10007),
        429: _discord(0),
        500: _discord(0),
    },
    answers={"POST /channels/{channel_id}/messages": {"id": "1"}},
    actions={
        "give_role": ActionCase(form=_ROLE, writes=f"PUT {_ROLES}"),
        # Who has left the server has no role.
        "take_role": ActionCase(form=_ROLE, writes=f"DELETE {_ROLES}", otherwise={"404": "done"}),
        "post_message": ActionCase(
            form={"server": "197038439483310086", "channel": "41771983423143937", "text": "A new review"},
            writes="POST /channels/{channel_id}/messages",
        ),
    },
)

CASES: dict[str, Case] = {
    "mailchimp": _MAILCHIMP,
    "slack": _SLACK,
    "google_sheets": _GOOGLE_SHEETS,
    "discourse": _DISCOURSE,
    "discord": _DISCORD,
}
