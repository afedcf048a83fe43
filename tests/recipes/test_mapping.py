"""Field mapping: what a template becomes, what it may not do, and what is found wrong when it is saved."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from time import thread_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations import kit
from integrations.slack import slack_escape
from recipes.mapping import MappingError, problems, render, render_fields

FACTS: Mapping[str, Any] = {
    "buyer": {"email": "jane@example.com", "first_name": "Jane", "last_name": None},
    "order": {"id": "o_1", "amount": Decimal("6.499E+1")},
    "review": {"rating": 3, "text": "5 < 6 & <!channel>"},
    "occurred_at": datetime(2026, 7, 24, 12, 30, tzinfo=UTC),
    "test_mode": True,
    "payload": {"tax": {"percentage": 8.0, "vatNumber": None}, "tags": ["a", "b"], "metadata": {"plan": "pro"}},
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ review.rating }}", 3),
        ("  {{ review.rating }}\n", 3),
        ("{{ order.amount }}", Decimal("64.99")),
        ("{{ test_mode }}", True),
        ("{{ buyer.last_name }}", None),
        ("{{ buyer.email }}", "jane@example.com"),
        ("{{ payload.tax.percentage }}", 8.0),
        ("{{ payload.nothing.like.this }}", None),
    ],
)
def test_a_lone_fact_keeps_its_type(template: str, value: object) -> None:
    """A number field gets a number, not its picture."""
    filled = render(template, FACTS)
    assert filled == value
    assert type(filled) is type(value)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Total {{ order.amount }}", "Total 64.99"),
        ("Dear {{ buyer.first_name }} {{ buyer.last_name }}!", "Dear Jane !"),
        ("{{ payload.tax.percentage }} %", "8.0 %"),
        ("VAT {{ payload.tax.vatNumber }}", "VAT "),
        ("test: {{ test_mode }}", "test: yes"),
        ("at {{ occurred_at }}", "at 2026-07-24 12:30 UTC"),
        ("{{ payload.tags }}.", "a, b."),
        ("no facts & <b>", "no facts & <b>"),
        ("{% if order.amount > 50 %}big{% else %}small{% endif %}", "big"),
        ("{% unless buyer.last_name %}no name{% endunless %}", "no name"),
        ("{% case review.rating %}{% when 3 %}three{% endcase %}", "three"),
        ("{% assign who = buyer.last_name | default: buyer.first_name %}Hi {{ who }}", "Hi Jane"),
        ("{% comment %}later{% endcomment %}now", "now"),
    ],
)
def test_facts_read_as_a_merchant_would_write_them(template: str, text: str) -> None:
    """Money is 64.99 and never 6.499E+1, and what the event does not say is blank."""
    assert render(template, FACTS) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ payload.metadata.discord_id | default: buyer.email }}", "jane@example.com"),
        ("{{ buyer.first_name | upcase }}{{ buyer.first_name | downcase }}", "JANEjane"),
        ("{{ 'jane doe' | capitalize }}.", "Jane doe."),
        ("{{ buyer.email | truncate: 8 }}.", "jane@...."),
        ("{{ buyer.email | replace: '@', ' at ' }}", "jane at example.com"),
        ("{{ buyer.email | split: '@' | last }}", "example.com"),
        ("{{ payload.tags | join: '/' }}", "a/b"),
        ("{{ order.amount | round }}.", "65."),
        ("{{ order.amount | round: 1 }}.", "65.0."),
        ("{{ 1550 | divided_by: 100 }}.", "15.5."),
        ("{{ order.amount | times: 2 | minus: 0.98 | plus: 1 }}.", "130.00."),
        ("{{ buyer.last_name | times: 2 }}.", "."),
        ("{{ occurred_at | date: '%d.%m.%Y' }}.", "24.07.2026."),
        ("{{ '2026-07-24T14:30:00+02:00' | date: '%H:%M' }}", "12:30"),
        ("{{ buyer.email | size }}.", "16."),
        ("{{ 'a b&c' | url_encode }}", "a+b%26c"),
    ],
)
def test_filters_know_money_and_times(template: str, text: str) -> None:
    """Liquid's own take a decimal for 0; these are ours."""
    assert render(template, FACTS) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("<b>{{ review.text }}</b>", "<b>5 &lt; 6 &amp; &lt;!channel&gt;</b>"),
        ("{{ review.text }}", "5 &lt; 6 &amp; &lt;!channel&gt;"),
        ("{{ review.text | upcase }}", "5 &lt; 6 &amp; &lt;!CHANNEL&gt;"),
        ("{{ review.text | append: '&' }}", "5 &lt; 6 &amp; &lt;!channel&gt;&amp;"),
        ("{% assign said = review.text %}*{{ said }}*", "*5 &lt; 6 &amp; &lt;!channel&gt;*"),
        ("{% if review.text contains '<' %}<ok>{% endif %}", "<ok>"),
    ],
)
def test_what_a_buyer_wrote_is_escaped_once_and_last(template: str, text: str) -> None:
    """A review cannot call a channel, a filter sees the text as it is, and the merchant's own marks stay."""
    assert render(template, FACTS, slack_escape) == text


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("{{ buyer.mail }}", "no fact called buyer.mail"),
        ("{{ nobody.email | default: 'x' }}", "no fact called nobody.email"),
        ("{{ now }}", "no fact called now"),
        ("{{ buyer.__class__ }}", "no fact called buyer.__class__"),
        ("{{ buyer }}", "group of facts"),
        ("{{ payload.metadata }}", "group of facts"),
        ("{{ buyer.email | shout }}", "no filter called shout"),
        ("{% if order.amount > '50' %}x{% endif %}", "text with a number"),
        ("{{ order.amount | divided_by: 0 }}", "divided by 0"),
        ("{{ buyer.email | round }}", "numbers only"),
        ("{{ order.amount | round: 11 }}", "0 to 10 decimals"),
        ("{{ buyer.email | truncate: 1, 2, 3 }}", "filter truncate"),
        ("{{ buyer.email | date: '%Y' }}", "date needs a time"),
        ("{% include 'x' %}", "cannot be used here"),
        ("{% for i in (1..100000000) %}x{% endfor %}", "cannot be used here"),
        ("{% capture x %}{% endcapture %}", "cannot be used here"),
        ("{% if (1..10000000000) contains 'x' %}{% endif %}", "Ranges"),
        ("{{ (1..100000000) | join: ',' }}", "Ranges"),
        ("x" * 5_001, "longer than 5000"),
        ("{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 30 + "{{ a }}", "too long"),
        ("{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 12 + "{{ a }}", "longer than 20000"),
        ("{{ a" + "[a" * 1600 + "]" * 1600 + " }}", "cannot be read"),
        ("{% if a %}" * 100 + "{% endif %}" * 100, "nested too deeply"),
    ],
)
def test_a_template_that_cannot_be_filled_says_why(template: str, hint: str) -> None:
    """Nothing but MappingError comes out, whatever goes in; and no template reads files or runs for long."""
    with pytest.raises(MappingError, match=hint):
        render(template, FACTS)


