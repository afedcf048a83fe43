"""Declared forms become fields, and what was entered becomes values again."""

from pydantic import SecretStr
from werkzeug.datastructures import MultiDict

from integrations import kit
from integrations.kit import Form, Option, choice, lines, number, pairs, secret, text, toggle
from web.forms import Choices, Row, entered, fields_of


class Everything(Form):
    """One field of each kind."""

    name: str = text("Name", default="Orders")
    words: str = lines("Words")
    key: SecretStr = secret("Key")
    often: int = number("How often", default=3)
    loud: bool = toggle("Loud")
    channel: str = choice("Channel", options=[Option("C1", "#one")])
    columns: dict[str, str] = pairs("Columns")


SPECS = kit.fields(Everything)


def test_entered_values_are_as_the_kit_takes_them() -> None:
    """Prefixes are taken off, line breaks are plain, a box that is not ticked is a no, blank rows are left out."""
    form = MultiDict(
        [
            ("p.name", "Sales"), ("p.words", "one\r\ntwo"), ("p.key", "s3cret"), ("p.often", "5"), ("p.channel", "C1"),
            ("p.columns__name", "Buyer"), ("p.columns__text", "{{ buyer.email }}"),
            ("p.columns__name", ""), ("p.columns__text", ""),
        ]
    )  # fmt: skip
    values = entered(SPECS, form, prefix="p.")
    assert values["words"] == "one\ntwo"
    assert values["loud"] is False
    assert values["columns"] == {"Buyer": "{{ buyer.email }}"}
    assert kit.validate(Everything, values).often == 5


def test_a_row_with_a_text_but_no_name_is_kept_to_be_refused() -> None:
    """What somebody typed is not dropped without a word."""
    form = MultiDict([("columns__name", ""), ("columns__text", "lost?")])
    assert entered(SPECS[-1:], form) == {"columns": {"": "lost?"}}


def test_secrets_are_never_put_into_a_field() -> None:
    """Not even what was typed a moment ago."""
    fields = {field.spec.name: field for field in fields_of(SPECS, {"key": "s3cret"}, keeps_secrets=True)}
    assert fields["key"].value == ""
    assert fields["key"].keeps_secret
    assert not fields["name"].keeps_secret


def test_defaults_problems_and_rows() -> None:
    """A field shows its default, its problem, and always one blank row more."""
    fields = {
        field.spec.name: field for field in fields_of(SPECS, {"columns": {"A": "1"}}, problems={"words": "Empty."})
    }
    assert (fields["name"].value, fields["words"].problem) == ("Orders", "Empty.")
    assert fields["columns"].rows == [Row("A", "1"), Row("", "")]


def test_a_name_that_comes_twice_is_kept_to_be_refused() -> None:
    """Neither of the two texts is dropped without a word."""
    form = MultiDict([("columns__name", "A"), ("columns__text", "1"), ("columns__name", "A"), ("columns__text", "2")])
    values = entered(SPECS[-1:], form)
    assert values == {"columns": [("A", "1"), ("A", "2")]}
    [field] = fields_of(SPECS[-1:], values)
    assert field.rows == [Row("A", "1"), Row("A", "2"), Row("", "")]


def test_a_problem_with_a_row_is_the_rows() -> None:
    """Of its name or of its text; what is wrong with the field as a whole is not a row's."""
    problems = {"columns.0.text": "No.", "columns.1.name": "Never.", "columns": "Odd."}
    [field] = fields_of(SPECS[-1:], {"columns": {"A": "1", "": "2"}}, problems=problems)
    assert field.rows == [Row("A", "1", text_problem="No."), Row("", "2", name_problem="Never."), Row("", "")]
    assert field.problem == "Odd."


def test_a_choice_that_cannot_be_loaded_is_typed() -> None:
    """And one that is no longer in the list is still shown."""
    failed = fields_of(SPECS, {"channel": "C9"}, choices={"channel": Choices(problem="Slack does not answer.")})
    listed = fields_of(SPECS, {"channel": "C9"})
    assert {field.spec.name: field.is_typed for field in failed}["channel"]
    assert {field.spec.name: field.is_unlisted for field in listed}["channel"]


def test_a_choice_typed_as_it_is_called_is_the_one_of_that_name() -> None:
    """Typed while nothing could be loaded; unless two are called that, then nobody knows which."""
    for options, value in (([("C2", "#sales")], "C2"), ([("C2", "#sales"), ("C3", "#Sales")], "#sales")):
        choices = {"channel": Choices([Option(*option) for option in options])}
        found = fields_of(SPECS, {"channel": "#sales"}, choices=choices)
        assert next(field.value for field in found if field.name == "channel") == value
