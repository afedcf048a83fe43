"""Conditions: what passes, what does not, and the sentence that says why."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from recipes.conditions import OPERATORS, evaluate, problems, sentence
from recipes.definition import Condition
from recipes.events import EVENT_TYPES, event_type
from recipes.events.facts import facts_of

FACTS: dict[str, Any] = {
    "buyer": {"email": "Jane@Example.com", "country": "US", "reference": None, "name": ""},
    "order": {"amount": Decimal("64.99"), "total": "$64.99", "amount_known": True, "tax": None},
    "review": {"rating": Decimal(5), "text": "So so.\nReally."},
    "occurred_at": datetime(2026, 7, 24, 12, 0, tzinfo=UTC),
    "test_mode": False,
    "payload": {"metadata": {"plan": "pro", "seats": 12, "gift": True}, "tax": {"rate": 0.08}},
}


def _holds(fact: str, operator: str, value: str = "") -> bool:
    return evaluate("all", [Condition(fact=fact, operator=operator, value=value)], FACTS).matches


@pytest.mark.parametrize(
    ("fact", "operator", "value", "holds"),
    [
        ("buyer.email", "is", " jane@example.COM ", True),
        ("buyer.email", "is", "jane@example.org", False),
        ("buyer.email", "is_not", "jane@example.org", True),
        ("buyer.email", "is_not", "JANE@example.com", False),
        ("buyer.email", "contains", "@EXAMPLE", True),
        ("buyer.email", "contains", "@acme", False),
        ("buyer.email", "does_not_contain", "@acme", True),
        ("buyer.email", "does_not_contain", "jane", False),
        ("buyer.email", "starts_with", "jane", True),
        ("buyer.email", "starts_with", "ane", False),
        ("buyer.country", "is_one_of", "de, us ,FR", True),
        ("buyer.country", "is_one_of", "de,fr", False),
        ("buyer.country", "is_one_of", "usa", False),
        ("buyer.reference", "is_empty", "", True),
        ("buyer.name", "is_empty", "", True),
        ("buyer.country", "is_empty", "", False),
        ("buyer.country", "is_not_empty", "", True),
        ("buyer.reference", "is_not_empty", "", False),
        ("buyer.reference", "is_not", "x", True),
        ("review.text", "contains", "really", True),
        ("review.rating", "is", "5.0", True),
        ("review.rating", "is", "4", False),
        ("review.rating", "is_not", "4", True),
        ("order.amount", "at_least", "64.99", True),
        ("order.amount", "at_least", "65", False),
        ("order.amount", "at_most", "64.99", True),
        ("order.amount", "at_most", "9", False),
        ("order.amount", "more_than", "9", True),
        ("order.amount", "more_than", "64.990", False),
        ("order.amount", "less_than", "100", True),
        ("order.amount", "less_than", "64.99", False),
        ("test_mode", "is_no", "", True),
        ("test_mode", "is_yes", "", False),
        ("occurred_at", "is_not_empty", "", True),
        ("payload.metadata.plan", "is", "Pro", True),
        ("payload.metadata.seats", "at_least", "10", True),
        ("payload.metadata.seats", "is", "12", True),
        ("payload.metadata.gift", "is_yes", "", True),
        ("payload.metadata.nothing", "is_empty", "", True),
        ("payload.metadata", "is_empty", "", False),
        ("order.tax", "is_not", "5", False),
        ("order.tax", "at_most", "5", False),
    ],
)
def test_operators(fact: str, operator: str, value: str, holds: bool) -> None:
    """Text without regard to case and outer blanks; numbers as numbers; what is not said is no number."""
    assert _holds(fact, operator, value) is holds


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (("review.rating", "at_most", "3"), "the review rating is at most 3, but it was 5"),
        (("buyer.email", "contains", "@acme"), "the buyer's e-mail contains @acme, but it was Jane@Example.com"),
        (("buyer.reference", "is", "x"), "your own reference for the buyer is x, but the event does not say"),
        (("order.tax", "at_least", "5"), "the order tax is at least 5, but the event does not say"),
        (("test_mode", "is_yes", ""), "“Test event” is yes, but the answer was no"),
        (("payload.metadata.plan", "is", "free"), "payload.metadata.plan is free, but it was pro"),
        (("payload.metadata", "is", "free"), "payload.metadata is free, but that is a group of facts"),
    ],
)
def test_a_skipped_run_says_why(condition: tuple[str, str, str], reason: str) -> None:
    """One sentence for the run, the same for the condition's row."""
    fact, operator, value = condition
    verdict = evaluate("all", [Condition(fact=fact, operator=operator, value=value)], FACTS)
    assert verdict.sentence == f"Skipped: it runs only if {reason}."
    assert verdict.rows == ((reason, False),)


def test_a_long_text_is_cut_in_the_sentence() -> None:
    """A review of ten pages does not become the run's outcome."""
    facts = {"review": {"text": "x" * 5000}}
    verdict = evaluate("all", [Condition(fact="review.text", operator="is", value="y")], facts)
    assert len(verdict.sentence) < 200


GOOD = Condition(fact="review.rating", operator="is", value="5")
BAD = Condition(fact="review.rating", operator="at_most", value="3")
WORSE = Condition(fact="buyer.country", operator="is", value="DE")


