"""Discord, against a stand-in that checks each request."""

from typing import Any

import pytest

from integrations.discord import Credentials, Message, channels, check, connect, discord_escape, integration, roles
from integrations.discord import servers as load_servers
from integrations.errors import ActionError, Permanent, Temporary, Unauthorized, Unsure
from integrations.kit import FormError, Option, Outcome, fields, validate
from tests.integrations import calls
from tests.integrations.conftest import StartVendor
from tests.integrations.vendor import Answer, Vendor, answer

TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"
CREDENTIALS = validate(Credentials, {"bot_token": TOKEN})
SERVER, ROLE, CHANNEL, MEMBER = "197038439483310086", "41771983423143936", "41771983423143937", "80351110224678912"
GIVE = "PUT /guilds/{guild_id}/members/{user_id}/roles/{role_id}"
TAKE = GIVE.replace("PUT", "DELETE")
POST = "POST /channels/{channel_id}/messages"
NO_MEMBER = (
    "This event names no Discord member: put discord_id into the checkout's metadata, "
    "pass it as clientReferenceId, or fill in the recipe's member field."
)


@pytest.fixture
def vendor(start_vendor: StartVendor) -> Vendor:
    """Discord; roles are given and taken with a 204, as its description says."""
    vendor = start_vendor("discord.json", "/api/v10")
    vendor.answers[POST] = answer({"id": "162701077035089920"})
    return vendor


def change(vendor: Vendor, action: str, member: str | None = MEMBER) -> Outcome:
    """Gives or takes the role."""
    values = {"server": SERVER, "role": ROLE, "member": member}
    return calls.perform(integration, connect(CREDENTIALS, vendor.url), action, values)


def post(vendor: Vendor, text: str = "A new review") -> Outcome:
    """Posts to the channel."""
    values = {"server": SERVER, "channel": CHANNEL, "text": text}
    return calls.perform(integration, connect(CREDENTIALS, vendor.url), "post_message", values)


def refused(status: int, code: int, **more: Any) -> Answer:
    """Discord's own refusal."""
    return answer({"code": code, "message": "No", **more}, status)


# ── Roles ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("action", "route", "sentence"),
    [
        ("give_role", GIVE, f"Gave the role to the member {MEMBER}."),
        ("take_role", TAKE, f"Took the role from the member {MEMBER}."),
    ],
)
def test_a_role_is_given_and_taken_with_one_call(vendor: Vendor, action: str, route: str, sentence: str) -> None:
    """Twins, and both can be repeated. The headers are those that Discord asks of a bot."""
    assert change(vendor, action).sentence == sentence
    (request,) = vendor.calls
    assert vendor.seen(route) == [request]
    assert request.path == f"/api/v10/guilds/{SERVER}/members/{MEMBER}/roles/{ROLE}"
    assert request.headers["Authorization"] == f"Bot {TOKEN}"
    assert request.headers["User-Agent"].startswith("DiscordBot (https://")
    assert integration.action(action).repeatable


@pytest.mark.parametrize("member", [None, "", " ", "ada#1234", "1042", f"{MEMBER}/../1", "٣" * 18, "9" * 21])
@pytest.mark.parametrize("action", ["give_role", "take_role"])
def test_without_a_member_the_run_says_exactly_that(vendor: Vendor, action: str, member: str | None) -> None:
    """A name and an order's number are no members either: taking a role from nobody must not pass for done."""
    with pytest.raises(Permanent) as caught:
        change(vendor, action, member)
    assert caught.value.sentence == NO_MEMBER
    assert not vendor.calls


def test_a_buyer_who_is_not_in_the_server(vendor: Vendor) -> None:
    """Giving has to wait for them; there is nothing to take from who has left."""
    vendor.answers |= {GIVE: refused(404, 10007), TAKE: refused(404, 10007)}
    with pytest.raises(Permanent, match="has not joined the server yet"):
        change(vendor, "give_role")
    assert change(vendor, "take_role").sentence == (
        f"The member {MEMBER} is not in the server: there was no role to take away."
    )


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, 10011, "The role is gone"),
        (404, 10004, "The server is gone"),
        (404, 10013, "knows no member with this ID"),
        (403, 50001, "cannot see this server"),
        (403, 50013, "must stand above the role it gives or takes and have Manage Roles"),
        (400, 50035, "Discord says: No."),
    ],
)
@pytest.mark.parametrize("action", ["give_role", "take_role"])
def test_a_refusal_says_what_to_do(vendor: Vendor, action: str, status: int, code: int, words: str) -> None:
    """Also when taking: a role that could not be taken is not a success."""
    vendor.answers |= {GIVE: refused(status, code), TAKE: refused(status, code)}
    with pytest.raises(Permanent) as caught:
        change(vendor, action)
    assert words in caught.value.sentence


@pytest.mark.parametrize(
    ("refusal", "meaning"),
    [
        (refused(401, 0), Unauthorized),
        (refused(500, 10007), Unsure),
        (answer("<html>blocked</html>", 403), Permanent),
        (answer(["odd"], 404), Permanent),
    ],
)
def test_other_refusals_follow_the_common_rules(vendor: Vendor, refusal: Answer, meaning: type[ActionError]) -> None:
    """Whatever their body."""
    vendor.answers[GIVE] = refusal
    with pytest.raises(meaning):
        change(vendor, "give_role")


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        (refused(429, 0, retry_after=64.57, **{"global": False}), 64.57),
        (answer("error code: 1015", 429, {"Retry-After": "30"}), 30),
    ],
)
def test_discord_says_how_long_to_wait(vendor: Vendor, refusal: Answer, seconds: float) -> None:
    """In parts of a second in the body; in a header where its outer wall answers."""
    vendor.answers[GIVE] = refusal
    with pytest.raises(Temporary) as caught:
        change(vendor, "give_role")
    assert caught.value.after is not None
    assert caught.value.after.total_seconds() == seconds


