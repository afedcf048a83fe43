"""Set-up: the address, the secret, refused deliveries in words, a test event."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import Engine

from recipes.db import reading, transaction
from recipes.endpoints import find_endpoint, secrets_of
from recipes.models import Endpoint, Mode, RejectedDelivery
from recipes.settings import Settings
from recipes.vault import Vault
from tests.conftest import NOW, SECRET, TOKEN
from tests.web.browser import Browser
from tests.web.conftest import World, number
from web.app import create_app


def test_address_is_shown_to_copy(owner: Browser, world: World) -> None:
    """Whole, under the public address."""
    assert f'value="http://127.0.0.1:8000/hooks/{TOKEN}"' in owner.get("/set-up").text


def test_a_new_secret_keeps_the_old_one_for_a_day(
    engine: Engine, vault: Vault, owner: Browser, endpoint: Endpoint, world: World
) -> None:
    """Nothing under way at Pocketsflow is refused."""
    owner.post("/set-up/live/secret", {"secret": "  whsec_the_new_one  "})
    with reading(engine) as session:
        changed = session.get_one(Endpoint, endpoint.id)
    assert secrets_of(vault, changed, NOW) == ["whsec_the_new_one", SECRET]
    page = owner.get("/set-up").text
    assert "is good until <time" in page
    assert "whsec_the_new_one" not in page


def test_an_empty_secret_is_refused_under_its_field(owner: Browser, world: World) -> None:
    """And says so."""
    answer = owner.post("/set-up/live/secret", {"secret": " "})
    assert (answer.status_code, "The signing secret is empty." in answer.text) == (422, True)


def test_the_test_side_is_made_when_it_is_wanted(engine: Engine, owner: Browser, world: World) -> None:
    """It has an address and a secret of its own."""
    owner.post("/set-up/test/endpoint")
    with reading(engine) as session:
        made = find_endpoint(session, world.merchant_id, Mode.TEST)
    assert made is not None
    assert made.token in owner.get("/set-up").text


def test_refused_deliveries_are_told_in_words(engine: Engine, owner: Browser, endpoint: Endpoint, world: World) -> None:
    """How many, why, since when, and what to look at."""
    with transaction(engine) as session:
        session.add(
            RejectedDelivery(
                endpoint_id=number(endpoint), reason="the signature was wrong", count=3,
                first_at=NOW - timedelta(days=3), last_at=NOW,
            )
        )  # fmt: skip
    page = owner.get("/set-up").text
    assert "3 deliveries were refused since" in page
    assert "the signature was wrong" in page
    assert "Check that the secret here is the one Pocketsflow shows." in page


def test_a_test_event_goes_to_our_own_receiver(app: Flask, owner: Browser, world: World) -> None:
    """The page only asks for it; what came of it is told."""
    asked = []

    def send(merchant_id: int, mode: Mode, event: str) -> str:
        asked.append((merchant_id, mode, event))
        return "Stored: a sample review."

    app.extensions["pocketwire"].send_sample = send
    answer = owner.post("/set-up/live/sample", {"event": "review.created"})
    assert asked == [(world.merchant_id, Mode.LIVE, "review.created")]
    assert "Stored: a sample review." in owner.get(answer.location).text


def test_a_test_event_needs_a_receiver_and_a_known_type(owner: Browser, world: World) -> None:
    """Without one the page says what to do instead."""
    answer = owner.post("/set-up/live/sample", {"event": "review.created"})
    assert "pocketwire send" in owner.get(answer.location).text
    assert owner.post("/set-up/live/sample", {"event": "no.such.event"}).status_code == 404


@pytest.mark.parametrize(("address", "is_said"), [("http://127.0.0.1:8000", True), ("https://wire.example.com", False)])
def test_an_address_that_pocketsflow_cannot_reach_says_so(
    settings: Settings, engine: Engine, vault: Vault, world: World, address: str, is_said: bool
) -> None:
    """Or a merchant pastes it there and wonders why nothing comes."""
    there = settings.model_copy(update={"public_url": address})
    browser = Browser(create_app(there, engine=engine, vault=vault, now=lambda: NOW).test_client())
    browser.sign_in(world.owner)
    assert ("Pocketsflow cannot reach this address" in browser.get("/set-up").text) is is_said