@pytest.mark.parametrize(
    ("match", "conditions", "matches", "said"),
    [
        ("all", [], True, "There are no conditions."),
        ("any", [], True, "There are no conditions."),
        ("all", [GOOD], True, "The conditions hold."),
        ("all", [GOOD, BAD], False, "Skipped: it runs only if the review rating is at most 3, but it was 5."),
        (
            "all",
            [BAD, WORSE],
            False,
            "Skipped: it runs only if the review rating is at most 3, but it was 5; "
            "the buyer's country is DE, but it was US.",
        ),
        ("any", [BAD, GOOD], True, "At least one condition holds."),
        ("any", [BAD], False, "Skipped: it runs only if the review rating is at most 3, but it was 5."),
        (
            "any",
            [BAD, WORSE],
            False,
            "Skipped: none of the conditions holds: the review rating is at most 3, but it was 5; "
            "the buyer's country is DE, but it was US.",
        ),
    ],
)
def test_all_or_any(match: Any, conditions: list[Condition], matches: bool, said: str) -> None:
    """Every condition is tried and shown, whichever decides."""
    verdict = evaluate(match, conditions, FACTS)
    assert (verdict.matches, verdict.sentence) == (matches, said)
    assert len(verdict.rows) == len(conditions)


@pytest.mark.parametrize("operator", ["at_least", "at_most", "more_than", "less_than", "is", "is_not"])
def test_an_amount_of_unknown_unit_matches_nothing(operator: str) -> None:
    """2999 may be 29.99 or 2999: a rule about money does not act on a guess, and says so."""
    payload = {"order": {"id": "o"}, "amount": 2999, "currency": "usd", "customer": {"email": "a@b.c"}}
    facts = facts_of("order.completed", payload, occurred_at=datetime(2026, 1, 1, tzinfo=UTC), test_mode=False)
    verdict = evaluate("all", [Condition(fact="order.amount", operator=operator, value="50")], facts)
    assert not verdict.matches
    assert "cents or in whole units" in verdict.sentence


def test_an_amount_that_was_not_sent_is_not_called_uncertain() -> None:
    """A refund says nothing about the order's amount: that is another sentence."""
    sold = event_type("order.refunded")
    assert sold is not None
    facts = facts_of(sold.name, sold.sample(), occurred_at=datetime(2026, 1, 1, tzinfo=UTC), test_mode=False)
    verdict = evaluate("all", [Condition(fact="order.amount", operator="at_least", value="50")], facts)
    assert verdict.sentence == "Skipped: it runs only if the order amount is at least 50, but the event does not say."


def test_an_operator_that_went_away_matches_nothing() -> None:
    """A stored recipe from another version is skipped with a sentence; it does not act, and nothing breaks."""
    verdict = evaluate("all", [Condition(fact="review.rating", operator="rhymes_with", value="5")], FACTS)
    assert not verdict.matches
    assert "rhymes_with" in verdict.sentence


def test_sentences_are_english() -> None:
    """As the recipe's page shows them."""
    assert sentence(Condition(fact="order.amount", operator="at_least", value=" 50 "), "order.completed") == (
        "the order amount is at least 50"
    )
    assert sentence(Condition(fact="buyer.country", operator="is_not_empty", value="x"), "order.completed") == (
        "the buyer's country is not empty"
    )


@pytest.mark.parametrize(
    ("fact", "operator", "value", "said"),
    [
        ("buyer.email", "contains", "@acme", []),
        ("order.amount", "at_least", "49.90", []),
        ("test_mode", "is_yes", "", []),
        ("payload.metadata.anything", "more_than", "5", []),
        ("payload.tax.rate", "at_least", "0.05", []),
        ("buyer.mail", "is", "x", ["There is no fact called buyer.mail. Did you mean buyer.email?"]),
        ("buyer", "is", "x", ["buyer is a group of facts: choose one of them, such as buyer.email."]),
        ("review.rating", "is", "5", ["There is no fact called review.rating."]),
        (
            "test_mode",
            "contains",
            "x",
            ["Choose how to compare test_mode: is yes, is no."],
        ),
        ("buyer.email", "is", " ", ["Say what buyer.email is compared with."]),
        ("order.amount", "at_least", "fifty", ["“fifty” is not a number: write it like 50 or 49.90."]),
        ("order.amount", "is", "49,90", ["“49,90” is not a number: write it like 50 or 49.90."]),
        ("order.amount", "less_than", "NaN", ["“NaN” is not a number: write it like 50 or 49.90."]),
    ],
)
def test_mistakes_are_found_on_saving(fact: str, operator: str, value: str, said: list[str]) -> None:
    """A condition that could never hold is not saved."""
    assert problems(Condition(fact=fact, operator=operator, value=value), "order.completed") == said


def test_every_kind_of_fact_can_be_compared() -> None:
    """The page offers operators by a fact's kind: none may be without."""
    kinds = {fact.kind for each in EVENT_TYPES for fact in each.facts}
    assert kinds <= set(OPERATORS)
    for operators in OPERATORS.values():
        names = [operator.name for operator in operators]
        assert len(names) == len(set(names)) > 0
