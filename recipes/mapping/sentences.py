"""What is wrong with a template, in words for people who do not program."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from liquid.exceptions import BlockNestingError, LiquidError, LiquidTypeError, UndefinedError, UnknownFilterError

TOO_DEEP = "This is nested too deeply: make it simpler."
NOT_CLOSED = "A {{ is not closed: write }} after the fact's name."
_TAGS = ("if", "unless", "case", "assign", "comment")
_INNER_TAGS = ("else", "elsif", "when", *(f"end{tag}" for tag in _TAGS))


def no_such_fact(name: str, known: Iterable[str] = ()) -> str:
    """The sentence for an unknown fact, with the nearest known name if there is one."""
    return f"There is no fact called {name}.{_did_you_mean(name, known)}"


def no_such_filter(name: str, known: Iterable[str] = ()) -> str:
    """The sentence for an unknown filter."""
    return f"There is no filter called {name}.{_did_you_mean(name, known)}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(name, names, n=1) or [each for each in names if each.endswith(f".{name}")]
    return f" Did you mean {near[0]}?" if near else ""


def syntax_hint(error: LiquidError) -> str:
    """What to do about a template that cannot be read."""
    message = str(error.args[0]) if error.args else ""
    word = _word(error)
    if isinstance(error, BlockNestingError):
        return TOO_DEEP
    if message.startswith("expected '}}'"):
        return NOT_CLOSED
    if message.startswith("missing tag name"):
        return "A {% is not closed: write %} at its end."
    if message.startswith("unexpected tag"):
        return _tag_hint(word)
    if missing := re.match(r"expected tag (\w+)", message):
        return f"{{% {missing[1]} %}} is missing."
    if "never closed" in message:
        return "{% endcomment %} is missing."
    if word == "=":
        return "To compare two things, write == with two equals signs."
    if "found end of expression" in message or message == "missing expression":
        return "Something is missing between the braces. A fact is written like this: {{ buyer.email }}."
    near = f" near “{word}”" if word else ""
    return f"This cannot be read{near}. A fact is written like this: {{{{ buyer.email }}}}."


def _word(error: LiquidError) -> str:
    word = error.token.value if error.token else ""
    return word if len(word) <= 30 and word != "end of expression" else ""


def _tag_hint(tag: str) -> str:
    if tag in _INNER_TAGS:
        return f"{{% {tag} %}} stands alone: what it belongs to is missing."
    return f"{{% {tag} %}} cannot be used here. There are {', '.join(_TAGS[:-1])} and {_TAGS[-1]}."


def render_hint(error: LiquidError) -> str:
    """What to do about a template that can be read, but not filled in."""
    message = str(error.args[0]) if error.args else ""
    if isinstance(error, UndefinedError):
        return message
    if isinstance(error, UnknownFilterError):
        return no_such_filter(message.removeprefix("unknown filter ").strip("'"))
    if isinstance(error, LiquidTypeError) and "not supported between" in message:
        return "This compares a text with a number, or two things that have no order."
    if isinstance(error, LiquidTypeError) and (name := re.match(r"(\w+): ", message)):
        return f"The filter {name[1]} was given too much, too little, or nothing that it can work with."
    return "This cannot be filled in: make it simpler."