# ── Messages ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_mentions_nobody_and_is_the_same_for_discord_when_sent_again(vendor: Vendor) -> None:
    """The nonce comes from the step of the run; other steps have others."""
    outcome = post(vendor, "@everyone: **sold**")
    post(vendor, "@everyone: **sold**")
    first, second = (request.json for request in vendor.seen(POST))
    assert first == second
    nonce = first.pop("nonce")
    assert 0 < len(nonce) <= 25
    assert first == {
        "content": "@everyone: **sold**",
        "allowed_mentions": {"parse": []},
        "enforce_nonce": True,
    }
    assert outcome.sentence == "Posted to the channel."
    # The nonce holds for minutes only: after that a repeat would post twice.
    assert not integration.action("post_message").repeatable


def test_a_long_message_is_cut(vendor: Vendor) -> None:
    """Discord takes 2,000 characters; a long review must not fail the run."""
    post(vendor, "x" * 5000)
    assert vendor.calls[0].json["content"] == "x" * 1999 + "…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**bold** _it_ ~~no~~", r"\*\*bold\*\* \_it\_ \~\~no\~\~"),
        ("`code` ||secret||", r"\`code\` \|\|secret\|\|"),
        ("[click](https://evil.example)", r"\[click\](https://evil.example)"),
        ("<@123> <#5> @here", r"\<\@123\> \<\#5\> \@here"),
        ("> quote\n# head", "\\> quote\n\\# head"),
        (r"back\slash", r"back\\slash"),
        ("https://example.com/a_b?c=*", "https://example.com/a_b?c=*"),
        ("Ada & Bo, 5-1 = 4.", "Ada & Bo, 5-1 = 4."),
    ],
)
def test_what_a_buyer_wrote_is_no_markup(text: str, shown: str) -> None:
    """Facts in a message go through this; what the merchant wrote round them does not."""
    assert discord_escape(text) == shown
    assert next(spec for spec in fields(Message) if spec.name == "text").escape is discord_escape


# ── Connecting and choosing ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("count", "said"), [(0, "0 servers"), (1, "1 server"), (2, "2 servers")])
def test_check_names_the_bot_and_counts_its_servers(vendor: Vendor, count: int, said: str) -> None:
    """A bot in no server has not been invited yet."""
    vendor.answers |= {
        "GET /users/@me": answer({"username": "shopkeeper"}),
        "GET /users/@me/guilds": answer([{"id": str(number), "name": "S"} for number in range(count)]),
    }
    assert check(connect(CREDENTIALS, vendor.url)) == f"shopkeeper, in {said}"


def test_servers_are_read_page_by_page_up_to_a_thousand(vendor: Vendor) -> None:
    """200 at a time, each page from the last one's end."""
    client = connect(CREDENTIALS, vendor.url)
    vendor.script = [answer([{"id": str(200 * page + n), "name": "S"} for n in range(200)]) for page in range(5)]
    assert len(load_servers(client, {})) == 1000
    assert [request.args.get("after") for request in vendor.calls] == [None, "199", "399", "599", "799"]


def test_roles_are_those_that_can_be_given(vendor: Vendor) -> None:
    """Not everybody's own, which has the server's id, and none that belongs to an app. The highest first."""
    vendor.answers["GET /guilds/{guild_id}/roles"] = answer(
        [
            {"id": SERVER, "name": "@everyone", "position": 0, "managed": False},
            {"id": "1", "name": "Reader", "position": 1, "managed": False},
            {"id": "2", "name": "Some bot", "position": 3, "managed": True},
            {"id": "3", "name": "Patron", "position": 2, "managed": False},
        ]
    )
    client = connect(CREDENTIALS, vendor.url)
    assert roles(client, {"server": SERVER}) == [Option("3", "Patron"), Option("1", "Reader")]
    assert roles(client, {}) == []


def test_channels_are_those_that_take_messages(vendor: Vendor) -> None:
    """Text and announcements; no voice, no categories."""
    kinds = {0: "sales", 2: "voice", 4: "category", 5: "news"}
    vendor.answers["GET /guilds/{guild_id}/channels"] = answer(
        [{"id": str(kind), "name": name, "type": kind} for kind, name in kinds.items()]
    )
    client = connect(CREDENTIALS, vendor.url)
    assert channels(client, {"server": SERVER}) == [Option("0", "#sales"), Option("5", "#news")]
    assert channels(client, {}) == []


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "smart’quote"])
def test_a_token_that_cannot_be_one_is_refused(token: str) -> None:
    """It goes into a header."""
    with pytest.raises(FormError, match="Bot token"):
        validate(Credentials, {"bot_token": token})


def test_no_token_in_what_is_printed() -> None:
    """A client may end up in a log."""
    assert TOKEN not in f"{connect(CREDENTIALS, 'https://discord.com/api/v10')!r} {CREDENTIALS!r}"
