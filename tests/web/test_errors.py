"""What is said when a page cannot be shown."""

import pytest
from sqlalchemy import Engine, text

from tests.web.browser import Browser
from tests.web.conftest import World


@pytest.mark.parametrize("page", ["/", "/recipes", "/activity", "/sign-in"])
def test_a_database_that_does_not_answer_is_said_on_a_whole_page(
    owner: Browser, world: World, engine: Engine, page: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not a blank one: to say who is signed in would take the database again."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE account RENAME TO gone"))
    answer = owner.get(page)
    assert answer.status_code == 503
    assert "The database does not answer just now" in answer.text
    assert answer.headers["Retry-After"] == "10"
    assert world.owner.email not in answer.text
    assert "no such table: account" in caplog.text
    assert "Traceback" not in caplog.text
