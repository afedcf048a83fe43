"""Every action of every integration against every way a call can end.

What must hold: one attempt and no second, the failure's type as the engine needs it, nobody sleeps, and no
secret and no buyer's address in what is kept of it.
"""

import logging
import time

import pytest

from integrations import INTEGRATIONS, integration
from integrations.errors import ActionError, Permanent, Temporary, Unauthorized, Unsure
from integrations.http import Timeouts
from integrations.kit import validate
from tests.integrations.calls import perform
from tests.integrations.cases import BUYER, CALLS_NOBODY, CASES, ActionCase, Case
from tests.integrations.conftest import StartVendor
from tests.integrations.vendor import DESCRIPTIONS, Answer, Vendor, answer

# What follows: done | again (nothing happened) | unsure (again if repeatable, else ask) | stop | reconnect
USUAL = {
    "200": "done",
    "400": "stop",
    "401": "reconnect",
    "403": "stop or reconnect",
    "404": "stop",
    "429": "again",
    "500": "unsure",
    "bare 400": "stop",
    "bare 401": "reconnect",
    "bare 403": "stop or reconnect",
    "bare 404": "stop",
    "bare 429": "again",
    "bare 500": "unsure",
    "redirect": "stop",
    "time-out": "unsure",
    "refused": "again",
    "dropped": "unsure",
    "junk": "unsure",
    "other JSON": "done or unsure",
    "other JSON 400": "stop",
}
FOLLOWS = {Temporary: "again", Unsure: "unsure", Permanent: "stop", Unauthorized: "reconnect"}

SHORT = Timeouts(connect=0.2, total=0.4)
AMPLE = Timeouts(connect=5, total=10)
NO_SLEEP_SECONDS = 5.0  # shorter than the 7 s that the stand-in asks to wait


EVERY_WAY = [(app, action, ending) for app, case in CASES.items() for action in case.actions for ending in USUAL]


def test_every_action_of_every_integration_is_in_the_table() -> None:
    """A new action cannot be forgotten here."""
    there = {each.name: {action.name for action in each.actions} for each in INTEGRATIONS}
    assert {name: actions for name, actions in there.items() if name not in CALLS_NOBODY} == {
        app: set(case.actions) for app, case in CASES.items()
    }


@pytest.mark.parametrize("description", sorted({case.description for case in CASES.values()}))
def test_requests_are_checked_against_the_vendors_own_description(description: str) -> None:
    """Says by name whose requests go unchecked on this machine."""
    if not (DESCRIPTIONS / description).exists():
        pytest.skip(f"{description} is not here: requests are sent, but not checked against it")


@pytest.mark.parametrize(("app", "action", "ending"), EVERY_WAY)
def test_one_attempt_and_the_right_consequence(
    app: str, action: str, ending: str, start_vendor: StartVendor, closed_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """However a call ends, it was made once, and what is reported tells the engine what to do."""
    caplog.set_level(logging.DEBUG)
    case, action_case = CASES[app], CASES[app].actions[action]
    vendor = _vendor(start_vendor, case, action_case)
    if ending != "200":
        vendor.answers[action_case.writes] = _planned(ending, case, vendor)
    base = vendor.url if ending != "refused" else f"http://127.0.0.1:{closed_port}{case.prefix}"
    error, seconds = _perform(app, action, action_case, case, base, SHORT if ending == "time-out" else AMPLE)

    requests = [(each.method, each.full_path, each.get_data()) for each in vendor.calls]
    assert len(vendor.seen(action_case.writes)) == (0 if ending == "refused" else 1)
    assert len(set(requests)) == len(requests), "a request was sent twice"
    assert seconds < NO_SLEEP_SECONDS
    _assert_consequence(error, _expected(ending, case, action_case), integration(app).action(action).repeatable)
    _assert_keeps_secrets(error, case, caplog.text)


def _vendor(start_vendor: StartVendor, case: Case, action_case: ActionCase) -> Vendor:
    vendor = start_vendor(case.description, case.prefix)
    vendor.answers = {route: answer(body) for route, body in {**case.answers, **action_case.answers}.items()}
    vendor.beside = {route: answer(body) for route, body in case.beside.items()}
    return vendor


def _planned(ending: str, case: Case, vendor: Vendor) -> Answer:
    if ending.startswith("bare "):
        return answer(status=int(ending.removeprefix("bare ")), headers={"Retry-After": "7"})
    if ending.isdigit():
        return case.refusal(int(ending))
    too_much = f"<html>{' '.join((BUYER, *case.secrets))}</html>"
    plans: dict[str, Answer] = {
        "redirect": answer(status=302, headers={"Location": f"{vendor.url}/elsewhere"}),
        "time-out": vendor.hang,
        "refused": answer({}),
        "dropped": vendor.drop,
        "junk": answer(too_much),
        "other JSON": answer([]),
        "other JSON 400": answer([None, {"errors": None}], 400),
    }
    return plans[ending]


def _perform(
    app: str, action: str, action_case: ActionCase, case: Case, base: str, timeouts: Timeouts
) -> tuple[ActionError | None, float]:
    service = integration(app)
    client = service.connect(validate(service.credentials, case.credentials), base, timeouts)
    started = time.monotonic()
    try:
        outcome = perform(service, client, action, action_case.form)
    except ActionError as error:
        return error, time.monotonic() - started
    assert outcome.sentence.endswith(".")
    return None, time.monotonic() - started


def _expected(ending: str, case: Case, action_case: ActionCase) -> str:
    return action_case.otherwise.get(ending) or case.otherwise.get(ending) or USUAL[ending]


def _assert_consequence(error: ActionError | None, expected: str, repeatable: bool) -> None:
    follows = FOLLOWS[type(error)] if error else "done"
    if repeatable and expected == "unsure":
        expected = "unsure or again"
    assert follows in expected.split(" or "), repr(error)


def _assert_keeps_secrets(error: ActionError | None, case: Case, log: str) -> None:
    for secret in (BUYER, *case.secrets):
        assert secret not in log
        if error:
            assert secret not in f"{error} {error!r} {error.sentence} {error.detail} {error.args} {vars(error)}"
    if error:
        assert error.sentence[0].isupper()
        assert error.sentence.endswith(".")
