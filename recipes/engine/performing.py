"""One try of one step: conditions, fields, the call. No transaction is open while a service is called."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from integrations import integration, kit
from integrations.errors import ActionError, Permanent, Temporary, Unauthorized, Unsure
from recipes import conditions, mapping, policy
from recipes.engine.limits import LONGEST_REST
from recipes.engine.loading import Claimed
from recipes.engine.standing import Objection
from recipes.events.facts import facts_of
from recipes.events.reading import read
from recipes.models import AttemptResult, RunState

logger = logging.getLogger(__name__)

ASK_AGAIN = timedelta(seconds=5)
# What a service took and did not answer for shows by then, after it was first looked for, if it ever does.
ARRIVED_BY = timedelta(minutes=2)


class Clients(Protocol):
    """Clients of services, one per connection, kept and shared by all threads."""

    def get(self, app: str, connection_id: int, revision: int, credentials: bytes) -> Any:
        """The client. Raises ActionError."""


@dataclass(frozen=True)
class Tools:
    """What performing needs from outside; `jitter` is in [-0.2, 0.2].

    rows: makes the rows of a merchant, given whether it is for a test event. holds: whether the run is still this
    engine's, asked right before the service is, and once more between a look and what it was for.
    """

    clients: Clients
    rows: Callable[[int, bool], kit.Rows]
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    holds: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Performed:
    """What came of one try, and where the run goes from here.

    `result` is None when nothing was tried (the conditions did not match, the merchant has to say, or the run is handed
    back as QUEUED). `rest_until` is how long the service asked to be left alone. `request` holds the rendered fields;
    `answer` is redacted. `left_out`: something spoke against the step; `state` is the run's if it was the last one.
    """

    claimed: Claimed
    state: RunState
    outcome: str
    started_at: datetime
    finished_at: datetime
    result: AttemptResult | None = None
    due_at: datetime | None = None
    doubt: bool = False
    rest_until: datetime | None = None
    request: Mapping[str, Any] = field(default_factory=dict, repr=False)
    status: int | None = None
    answer: str = field(default="", repr=False)
    left_out: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether the run's next step, if it has one, is to be done."""
        return self.left_out or self.state == RunState.SUCCEEDED


_RESULTS: Mapping[type[ActionError], AttemptResult] = {
    Temporary: AttemptResult.TEMPORARY,
    Permanent: AttemptResult.PERMANENT,
    Unauthorized: AttemptResult.UNAUTHORIZED,
    Unsure: AttemptResult.UNSURE,
}


def perform(claimed: Claimed, tools: Tools) -> Performed:
    """Does the step that a run is at. Never raises: what went wrong is in what it returns."""
    attempt = _Try(claimed, tools)
    try:
        return attempt.run()
    except Exception:
        # A run that is left hanging would keep its lane and a thread for ever.
        logger.exception("run %d broke the engine", claimed.run_id)
        return attempt.broken()


