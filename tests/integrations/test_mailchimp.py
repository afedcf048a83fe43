"""Mailchimp through its own client, against a stand-in that checks each request."""

from typing import Any

import pytest
from werkzeug.wrappers import Response

from integrations.errors import ActionError, Permanent, Temporary, Unauthorized, Unsure
from integrations.kit import FormError, Outcome, validate
from integrations.mailchimp import Credentials, audiences, check, connect, integration
from tests.integrations import calls
from tests.integrations.conftest import StartVendor
from tests.integrations.vendor import Vendor, answer

KEY = "0123456789abcdef0123456789abcdef-us21"
BUYER = "Ada.Lovelace@Example.com"
HASH = "2b9150605ac374d671a306b5fcee60a0"  # MD5 of the address in lower case
MEMBER = "PUT /lists/{list_id}/members/{subscriber_hash}"
TAGS = "POST /lists/{list_id}/members/{subscriber_hash}/tags"
CREDENTIALS = validate(Credentials, {"api_key": KEY})


@pytest.fixture
def vendor(start_vendor: StartVendor) -> Vendor:
    """Mailchimp with one audience, a1b2c3."""
    vendor = start_vendor("mailchimp.openapi.json", "/3.0")
    vendor.answers[MEMBER] = answer({"id": "1", "status": "subscribed"})
    vendor.answers["GET /lists/{list_id}"] = answer({"id": "a1b2c3"})
    return vendor


def perform(vendor: Vendor, action: str, **values: Any) -> Outcome:
    """As calls.perform, with what every action here needs."""
    return calls.perform(
        integration, connect(CREDENTIALS, vendor.url), action, {"audience": "a1b2c3", "email": BUYER, **values}
    )


def test_add_subscriber_is_a_put_by_the_hash_that_leaves_the_status_alone(vendor: Vendor) -> None:
    """A repeat changes nothing, and a reader who left is not subscribed again."""
    outcome = perform(vendor, "add_subscriber", first_name="Ada", last_name="")
    (request,) = vendor.calls
    assert request.path.endswith("/lists/a1b2c3/members/" + HASH)
    assert request.args.to_dict() == {"skip_merge_validation": "true"}
    assert request.json == {"email_address": BUYER, "status_if_new": "subscribed", "merge_fields": {"FNAME": "Ada"}}
    assert outcome.sentence == "The buyer is in the audience."


def test_new_subscribers_can_be_asked_to_confirm(vendor: Vendor) -> None:
    """Double opt-in."""
    vendor.answers[MEMBER] = answer({"id": "1", "status": "pending"})
    outcome = perform(vendor, "add_subscriber", ask_to_confirm=True)
    assert vendor.calls[0].json["status_if_new"] == "pending"
    assert outcome.sentence == "The buyer was asked to confirm the subscription."


def test_the_merchant_is_told_that_an_unsubscribed_buyer_stays_so(vendor: Vendor) -> None:
    """Mailchimp says 200 here; without this the run would look like a subscription."""
    vendor.answers[MEMBER] = answer({"id": "1", "status": "unsubscribed"})
    assert "have unsubscribed, and stay so" in perform(vendor, "add_subscriber").sentence


def test_tags_are_parted_by_commas(vendor: Vendor) -> None:
    """Blank ones are dropped, and they are added after the member is there."""
    perform(vendor, "add_subscriber", tags="Book, , Early bird ")
    assert vendor.calls == [*vendor.seen(MEMBER), *vendor.seen(TAGS)]
    assert vendor.seen(TAGS)[0].json == {
        "tags": [{"name": "Book", "status": "active"}, {"name": "Early bird", "status": "active"}]
    }


@pytest.mark.parametrize(("action", "status"), [("add_tag", "active"), ("remove_tag", "inactive")])
def test_one_tag_is_put_on_or_taken_off(vendor: Vendor, action: str, status: str) -> None:
    """The two are twins; both can be repeated."""
    perform(vendor, action, tag="Book")
    assert [request.json for request in vendor.calls] == [{"tags": [{"name": "Book", "status": status}]}]


def test_a_tag_for_a_buyer_who_is_not_in_the_audience(vendor: Vendor) -> None:
    """Mailchimp's 404 is the same for a missing buyer and a missing audience: we look which it is."""
    vendor.answers[TAGS] = _problem(404, "Resource Not Found")
    with pytest.raises(Permanent, match="The buyer is not in this audience: add them first"):
        perform(vendor, "add_tag", tag="Book")
    assert "no tag to take off" in perform(vendor, "remove_tag", tag="Book").sentence


@pytest.mark.parametrize("action", ["add_subscriber", "add_tag", "remove_tag"])
def test_an_audience_that_is_gone(vendor: Vendor, action: str) -> None:
    """Also for a removal: a recipe that names nothing is not a success."""
    gone = _problem(404, "Resource Not Found")
    vendor.answers = {MEMBER: gone, TAGS: gone, "GET /lists/{list_id}": gone}
    with pytest.raises(Permanent, match="This audience is gone from Mailchimp: choose another"):
        perform(vendor, action, **({} if action == "add_subscriber" else {"tag": "Book"}))