@pytest.mark.parametrize("value", ["x" * 20_001, ["y" * 10_000] * 3])
def test_output_is_bounded_for_lone_facts_too(value: object) -> None:
    """A buyer's metadata cannot fill the memory or the log."""
    with pytest.raises(MappingError, match="20000"):
        render("{{ payload.long }}", {"payload": {"long": value}})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+999999"), "1E+999999."),
        (float("inf"), "Infinity."),
        (1e21, "1000000000000000000000."),
        ("half \ud83d, zero \0", "half ?, zero ."),
    ],
)
def test_odd_values_do_no_harm(value: object, text: str) -> None:
    """JSON may hold numbers of any size, half characters and zero bytes."""
    assert render("{{ payload.odd }}.", {"payload": {"odd": value}}) == text


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("{}%| .:'\"-[]()=<>abif ndorelsupcm09"), max_size=60))
def test_any_text_is_filled_or_refused(template: str) -> None:
    """The engine relies on it: MappingError or a value, never another exception."""
    with suppress(MappingError):
        render(template, FACTS)


class Sample(kit.Form):
    """One field of each kind that an action has."""

    channel: str = kit.choice("Channel")
    title: str = kit.text("Title")
    text: str = kit.lines("Message", escape=slack_escape)
    count: int = kit.number("Count", default=1)
    loud: bool = kit.toggle("Loud")
    columns: dict[str, str] = kit.pairs("Columns")


def _rendered(**values: Any) -> dict[str, Any]:
    return render_fields(kit.fields(Sample), values, FACTS)


def test_fields_are_filled_by_their_kind() -> None:
    """Text is text even from a lone number, numbers stay numbers, and each field escapes in its own way."""
    filled = _rendered(
        channel="C{{ 1 }}",
        title="{{ order.amount }}",
        text="{{ review.text }}",
        count="{{ review.rating }}",
        loud="{{ test_mode }}",
        columns={"Amount {{ x }}": "{{ order.amount }}", "Name": "{{ buyer.last_name }}"},
    )
    assert filled == {
        "channel": "C{{ 1 }}",
        "title": "64.99",
        "text": "5 &lt; 6 &amp; &lt;!channel&gt;",
        "count": 3,
        "loud": True,
        "columns": {"Amount {{ x }}": "64.99", "Name": ""},
    }
    assert kit.validate(Sample, filled).count == 3


def test_a_line_break_from_a_buyer_stays_out_of_one_line_fields() -> None:
    """What goes into a name or a header cannot begin a new one."""
    facts = {"buyer": {"email": "a@b.c\nBcc: everyone"}}
    filled = render_fields(kit.fields(Sample), {"title": "For {{ buyer.email }}"}, facts)
    assert filled == {"title": "For a@b.c Bcc: everyone"}