class _Try:
    def __init__(self, claimed: Claimed, tools: Tools) -> None:
        self._claimed = claimed
        self._tools = tools
        self._started_at = tools.now()
        self._request: dict[str, Any] = {}
        self._repeatable = True
        # What was in doubt stays so until the service has answered for it.
        self._doubt = claimed.doubt

    def run(self) -> Performed:
        step = self._claimed.definition.steps[self._claimed.step]
        try:
            facts = self._facts()
            if self._claimed.step == 0:
                definition = self._claimed.definition
                verdict = conditions.evaluate(definition.match, definition.conditions, facts)
                if not verdict.matches:
                    return self._performed(RunState.SKIPPED, verdict.sentence)
            if objection := self._claimed.objection:
                return self._left_out(objection)
            app = integration(step.app)
            action = app.action(step.action)
            # Set only here: what fails before this line was certainly not sent.
            form = self._form(action, step.fields, facts)
            client = self._client(step.app)
            self._repeatable = action.repeatable
        except ActionError as error:
            return self._failed(error)
        except mapping.MappingError as error:
            return self._failed(Permanent(str(error)))
        except KeyError:
            return self._failed(Permanent(f"The service {step.app} is not available here any more."))
        except Exception as error:
            # Nothing was sent yet. A run must end whatever it meets, or it would keep its lane for ever.
            logger.exception("run %d could not be prepared", self._claimed.run_id)
            return self._failed(
                Permanent("Something unexpected happened before anything was sent.", detail=type(error).__name__)
            )
        if not self._tools.holds():
            return self._handed_back()
        try:
            return self._act(action, client, form)
        except Exception as error:  # noqa: BLE001 - the integration says what it means; the reason is kept
            return self._failed(app.error(error), action)

    def broken(self) -> Performed:
        """What comes of a try that raised where nothing may: the merchant decides."""
        return self._performed(
            RunState.UNSURE,
            "Something unexpected happened, and we don't know whether this was done. Check, then choose.",
            result=AttemptResult.UNSURE,
            doubt=True,
        )

    def _left_out(self, objection: Objection) -> Performed:
        if not objection.is_sure:
            return self._performed(RunState.UNSURE, objection.sentence, doubt=self._claimed.doubt)
        state = RunState.SUCCEEDED if objection.something_was_done else RunState.SKIPPED
        return self._performed(state, objection.sentence, result=AttemptResult.SKIPPED, left_out=True)

    def _handed_back(self) -> Performed:
        """Nothing was sent. If nobody else has the run, it is queued again as if it had not been taken."""
        waits = "This had to wait for longer than usual. It goes on by itself."
        return self._performed(RunState.QUEUED, waits, due_at=self._tools.now(), doubt=self._claimed.doubt)

    def _facts(self) -> dict[str, Any]:
        claimed = self._claimed
        reading = read(
            claimed.body, event_header=claimed.event_type, timestamp_header=None, received_at=claimed.received_at
        )
        if reading.payload is None:
            raise Permanent("This event's contents cannot be read any more.")
        return facts_of(
            claimed.event_type,
            reading.payload,
            occurred_at=claimed.occurred_at,
            test_mode=claimed.is_test,
        )

    def _form(self, action: kit.Action, fields: Mapping[str, Any], facts: Mapping[str, Any]) -> kit.Form:
        values = mapping.render_fields(kit.fields(action.form), fields, facts)
        self._request = {name: value if isinstance(value, dict) else str(value) for name, value in values.items()}
        try:
            return kit.validate(action.form, values)
        except kit.FormError as error:
            raise Permanent(str(error)) from error

    def _client(self, app: str) -> Any:
        claimed = self._claimed
        if claimed.connection_id is None:
            raise Permanent("The connection that this recipe used was removed. Choose another and run it again.")
        return self._tools.clients.get(app, claimed.connection_id, claimed.revision, claimed.credentials)

    def _act(self, action: kit.Action, client: Any, form: kit.Form) -> Performed:
        claimed = self._claimed
        call = kit.Call(
            client=client,
            # With the time: another installation, or this one begun anew, has a run of the same number.
            key=f"pocketwire-{claimed.run_id}-{claimed.step}-{claimed.received_at:%Y%m%d%H%M%S%f}",
            now=self._started_at,
            rows=self._tools.rows(claimed.merchant_id, claimed.is_test),
            since=claimed.received_at,
        )
        if claimed.doubt and not action.repeatable:
            if looked := self._look(action, call, form):
                return looked
            # It may have stood still in its look, and another have done it meanwhile.
            if not self._tools.holds():
                return self._handed_back()
        return self._done(action.perform(call, form))

    def _look(self, action: kit.Action, call: kit.Call, form: kit.Form) -> Performed | None:
        """Asks the service whether what is in doubt was done; None if it was not, so that it is to be done now."""
        self._repeatable = True  # looking is: if the service is busy or away, it is asked again later
        found = action.already_done(call, form) if action.already_done else None
        self._repeatable = False
        if isinstance(found, kit.Outcome):
            return self._done(found)
        since, now = self._claimed.looked_since, self._tools.now()
        decision = policy.decide(Temporary(""), self._claimed.attempt, True, now, self._tools.jitter())
        if found and since and isinstance(decision, policy.Again):
            if now >= since + ARRIVED_BY:
                self._doubt = False
                return None
            return self._performed(
                RunState.WAITING,
                "It has not arrived so far. We look once more, and do it then if it has not.",
                result=AttemptResult.TEMPORARY,
                due_at=max(decision.at, now + ARRIVED_BY),
                doubt=True,
            )
        unsure = "We don't know whether this was done. Check, then choose: run again, or mark it done."
        return self._performed(RunState.UNSURE, unsure)

    def _done(self, outcome: kit.Outcome) -> Performed:
        return self._performed(
            RunState.SUCCEEDED, outcome.sentence, result=AttemptResult.SUCCEEDED, answer=outcome.detail
        )

    def _failed(self, error: ActionError, action: kit.Action | None = None) -> Performed:
        now = self._tools.now()
        decision = policy.decide(error, self._claimed.attempt, self._repeatable, now, self._tools.jitter())
        state, due_at, doubt, result = RunState.FAILED, None, self._doubt, _RESULTS[type(error)]
        is_look = doubt and action is not None and not action.repeatable
        if isinstance(decision, policy.Again):
            state, due_at = RunState.WAITING, decision.at
            if is_look:
                result = AttemptResult.TEMPORARY  # it put nothing in doubt that was not before
        elif isinstance(decision, policy.Pause):
            state = RunState.HELD
        elif is_look and isinstance(decision, policy.Stop):
            state = RunState.UNSURE  # the look failed, not what it was for
        elif isinstance(decision, policy.AskMerchant):
            state = RunState.UNSURE
            if action and action.already_done:
                # The service may be able to tell; it is asked before the merchant is.
                state, due_at, doubt = RunState.WAITING, now + ASK_AGAIN, True
        return self._performed(
            state,
            error.sentence,
            result=result,
            due_at=due_at,
            doubt=doubt,
            rest_until=now + min(error.after, LONGEST_REST) if isinstance(error, Temporary) and error.after else None,
            status=error.status,
            answer=error.detail,
        )

    def _performed(self, state: RunState, outcome: str, **more: Any) -> Performed:
        return Performed(
            claimed=self._claimed,
            state=state,
            outcome=storable(outcome),
            started_at=self._started_at,
            finished_at=self._tools.now(),
            request=self._request,
            **more | {"answer": storable(more.get("answer", ""))},
        )


_BARE_OUTCOMES: Mapping[RunState, str] = {
    RunState.SUCCEEDED: "This was done. The details could not be stored.",
    RunState.SKIPPED: "This was skipped. The details could not be stored.",
    RunState.QUEUED: "This goes on by itself.",
    RunState.WAITING: "This goes on by itself. The details could not be stored.",
    RunState.HELD: "The service no longer accepts our credentials.",
    RunState.FAILED: "This was not done. The details could not be stored.",
    RunState.UNSURE: "We don't know whether this was done. Check, then choose: run again, or mark it done.",
}


def ever_barer(performed: Performed) -> tuple[Performed, ...]:
    """The result; then without anything that a service or a buyer wrote; then without the try's own record.

    For a database that refuses the one before: whether a call was made must not be forgotten for a text's sake.
    """
    bare = replace(performed, outcome=_BARE_OUTCOMES[performed.state], request={}, status=None, answer="")
    return performed, bare, replace(bare, result=None)


def storable(text: str) -> str:
    """The text as any database takes it: a service may answer with half a character, or with NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
