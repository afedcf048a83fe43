"""Forms: what is refused, in which words, and that no value shows in them."""

from typing import Any

import pytest
from pydantic import SecretStr

from integrations.kit import (
    Form,
    FormError,
    Kind,
    Option,
    choice,
    document,
    fields,
    lines,
    number,
    one_line,
    pairs,
    plain,
    secret,
    text,
    toggle,
    validate,
)

COLOURS = (Option("r", "Red"), Option("g", "Green"))


def _options(client: Any, chosen: Any) -> list[Option]:
    return [Option(client, chosen["shelf"])]


class Everything(Form):
    """One field of each kind."""

    name: str = text("Name")
    note: str | None = lines("Note", required=False)
    key: SecretStr = secret("Key", pattern=r"k-[0-9]+", pattern_help="has to start with k-")
    file: SecretStr | None = document("File", required=False)
    count: int = number("Count", default=3)
    loud: bool = toggle("Loud")
    colour: str = choice("Colour", options=COLOURS, default="r")
    shelf: str | None = choice("Shelf", load=_options, required=False)
    book: str | None = choice("Book", load=_options, after=["shelf"], required=False)
    columns: dict[str, str] = pairs("Columns")


GOOD = {"name": "Ada", "key": "k-1", "columns": {"Name": "Ada"}}


def problems(**values: Any) -> dict[str, str]:
    """What is wrong with GOOD changed by `values`."""
    with pytest.raises(FormError) as caught:
        validate(Everything, GOOD | values)
    return caught.value.problems


def test_fields_are_described_in_the_order_they_are_declared() -> None:
    """Pages and command line are made from this."""
    specs = {spec.name: spec for spec in fields(Everything)}
    assert list(specs) == list(Everything.model_fields)
    assert [specs[name].kind for name in ("name", "note", "key", "file")] == [
        Kind.TEXT, Kind.LINES, Kind.SECRET, Kind.DOCUMENT,
    ]  # fmt: skip
    assert [name for name, spec in specs.items() if spec.required] == ["name", "key", "columns"]
    assert [name for name, spec in specs.items() if spec.is_secret] == ["key", "file"]
    assert (specs["count"].default, specs["loud"].default, specs["name"].default) == (3, False, None)
    assert (specs["colour"].options, specs["book"].after) == (COLOURS, ("shelf",))
    assert (specs["name"].escape, specs["note"].escape) == (one_line, plain)


def test_values_are_stripped_and_blank_ones_count_as_not_given() -> None:
    """A pasted key's line break must not break a header; an emptied field takes its default."""
    form = validate(Everything, GOOD | {"name": " Ada ", "key": " k-1\n", "note": " ", "count": "", "colour": None})
    assert (form.name, form.key.get_secret_value(), form.note, form.count, form.colour) == ("Ada", "k-1", None, 3, "r")


def test_values_from_a_page_are_read() -> None:
    """They come as text."""
    form = validate(Everything, GOOD | {"count": "12", "loud": "on"})
    assert (form.count, form.loud) == (12, True)


def test_every_wrong_field_is_named_at_once() -> None:
    """Nobody should have to send a form three times to learn of three mistakes."""
    assert problems(name="  ", key="x", count="many", colour="blue", columns="a", extra="") == {
        "name": "Name is missing.",
        "key": "Key has to start with k-.",
        "count": "Count has to be a whole number.",
        "colour": "Colour has to be one of the choices.",
        "columns": "Columns has to be pairs of a name and a text.",
        "extra": "There is no field called extra.",
    }


@pytest.mark.parametrize("key", ["k-1\nk-2", "k-1 ", "xk-1", "k-1x"])
def test_a_pattern_matches_the_whole_value(key: str) -> None:
    """A key can name a host; a part that matches is not enough. White space round it is dropped first."""
    if key.strip() == "k-1":
        assert validate(Everything, GOOD | {"key": key}).key.get_secret_value() == "k-1"
    else:
        assert set(problems(key=key)) == {"key"}


def test_a_refused_secret_shows_nowhere() -> None:
    """Not in the error, nor in what it was made from, nor in the form's own text."""
    with pytest.raises(FormError) as caught:
        validate(Everything, GOOD | {"key": "hunter2"})
    assert "hunter2" not in f"{caught.value!r} {caught.value.problems}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "k-1" not in repr(validate(Everything, GOOD))


def test_a_field_that_is_not_declared_with_a_helper_is_a_mistake() -> None:
    """Else pages would not know how to ask for it."""

    class Bare(Form):
        name: str

    with pytest.raises(TypeError, match="not declared with one of kit's helpers"):
        fields(Bare)


def test_one_line_keeps_headers_whole() -> None:
    """A buyer's line break must not start a new header."""
    assert one_line(" Ada\r\nBcc: all@example.com ") == "Ada Bcc: all@example.com"