def test_a_failing_field_is_named() -> None:
    """The run's log says where to look."""
    with pytest.raises(MappingError, match=r"^Message: There is no fact called buyer\.mail"):
        _rendered(text="{{ buyer.mail }}")
    with pytest.raises(MappingError, match=r"^Columns: "):
        _rendered(columns={"E-mail": "{{ buyer.mail }}"})


def test_unknown_fields_and_plain_values_pass() -> None:
    """kit.validate refuses what no form has; values that are no text are not templates."""
    assert _rendered(colour="{{ red }}", count=5, loud=False) == {"colour": "{{ red }}", "count": 5, "loud": False}


@pytest.mark.parametrize(
    "template",
    [
        "Hello",
        "{{ buyer.email }}",
        "{% assign name = buyer.first_name | default: buyer.email %}Dear {{ name }}",
        "{{ payload.metadata.whatever.they.send }}",
        "{{ payload.tax.amount }}",
        "{{ payload.metadata.discord_id | default: buyer.reference }}",
        "{% raw %}{{ not.a.fact }}{% endraw %}",
        '{"json": {"a": "{{ order.id }}"}}',
    ],
)
def test_good_templates_have_no_problems(template: str) -> None:
    """Whoever writes it right is left alone."""
    assert problems(template, "order.completed") == []


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ buyer.mail }}", "There is no fact called buyer.mail. Did you mean buyer.email?"),
        ("{{ payload.txa.amount }}", "There is no fact called payload.txa.amount. Did you mean payload.tax.amount?"),
        ("{{ buyer }}", "buyer is a group of facts: choose one of them, such as buyer.email."),
        ("{{ now }}", "There is no fact called now."),
        ("{{ payload.portalUrl }}", "payload.portalUrl is the buyer's private link: recipes cannot use it."),
        ("{{ buyer.email | upcse }}", "There is no filter called upcse. Did you mean upcase?"),
        ("{ buyer.email }", "Write {{ buyer.email }} with two braces on each side."),
        ("{{ buyer.email }", "A {{ is not closed: write }} after the fact's name."),
        ("{% if buyer.email", "A {% is not closed: write %} at its end."),
        ("{% if buyer.email %}x", "{% endif %} is missing."),
        ("{% comment %}x", "{% endcomment %} is missing."),
        ("{% endif %}", "{% endif %} stands alone: what it belongs to is missing."),
        ("{% if order.id = 5 %}{% endif %}", "To compare two things, write == with two equals signs."),
        (
            "{{ }}",
            "Something is missing between the braces. A fact is written like this: {{ buyer.email }}.",
        ),
        (
            "{{ buyer first }}",
            "This cannot be read near “first”. A fact is written like this: {{ buyer.email }}.",
        ),
        (
            "{% render 'x' %}",
            "{% render %} cannot be used here. There are if, unless, case, assign and comment.",
        ),
        ("{{ order.amount | round: 'x' }}", "round works with numbers only."),
        (
            "{% if test_mode %}{{ buyer.emial }}{% endif %}",
            "There is no fact called buyer.emial. Did you mean buyer.email?",
        ),
    ],
)
def test_mistakes_are_found_on_saving_in_plain_words(template: str, sentence: str) -> None:
    """A typing mistake shows now and not when the next buyer comes."""
    assert problems(template, "order.completed") == [sentence]


@pytest.mark.parametrize(
    "template",
    [
        "{" * 5_000,
        "{{" + " " * 4_900 + "}}",
        "{%" * 2_500,
        "{{ " + "a[" * 400 + "a" + "]" * 400 + " }}",
        "{{ a }}" * 700,
    ],
)
def test_a_hostile_template_is_refused_soon(template: str) -> None:
    """Whoever signs in shares the machine with others: no template may hold it up, or break the page.

    By the processor time it takes, which others on the machine do not change.
    """
    began = thread_time()
    assert _deep(700, lambda: problems(template, "order.completed"))
    assert thread_time() - began < 3


def _deep(frames: int, call: Callable[[], list[str]]) -> list[str]:
    return call() if frames == 0 else _deep(frames - 1, call)


def test_every_mistake_is_named_once() -> None:
    """One round of corrections is enough."""
    found = problems("{{ buyer.nmae }} {{ buyer.nmae }} {{ ordr.id }}", "order.completed")
    assert len(found) == 2


def test_what_was_really_sent_may_be_named() -> None:
    """`payload.…` is open: the merchant's last event counts beside the sample, at any depth."""
    example = {"affiliate": {"code": "X", "levels": [{"rate": 0.1}]}}
    assert problems("{{ payload.affiliate.code }}", "order.completed") != []
    assert problems("{{ payload.affiliate.code }}", "order.completed", [example]) == []
    assert problems("{{ payload.affiliate.levels[0].rate }}", "order.completed", [example]) == []
    assert problems("{{ payload.affiliate }}", "order.completed", [example]) != []


def test_an_unknown_event_is_a_problem() -> None:
    """Nothing is saved for an event that never comes."""
    assert problems("{{ buyer.email }}", "order.vanished") != []
