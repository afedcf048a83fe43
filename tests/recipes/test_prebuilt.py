"""The prebuilt recipes: each holds against its event's sample, and the loader refuses one with a mistake."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integrations import integration, kit
from recipes import conditions, mapping
from recipes.definition import Definition
from recipes.events import EVENT_TYPES, event_type
from recipes.events.facts import facts_of
from recipes.prebuilt import PREBUILT, Prebuilt, PrebuiltError, checked
from recipes.prebuilt.reading import read

# What a recipe with conditions needs beyond its event's sample in order to run.
MATCHING: Mapping[str, Mapping[str, Any]] = {
    "order.completed/slack-large-sale": {"amount": 164.99},
    "order.refunded/mailchimp-untag": {"product": {"id": "prod_1", "name": "Guide, second edition"}},
    "review.created/slack-low-rating": {"review": {"id": "r_1", "rating": 2, "review": "Too <short> & thin."}},
}
ALL = sorted(PREBUILT)


def _facts(event: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    return facts_of(event, payload, occurred_at=datetime(2026, 7, 24, 12, 0, tzinfo=UTC), test_mode=False)


def _sample(name: str) -> dict[str, Any]:
    known = event_type(PREBUILT[name].event)
    assert known is not None
    return known.sample() | dict(MATCHING.get(name, {}))


def _filled(recipe: Prebuilt, payload: Mapping[str, Any]) -> list[tuple[kit.Action, dict[str, Any]]]:
    filled = []
    for step in recipe.steps:
        action = integration(step.app).action(step.action)
        specs = kit.fields(action.form)
        chosen = {spec.name: "chosen" for spec in specs if spec.load}
        filled.append((action, mapping.render_fields(specs, step.fields | chosen, _facts(recipe.event, payload))))
    return filled


@pytest.mark.parametrize("name", ALL)
def test_it_runs_on_its_events_sample(name: str) -> None:
    """Filled in from the sample, each step's form is complete: the merchant only chooses."""
    recipe = PREBUILT[name]
    verdict = conditions.evaluate(recipe.match, recipe.conditions, _facts(recipe.event, _sample(name)))
    assert verdict.matches, verdict.sentence
    for action, values in _filled(recipe, _sample(name)):
        form = kit.validate(action.form, values)
        texts = [each for value in form.model_dump().values() for each in _texts(value)]
        assert not [text for text in texts if "None" in text or "{{" in text or "\n\n" in text]


