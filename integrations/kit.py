"""What an integration is declared with: forms and their fields, actions, outcomes.

An integration states each thing once; the connection form, validation, masking, the recipe editor's fields,
the docs table and the contract tests are derived from it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, get_type_hints

from integrations.errors import ActionError, Permanent
from integrations.failures import network_error
from integrations.forms import (
    Escape,
    FieldSpec,
    Form,
    FormError,
    Kind,
    Loader,
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
from integrations.http import TIMEOUTS, Timeouts

logger = logging.getLogger(__name__)

__all__ = [
    "Action",
    "Call",
    "Connect",
    "Escape",
    "FieldSpec",
    "Form",
    "FormError",
    "Integration",
    "Kind",
    "Loader",
    "NotDone",
    "Option",
    "Outcome",
    "Rows",
    "action",
    "choice",
    "document",
    "fields",
    "lines",
    "number",
    "one_line",
    "pairs",
    "plain",
    "secret",
    "text",
    "toggle",
    "validate",
]


class Rows(Protocol):
    """Rows of a merchant's own, kept by Pocketwire. The engine hands an implementation to each call."""

    def put(self, table: str, key: str, values: Mapping[str, str]) -> bool | None:
        """Writes the row `key`; columns not named stay as they were. True if the row is new.

        A row that a test event began is begun anew by a real one. None if it is left alone: this is for a test event,
        and a real one wrote the row.
        """


@dataclass(frozen=True)
class Call:
    """What an action is given besides its form.

    `client` is what the integration's connect() made. `key` names this step of this run: the same at every
    attempt, different for every event of any installation, at most 64 characters of [a-z0-9-]. `now` is aware, in
    UTC. Before `since` no try of it can have been made; None if that is not known.
    """

    client: Any
    key: str
    now: datetime
    rows: Rows
    since: datetime | None = None


@dataclass(frozen=True)
class Outcome:
    """What an action did. `sentence` is for the merchant ("Posted to #reviews."), `detail` for the run's log."""

    sentence: str
    detail: str = ""


@dataclass(frozen=True)
class NotDone:
    """A service's word that nothing of a call has arrived so far."""


@dataclass(frozen=True)
class Action:
    """Something an integration can do.

    repeatable: doing it twice has the effect of doing it once, so a lost answer is simply tried again.
    one_at_a_time: the choices of its form that name a thing which takes one call at a time, whoever the buyer is, such
    as a sheet that is read before a row is put into it.
    already_done: asks the service whether a call with this key happened: what it did, NotDone if it shows that it did
    not, or None if it cannot tell. What it raises is taken as "ask later", or, where that would be of no use, as None.
    gives: access or a standing, such as a role or a tag: not done late for a buyer who has left or was refunded since.
    overwrites: what is there by key, such as a row: not done after a wait if what it tells of was undone meanwhile.
    takes: the actions, by name, whose gift it takes back: not done while something else gives the buyer the same.
    rights: what a filled-in form gives or takes, if that is not simply all of its values in their order.
    """

    name: str
    title: str
    form: type[Form]
    perform: Callable[[Call, Any], Outcome]
    repeatable: bool
    one_at_a_time: tuple[str, ...] = ()
    already_done: Callable[[Call, Any], Outcome | NotDone | None] | None = None
    gives: bool = False
    overwrites: bool = False
    takes: tuple[str, ...] = ()
    rights: Callable[[Any], Iterable[tuple[str, ...]]] | None = None
    help: str = ""

    def rights_of(self, form: Form) -> frozenset[tuple[str, ...]]:
        """What it gives or takes with this form; equal to what another action of the service says of the same.

        Nothing where a field is left empty: it is not told whom or what it is about.
        """
        values = form.model_dump().values()
        if self.rights is None and None in values:
            return frozenset()
        told = self.rights(form) if self.rights else [tuple(str(value) for value in values)]
        return frozenset(tuple(value.strip().casefold() for value in each) for each in told)


def action(
    title: str,
    *,
    repeatable: bool,
    one_at_a_time: tuple[str, ...] = (),
    already_done: Callable[[Call, Any], Outcome | NotDone | None] | None = None,
    gives: bool = False,
    overwrites: bool = False,
    takes: tuple[str, ...] = (),
    rights: Callable[[Any], Iterable[tuple[str, ...]]] | None = None,
    help: str = "",  # noqa: A002
) -> Callable[[Callable[[Call, Any], Outcome]], Action]:
    """Declares `def name(call: Call, form: SomeForm) -> Outcome` as an action called `name`."""

    def declare(function: Callable[[Call, Any], Outcome]) -> Action:
        form = get_type_hints(function)["form"]
        choices = {spec.name for spec in fields(form) if spec.kind is Kind.CHOICE}
        if not set(one_at_a_time) <= choices:
            # Only a choice is known before the run: all else is filled in from its event.
            raise TypeError(f"{function.__name__}: one_at_a_time may name choices only")
        return Action(
            name=function.__name__,
            title=title,
            form=form,
            perform=function,
            repeatable=repeatable,
            one_at_a_time=one_at_a_time,
            already_done=already_done,
            gives=gives,
            overwrites=overwrites,
            takes=takes,
            rights=rights,
            help=help,
        )

    return declare


class Connect(Protocol):
    """`connect(credentials, base, timeouts)`: a client that is kept and shared by threads; it makes no call."""

    def __call__(self, credentials: Any, base: str, timeouts: Timeouts = TIMEOUTS, /) -> Any:
        """The client for checked credentials, an API's base address ("" if they name it) and time-outs."""


@dataclass(frozen=True)
class Integration:
    """One outside service.

    check: the cheapest harmless call; returns the account's name for the merchant ("Acme Ltd, 3 audiences").
    explain: turns an exception of the client into an ActionError, or None to leave it to the common rules.
    base: the API's address; an operator can replace it; "" where the credentials name it.
    concurrent, per_minute: how many calls the service takes at once and in a minute, per connection.
    """

    name: str
    title: str
    summary: str
    credentials: type[Form]
    connect: Connect
    check: Callable[[Any], str]
    explain: Callable[[Exception], ActionError | None]
    actions: tuple[Action, ...]
    base: str = ""
    how_to_connect: str = ""
    concurrent: int = 4
    per_minute: int | None = None
    _by_name: dict[str, Action] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name.update({each.name: each for each in self.actions})
        given = {each.name for each in self.actions if each.gives}
        for each in self.actions:
            if not set(each.takes) <= given:
                raise TypeError(f"{self.name}: {each.name} may take only what another action gives")

    def action(self, name: str) -> Action:
        """The action called `name`. Raises Permanent if there is none."""
        if name not in self._by_name:
            raise Permanent(f"{self.title} has no action called {name}.")
        return self._by_name[name]

    def error(self, error: Exception) -> ActionError:
        """What an exception out of a call means: the integration's own word, else the common rules."""
        if isinstance(error, ActionError):
            return error
        try:
            own = self.explain(error)
        except Exception as broken:  # noqa: BLE001 - a run must end whatever the answer's shape
            # By its class alone: its text may hold what the service answered.
            logger.warning("an error of %s cannot be explained (%s)", self.title, type(broken).__name__)
            own = None
        return own or network_error(self.title, error)
