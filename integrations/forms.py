"""Forms and their fields: what a merchant fills in, declared once for pages, command line and checks."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo
from pydantic import field_validator as checks_field
from pydantic import model_validator as checks_form
from pydantic.fields import FieldInfo


class Kind(StrEnum):
    """How a field is asked for."""

    TEXT = "text"
    LINES = "lines"
    SECRET = "secret"  # noqa: S105 - the name of a kind of field
    DOCUMENT = "document"
    NUMBER = "number"
    TOGGLE = "toggle"
    CHOICE = "choice"
    PAIRS = "pairs"


@dataclass(frozen=True)
class Option:
    """One thing to choose: what is stored, and what the merchant reads."""

    value: str
    label: str


Escape = Callable[[str], str]
Loader = Callable[[Any, Mapping[str, str]], Sequence[Option]]


def plain(text: str) -> str:
    """For places where no character means anything: what a buyer wrote stays as it is."""
    return text


def one_line(text: str) -> str:
    """For headers and names: line breaks become spaces."""
    return " ".join(text.split())


@dataclass(frozen=True)
class FieldSpec:
    """One field of a form, as pages, the command line and checks see it.

    `escape` is applied to every fact put into the field's text. `load` fetches the choices from the service;
    it is given the client and the values chosen so far, and is loaded anew when a field in `after` changes.
    `pattern` must match the whole value; `pattern_help` goes on after the label ("has to start with xoxb-").
    """

    name: str
    label: str
    kind: Kind
    required: bool
    default: Any = None
    help: str = ""
    pattern: str | None = None
    pattern_help: str = ""
    escape: Escape = plain
    options: tuple[Option, ...] = ()
    load: Loader | None = None
    after: tuple[str, ...] = ()

    @property
    def is_secret(self) -> bool:
        """Whether the value must never be shown again."""
        return self.kind in (Kind.SECRET, Kind.DOCUMENT)


class Form(BaseModel):
    """Base of every form. Values are stripped; a blank one counts as not given: its default, or refused if required."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        str_strip_whitespace=True,
        validate_default=False,
    )

    @checks_form(mode="before")
    @classmethod
    def _without_blanks(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        # Unknown names stay even if blank, to be refused by name.
        return {name: value for name, value in values.items() if name not in cls.model_fields or not _is_blank(value)}

    @checks_field("*", mode="after")
    @classmethod
    def _matches_its_field(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        spec = _spec(name, cls.model_fields[name])
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if spec.pattern and isinstance(text, str) and not re.fullmatch(spec.pattern, text):
            raise ValueError(f"{spec.label} {spec.pattern_help or 'does not have the right form'}.")
        if spec.options and text not in {option.value for option in spec.options}:
            raise ValueError(f"{spec.label} has to be one of the choices.")
        return value


def _is_blank(value: Any) -> bool:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return text is None or (isinstance(text, str) and not text.strip())


def _declare(kind: Kind, label: str, required: bool, default: Any, **more: Any) -> Any:
    extra = {"kind": kind, "label": label, **more}
    if required:
        return Field(json_schema_extra={"pocketwire": extra})
    return Field(default=default, json_schema_extra={"pocketwire": extra})


def text(
    label: str,
    *,
    required: bool = True,
    default: str | None = None,
    help: str = "",  # noqa: A002 - the word forms use
    pattern: str | None = None,
    pattern_help: str = "",
    escape: Escape = one_line,
) -> Any:
    """A single line of text."""
    return _declare(
        Kind.TEXT, label, required and default is None, default,
        help=help, pattern=pattern, pattern_help=pattern_help, escape=escape,
    )  # fmt: skip


def lines(
    label: str,
    *,
    required: bool = True,
    default: str | None = None,
    help: str = "",  # noqa: A002
    escape: Escape = plain,
) -> Any:
    """Text of several lines."""
    return _declare(Kind.LINES, label, required and default is None, default, help=help, escape=escape)


def secret(
    label: str,
    *,
    required: bool = True,
    help: str = "",  # noqa: A002
    pattern: str | None = None,
    pattern_help: str = "",
) -> Any:
    """A secret of one line; annotate it `SecretStr`. `pattern` must match the whole of it."""
    return _declare(Kind.SECRET, label, required, None, help=help, pattern=pattern, pattern_help=pattern_help)


def document(label: str, *, required: bool = True, help: str = "") -> Any:  # noqa: A002
    """A secret file's whole text, such as a service account's JSON; annotate it `SecretStr`."""
    return _declare(Kind.DOCUMENT, label, required, None, help=help)


def number(label: str, *, required: bool = True, default: int | None = None, help: str = "") -> Any:  # noqa: A002
    """A whole number."""
    return _declare(Kind.NUMBER, label, required and default is None, default, help=help)


def toggle(label: str, *, default: bool = False, help: str = "") -> Any:  # noqa: A002
    """Yes or no."""
    return _declare(Kind.TOGGLE, label, False, default, help=help)


def choice(
    label: str,
    *,
    options: Sequence[Option] = (),
    load: Loader | None = None,
    after: Sequence[str] = (),
    required: bool = True,
    default: str | None = None,
    help: str = "",  # noqa: A002
) -> Any:
    """One of a list: fixed `options`, or those that `load(client, values chosen so far)` fetches live."""
    return _declare(
        Kind.CHOICE, label, required and default is None, default,
        help=help, options=tuple(options), load=load, after=tuple(after),
    )  # fmt: skip


def pairs(label: str, *, help: str = "", escape: Escape = plain) -> Any:  # noqa: A002
    """Names and the text for each, such as a sheet's columns; annotate it `dict[str, str]`."""
    return _declare(Kind.PAIRS, label, True, None, help=help, escape=escape)


def fields(form: type[Form]) -> tuple[FieldSpec, ...]:
    """The fields of a form in the order they are declared."""
    return tuple(_spec(name, info) for name, info in form.model_fields.items())


def _spec(name: str, info: FieldInfo) -> FieldSpec:
    extra = info.json_schema_extra
    if not isinstance(extra, dict) or "pocketwire" not in extra:
        raise TypeError(f"field {name!r} is not declared with one of kit's helpers")
    given: Any = extra["pocketwire"]
    default = None if info.is_required() else info.default
    return FieldSpec(name=name, required=info.is_required(), default=default, **given)


F = TypeVar("F", bound=Form)


def validate(form: type[F], values: Mapping[str, Any]) -> F:
    """A checked form from raw values. Raises FormError, which names each field and never holds a value."""
    try:
        return form(**values)
    except ValidationError as error:
        # `from None`: pydantic's own error keeps the refused input.
        raise FormError(_problems(form, error)) from None


class FormError(ValueError):
    """A form was refused. `problems` maps a field's name ("" for the whole form) to a sentence."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = dict(problems)


_SENTENCES = {
    "missing": "{label} is missing.",
    "extra_forbidden": "There is no field called {name}.",
    "int_parsing": "{label} has to be a whole number.",
    "int_from_float": "{label} has to be a whole number.",
    "int_type": "{label} has to be a whole number.",
    "bool_parsing": "{label} has to be yes or no.",
    "bool_type": "{label} has to be yes or no.",
    "string_type": "{label} has to be text.",
    "dict_type": "{label} has to be pairs of a name and a text.",
}


def _problems(form: type[Form], error: ValidationError) -> dict[str, str]:
    labels = {spec.name: spec.label for spec in fields(form)}
    problems: dict[str, str] = {}
    for found in error.errors(include_input=False, include_url=False, include_context=False):
        name = str(found["loc"][0]) if found["loc"] else ""
        sentence = _SENTENCES.get(found["type"])
        if sentence:
            message = sentence.format(label=labels.get(name, name), name=name)
        else:
            message = str(found["msg"]).removeprefix("Value error, ")
        problems.setdefault(name, message)
    return problems