@pytest.mark.parametrize("name", ALL)
def test_it_can_be_filled_in_from_an_event_that_says_little(name: str) -> None:
    """No field names something that must be there: what is missing is blank, never a broken run."""
    for _, values in _filled(PREBUILT[name], {"customer": {"email": "a@example.com"}}):
        for text in _texts(values):
            assert "None" not in text


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _texts(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", ALL)
def test_it_reads_well(name: str) -> None:
    """Calm and complete: a title, one sentence that begins with the event's own words, no private link, no address."""
    recipe = PREBUILT[name]
    known = event_type(recipe.event)
    assert known is not None
    assert recipe.sentence.startswith(f"When {known.when}")
    assert recipe.sentence.endswith(".")
    assert recipe.title[0].isupper()
    assert not recipe.title.endswith(".")
    assert not recipe.needs or recipe.needs.endswith(".")
    written = " ".join([recipe.title, recipe.sentence, recipe.needs, *(str(step.fields) for step in recipe.steps)])
    assert not re.search(r"!|https?:|portal|e-?mail address\b.*\be-?mail address", written, re.IGNORECASE)


@pytest.mark.parametrize("name", ALL)
def test_it_becomes_a_definition(name: str) -> None:
    """What the shelf offers can be saved as it is once connections are chosen."""
    recipe = PREBUILT[name]
    Definition(event=recipe.event, match=recipe.match, conditions=list(recipe.conditions), steps=list(recipe.steps))


def test_every_event_has_a_recipe() -> None:
    """Whatever comes, a merchant finds something to switch on; and titles tell recipes apart."""
    assert {recipe.event for recipe in PREBUILT.values()} == {each.name for each in EVENT_TYPES}
    titles = [recipe.title for recipe in PREBUILT.values()]
    assert len(titles) == len(set(titles))


def test_the_promised_recipes_are_there() -> None:
    """README, the command line and merchants' shelves go by these names."""
    assert set(PREBUILT) >= {
        "customer.created/mailchimp-add-buyer",
        "order.completed/mailchimp-tag-product",
        "order.refunded/mailchimp-untag",
        "review.created/slack-message",
        "order.completed/slack-message",
        "order.refunded/slack-message",
        "invoice.payment_failed/slack-message",
        "customer.subscription.deleted/slack-message",
        "order.completed/google-sheets-row",
        "order.refunded/google-sheets-row",
        "order.completed/ledger-row",
        "customer.subscription.deleted/discord-take-role",
        "customer.subscription.deleted/discourse-remove-from-group",
        "customer.subscription.deleted/slack-remove-from-channel",
        "customer.subscription.created/discord-give-role",
        "customer.subscription.created/discourse-add-to-group",
        "customer.subscription.created/slack-invite-to-channel",
    }


@pytest.mark.parametrize("name", [name for name in ALL if PREBUILT[name].twin])
def test_twins_undo_each_other(name: str) -> None:
    """The same buyer and the same tag, at the same service: else the undoing misses."""
    recipe = PREBUILT[name]
    twin = PREBUILT[str(recipe.twin)]
    assert twin.twin == name
    for step, other in zip(recipe.steps, twin.steps, strict=True):
        assert step.app == other.app
        for field in ("email", "member"):
            assert step.fields.get(field) == other.fields.get(field)
        assert {step.fields.get("tag"), step.fields.get("tags")} == {other.fields.get("tag"), other.fields.get("tags")}


def test_a_product_with_a_comma_is_one_tag() -> None:
    """Tags are parted by commas: added as two, taken off as one, the tag would stay for ever."""
    product = {"product": {"id": "p", "name": "Guide, second edition"}}
    [(_, added)] = _filled(
        PREBUILT["order.completed/mailchimp-tag-product"], _sample("order.completed/slack-message") | product
    )
    [(_, removed)] = _filled(PREBUILT["order.refunded/mailchimp-untag"], _sample("order.refunded/mailchimp-untag"))
    assert added["tags"] == removed["tag"] == "Guide second edition"


def test_a_refund_lands_in_the_orders_row() -> None:
    """Same key in sheet and ledger, and nothing that the refund does not say is wiped out."""
    for app in ("google-sheets-row", "ledger-row"):
        [(_, paid)] = _filled(PREBUILT[f"order.completed/{app}"], _sample("order.completed/ledger-row"))
        [(_, refunded)] = _filled(PREBUILT[f"order.refunded/{app}"], _sample("order.refunded/ledger-row"))
        assert (paid["key"], paid["columns"]["Status"]) == ("order_xyz123", "paid")
        assert (refunded["key"], refunded["columns"]["Status"]) == ("order_xyz123", "refunded")
        assert refunded["columns"]["Refunded amount"] == "64.99"
        assert {paid.get("table"), paid.get("key_column")} == {refunded.get("table"), refunded.get("key_column")}
        assert not {"Name", "Amount", "Country"} & set(refunded["columns"])


def test_messages_read_well() -> None:
    """A bold title, then the facts; what is not known leaves no empty line."""
    [(_, sale)] = _filled(PREBUILT["order.completed/slack-message"], _sample("order.completed/slack-message"))
    assert sale["text"].strip().splitlines() == [
        "*New sale: $64.99*",
        "Buyer: Jane Doe (customer@example.com)",
        "Product: prod_456def",
        "Country: US",
    ]
    [(_, refund)] = _filled(PREBUILT["order.refunded/slack-message"], _sample("order.refunded/slack-message"))
    assert refund["text"].strip().splitlines() == [
        "*Refund: 64.99*",
        "Buyer: customer@example.com",
        "Order: order_xyz123",
        "Reason: requested by customer",
    ]
    [(_, review)] = _filled(PREBUILT["review.created/slack-low-rating"], _sample("review.created/slack-low-rating"))
    assert review["text"].strip().splitlines() == [
        "*A buyer is not happy: 2 of 5 stars*",
        "“Too &lt;short&gt; &amp; thin.”",
        "Product: 65a1b2c3d4e5f6a7b8c9d0e1",
        "Buyer: buyer@example.com",
    ]


@pytest.mark.parametrize("name", sorted(MATCHING))
def test_conditions_hold_back_what_they_should(name: str) -> None:
    """A good review does not ring the alarm, and a refund that names no product is skipped rather than failed."""
    recipe = PREBUILT[name]
    known = event_type(recipe.event)
    assert known is not None
    assert not conditions.evaluate(recipe.match, recipe.conditions, _facts(recipe.event, known.sample())).matches


def test_the_sentence_tells_what_was_chosen() -> None:
    """And reads well while nothing is chosen yet."""
    review = PREBUILT["review.created/slack-message"]
    assert review.sentence_with({"channel": "#reviews"}) == "When a buyer leaves a review, post it to Slack #reviews."
    assert review.sentence_with({}) == "When a buyer leaves a review, post it to Slack."
    orders = PREBUILT["order.completed/ledger-row"]
    assert orders.sentence_with({}) == "When someone buys a product, write it to the Ledger table Orders."
    assert orders.sentence_with({"table": r"{table} \1"}).endswith(r"the Ledger table {table} \1.")


@pytest.mark.parametrize("name", ALL)
def test_the_sentence_tells_how_long_it_waits(name: str) -> None:
    """Whatever the recipe: the merchant can have each of them wait."""
    recipe = PREBUILT[name]
    known = event_type(recipe.event)
    assert known is not None
    said = recipe.sentence_with({}, ["2 hours"])
    when, what = recipe.sentence_with({}, [""]).split(", ", 1)
    assert said == f"{when}, 2 hours later, {what}"
    assert " later" not in recipe.sentence_with({}, [""])
    assert recipe.sentence_with({}, ["", "1 day"]).endswith(" Step 2: 1 day later.")


def test_shipped_recipes_wait_where_that_is_of_use() -> None:
    """A follow-up is not for the moment of the purchase."""
    waiting = {name: [step.wait for step in recipe.steps] for name, recipe in PREBUILT.items() if recipe.steps[0].wait}
    assert waiting == {
        "order.completed/mailchimp-follow-up": ["3 days"],
        "order.completed/slack-ask-for-review": ["14 days"],
    }
    sentence = PREBUILT["order.completed/mailchimp-follow-up"].sentence_with({"audience": "Buyers"})
    assert sentence == "When someone buys a product, 3 days later, tag the buyer in the Mailchimp audience Buyers."


GOOD = """
title = "Post it"
sentence = "When a buyer leaves a review, post it to Slack {channel}."

[[steps]]
app = "slack"
action = "post_message"

[steps.fields]
text = "Hello {{ buyer.email }}"
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title =", "titel =", "titel"),
        ('title = "Post it"', 'title = "', "post"),
        ("buyer.email", "buyer.emial", "Did you mean buyer.email"),
        ("{channel}", "{chanel}", "the sentence names the field chanel"),
        ('"slack"', '"slak"', "no action post_message of slak"),
        ("post_message", "shout", "no action shout of slack"),
        ("text =", "texts =", "texts is no field"),
        ("text =", 'channel = "C1"\ntext =', "channel is no field"),
        ('text = "Hello {{ buyer.email }}"', "", "text is missing"),
        ("[[steps]]", 'twin = "review.created/nobody"\n[[steps]]', "is not its twin"),
        ("[[steps]]", '[[conditions]]\nfact = "review.rating"\noperator = "is"\n[[steps]]', "compared with"),
        ("[steps.fields]", "connection_id = 1\n[steps.fields]", "are the merchant's"),
        ("[steps.fields]", 'wait = "3 weeks"\n[steps.fields]', "such as 3 days"),
    ],
)
def test_a_recipe_with_a_mistake_is_refused_by_name(tmp_path: Path, old: str, new: str, said: str) -> None:
    """A mistake stops the start with the file's name, and not a merchant's run next week."""
    assert old in GOOD
    (tmp_path / "review.created").mkdir()
    (tmp_path / "review.created" / "post.toml").write_text(GOOD.replace(old, new), "utf-8")
    with pytest.raises(PrebuiltError, match=r"^review\.created/post: ") as refused:
        checked(read(tmp_path))
    assert said in str(refused.value)


def test_a_recipe_for_an_unknown_event_is_refused(tmp_path: Path) -> None:
    """A folder's name with a mistake in it would otherwise hide its recipes."""
    (tmp_path / "review.create").mkdir()
    (tmp_path / "review.create" / "post.toml").write_text(GOOD, "utf-8")
    with pytest.raises(PrebuiltError, match="no event called"):
        read(tmp_path)


def test_a_good_recipe_is_taken(tmp_path: Path) -> None:
    """The tests above refuse for their own reason only."""
    (tmp_path / "review.created").mkdir()
    (tmp_path / "review.created" / "post.toml").write_text(GOOD, "utf-8")
    assert list(checked(read(tmp_path))) == ["review.created/post"]