@pytest.mark.parametrize("title", ["Member In Compliance State", "Forgotten Email Not Subscribed"])
def test_a_buyer_who_may_not_be_subscribed_needs_to_consent(vendor: Vendor, title: str) -> None:
    """Trying again cannot help, and the merchant learns who can."""
    vendor.answers[MEMBER] = _problem(400, title)
    with pytest.raises(Permanent, match="This buyer needs to give consent"):
        perform(vendor, "add_subscriber")


def test_a_refusals_own_words_are_kept_without_the_buyers_address(vendor: Vendor) -> None:
    """They name the field to change."""
    vendor.answers[MEMBER] = answer(
        {
            "title": "Invalid Resource",
            "status": 400,
            "detail": f"{BUYER} looks fake.",
            "errors": [{"field": "FNAME", "message": "Too long"}],
        },
        400,
    )
    with pytest.raises(Permanent) as caught:
        perform(vendor, "add_subscriber")
    assert str(caught.value) == "Mailchimp refused this. Mailchimp says: [email] looks fake. FNAME: Too long."


@pytest.mark.parametrize("title", ["User Disabled", "WrongDatacenter"])
def test_a_key_that_another_key_can_replace_asks_to_reconnect(vendor: Vendor, title: str) -> None:
    """The runs wait rather than fail."""
    vendor.answers[MEMBER] = _problem(403, title)
    with pytest.raises(Unauthorized):
        perform(vendor, "add_subscriber")


# Each of these the client would hand back as if all were well.
WITHOUT_A_DOCUMENT = {
    "no body": lambda status: answer(status=status),
    "an empty object": lambda status: answer({}, status),
    "broken JSON": lambda status: Response('{"title": ', status, content_type="application/json"),
    "no content type": lambda status: answer(status=status, headers={"X-Empty": "1"}),
}


@pytest.mark.parametrize("body", WITHOUT_A_DOCUMENT)
@pytest.mark.parametrize(
    ("status", "meaning"), [(403, Temporary), (429, Temporary), (500, Unsure), (401, Unauthorized)]
)
def test_a_refusal_without_a_document_is_no_success(
    vendor: Vendor, body: str, status: int, meaning: type[ActionError]
) -> None:
    """Under load Mailchimp answers 403 and 429 without a body."""
    vendor.answers[MEMBER] = WITHOUT_A_DOCUMENT[body](status)
    with pytest.raises(meaning):
        perform(vendor, "add_subscriber")


@pytest.mark.parametrize(
    "key",
    [
        "x-127.0.0.1:8000/#",
        f"{KEY}.evil.example",
        f"{KEY}/@evil",
        KEY.removesuffix("-us21"),
        f"{KEY[:-4]}US21",
    ],
)
def test_a_key_cannot_name_another_host(key: str) -> None:
    """The client pastes what follows the dash into the address."""
    with pytest.raises(FormError, match="has to end with a dash and your data centre") as caught:
        validate(Credentials, {"api_key": key})
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "host"),
    [
        ("", "https://us21.api.mailchimp.com/3.0"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9/3.0"),
        ("http://127.0.0.1:9/3.0/", "http://127.0.0.1:9/3.0"),
    ],
)
def test_the_address_is_the_keys_data_centre_unless_an_operator_sets_another(base: str, host: str) -> None:
    """With or without the version at its end."""
    assert connect(CREDENTIALS, base).host == host


def test_the_word_server_is_left_alone(vendor: Vendor) -> None:
    """The client would replace it anywhere in an address by the data centre."""
    perform(vendor, "add_subscriber", audience="my-server-list")
    assert "/lists/my-server-list/" in vendor.calls[0].path


def test_check_names_the_account(vendor: Vendor) -> None:
    """One harmless call, with the key as basic auth."""
    vendor.answers["GET /"] = answer({"account_name": "Acme Books"})
    assert check(connect(CREDENTIALS, vendor.url)) == "Acme Books"
    authorization = vendor.calls[0].authorization
    assert authorization is not None
    assert authorization.password == KEY


def test_audiences_are_offered_by_name(vendor: Vendor) -> None:
    """All of them: ten would come by default."""
    vendor.answers["GET /lists"] = answer({"lists": [{"id": "a1b2c3", "name": "Readers"}]})
    (option,) = audiences(connect(CREDENTIALS, vendor.url), {})
    assert (option.value, option.label) == ("a1b2c3", "Readers")
    assert vendor.calls[0].args["count"] == "1000"


def _problem(status: int, title: str) -> Response:
    document = {"type": "about:blank", "title": title, "status": status, "detail": "No.", "instance": "1"}
    response = answer(document, status)
    response.content_type = "application/problem+json"
    return response
