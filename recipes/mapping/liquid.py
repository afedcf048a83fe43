"""Liquid, cut down to what filling in a field takes: no files, no includes, no loops, bounded in and out."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from io import StringIO
from typing import Any, TextIO, cast

from liquid import BoundTemplate, Environment, Node, RenderContext, StrictUndefined, Token
from liquid.builtin import content, illegal
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags import assign_tag, case_tag, comment_tag, if_tag, unless_tag
from liquid.exceptions import LiquidError, UndefinedError
from liquid.expression import Expression
from liquid.undefined import UNDEFINED
from liquid.utils import ReadOnlyChainMap

from integrations.kit import Escape
from recipes.mapping.filters import FILTERS
from recipes.mapping.sentences import NOT_CLOSED, TOO_DEEP, no_such_fact, render_hint, syntax_hint
from recipes.mapping.values import LONGEST_TEXT, MappingError, as_text

LONGEST_TEMPLATE = 5_000
OPEN_GROUP = "payload"
_MISSING = object()
_TOO_LONG = f"The text gets longer than {LONGEST_TEXT} characters. Shorten it, for instance with | truncate: 500."


class _Context(RenderContext):
    """Where names are looked up: among the facts and what the template assigned, nowhere else."""

    __slots__ = ("escape",)

    def __init__(self, template: BoundTemplate, facts: Mapping[str, Any], escape: Escape) -> None:
        super().__init__(template, globals=facts)
        self.escape = escape
        # Without Liquid's own `now` and `today`, which would make a repeat differ from the first try.
        self.scope = ReadOnlyChainMap(self.locals, self.globals)

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        """A fact's value. Of what Pocketsflow sent besides the facts, what is missing is None."""
        found = super().get(path, token=token, default=None if path[0] == OPEN_GROUP else _MISSING)
        if found is _MISSING:
            raise UndefinedError(no_such_fact(".".join(str(part) for part in path)), token=token)
        return found


class _EscapedOutput(OutputNode):
    """{{ … }}: escaped last, after all filters. The template's own text is the merchant's and stays as it is."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        text = as_text(self.expression.evaluate(context))
        return buffer.write(cast(_Context, context).escape(text))


class _Output(Output):
    node_class = _EscapedOutput


class _Environment(Environment):
    block_nesting_limit = 10
    local_namespace_limit = 1_000_000

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        for tag in (
            content.Literal,
            illegal.Illegal,
            _Output,
            assign_tag.AssignTag,
            case_tag.CaseTag,
            comment_tag.CommentTag,
            if_tag.IfTag,
            unless_tag.UnlessTag,
        ):
            self.add_tag(tag)
        self.filters.update(FILTERS)


_ENVIRONMENT = _Environment(undefined=StrictUndefined)


class _Bounded(StringIO):
    """A buffer that takes no more than a field may hold."""

    def write(self, text: str) -> int:
        if self.tell() + len(text) > LONGEST_TEXT:
            raise MappingError(_TOO_LONG)
        return super().write(text)


@lru_cache(maxsize=1024)
def parse(template: str) -> BoundTemplate:
    """The parsed template. Raises MappingError with a plain hint."""
    if len(template) > LONGEST_TEMPLATE:
        raise MappingError(f"This is longer than {LONGEST_TEMPLATE} characters: shorten it.")
    if template.rfind("{{") > template.rfind("}}"):
        raise MappingError(NOT_CLOSED)  # the lexer would look for the end again from every brace
    try:
        parsed = _ENVIRONMENT.from_string(template)
        is_ranging = any(isinstance(each, RangeLiteral) for each in _expressions(parsed))
    except LiquidError as error:
        raise MappingError(syntax_hint(error)) from None
    except RecursionError:
        raise MappingError(TOO_DEEP) from None
    if is_ranging:
        raise MappingError("Ranges such as (1..5) cannot be used here.")
    return parsed


def fill(template: str, facts: Mapping[str, Any], escape: Escape) -> Any:
    """The template filled in; a lone {{ … }} keeps its type, unless it is text. Raises MappingError."""
    parsed = parse(template)
    context = _Context(parsed, facts, escape)
    buffer = _Bounded()
    try:
        lone = _lone_output(parsed)
        if lone is not None:
            value = lone.expression.evaluate(context)
            if value is None or isinstance(value, bool | int | float | Decimal):
                return value
            buffer.write(escape(as_text(value)))
        else:
            parsed.render_with_context(context, buffer)
    except LiquidError as error:
        raise MappingError(render_hint(error)) from None
    except RecursionError:
        raise MappingError(TOO_DEEP) from None
    return buffer.getvalue()


def filters_of(parsed: BoundTemplate) -> list[str]:
    """The names of all filters that a template uses."""
    return list(parsed.analyze().filters)


def facts_of(parsed: BoundTemplate) -> list[str]:
    """The dotted names of all facts that a template uses, in their order, each once."""
    found = (variable for group in parsed.analyze().globals.values() for variable in group)
    return list(dict.fromkeys(".".join(_word(part) for part in variable.segments) for variable in found))


def _word(segment: object) -> str:
    return "[…]" if isinstance(segment, list) else str(segment)


def written_text(parsed: BoundTemplate) -> str:
    """What stands outside of all braces."""
    return "".join(node.text for node in _nodes(parsed.nodes, parsed) if isinstance(node, ContentNode))


def _lone_output(parsed: BoundTemplate) -> OutputNode | None:
    nodes = [node for node in parsed.nodes if not (isinstance(node, ContentNode) and node.blank)]
    lone = nodes[0] if len(nodes) == 1 else None
    return lone if isinstance(lone, OutputNode) else None


def _nodes(nodes: Iterable[Node], parsed: BoundTemplate) -> Iterator[Node]:
    context = RenderContext(parsed)
    for node in nodes:
        yield node
        yield from _nodes(node.children(context), parsed)


def _expressions(parsed: BoundTemplate) -> Iterator[Expression]:
    def within(expression: Expression) -> Iterator[Expression]:
        yield expression
        for child in expression.children():
            yield from within(child)

    for node in _nodes(parsed.nodes, parsed):
        for expression in node.expressions():
            yield from within(expression)
