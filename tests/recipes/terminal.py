"""A terminal at one installation: commands are typed, its engine turns when asked, its receiver is on loopback."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wsgi import get_input_stream

from recipes import engine as runs
from recipes.cli import main
from recipes.cli.workplace import Workplace
from recipes.clients import ClientCache
from recipes.db import open_database, transaction
from recipes.endpoint_cache import EndpointCache
from recipes.inbox import Inbox
from recipes.rows import MerchantRows
from recipes.settings import Settings, load_settings
from recipes.spool import Spool
from tests.conftest import NOW
from tests.integrations.vendor import Vendor, answer
from web.receiver import Receiver

PASSWORD = "correct horse battery"
TOKEN = "xoxb-1234567890-abcdef"
POST_REVIEW = "review.created/slack-message"


class Terminal:
    """Types commands in one installation, and is its engine when asked."""

    def __init__(self, settings: Settings) -> None:
        self.work = Workplace(load=lambda: settings, now=lambda: NOW)

    def __call__(self, *words: str, typed: str | bytes | None = None) -> Result:
        """Runs a command whatever comes of it."""
        return CliRunner().invoke(main, list(words), input=typed, obj=self.work)

    def do(self, *words: str, typed: str | bytes | None = None) -> str:
        """Runs a command that has to work; what it printed."""
        result = self(*words, typed=typed)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, *words: str, typed: str | bytes | None = None, code: int = 2) -> str:
        """Runs a command that has to be refused; the sentence."""
        result = self(*words, typed=typed)
        assert result.exit_code == code, result.output
        assert isinstance(result.exception, SystemExit), result.output
        assert result.stdout == ""
        return result.stderr

    def json(self, *words: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(self.do(*words, "--json"))

    def turn(self) -> None:
        """What the engine does until nothing is due."""
        engine, settings = self.work.engine, self.work.settings
        tools = runs.Tools(
            clients=ClientCache(self.work.vault, settings.api_base),
            rows=lambda merchant_id, is_test: MerchantRows(engine, merchant_id, self.work.now, is_test),
            now=self.work.now,
            jitter=lambda: 0.0,
        )
        while True:
            with transaction(engine) as session:
                runs.fan_out(session, now=NOW)
                claimed = runs.claim(session, now=NOW, lease="test", limits=runs.Limits(), limit=10)
            if not claimed:
                return
            performed = [runs.perform(each, tools) for each in claimed]
            with transaction(engine) as session:
                runs.settle(session, performed, now=NOW)


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of an installation with one account. To be copied: that is quicker than to make one."""
    folder = tmp_path_factory.mktemp("installation") / "data"
    terminal = Terminal(load_settings(_env_file=None, data_dir=folder))
    terminal.do("account", "create", "ada@example.com", "--password-stdin", typed=PASSWORD + "\n")
    terminal.work.engine.dispose()
    return folder


@pytest.fixture
def terminal(tmp_path: Path, installation: Path, slack: Vendor) -> Iterator[Terminal]:
    """An installation with one account; Slack is on loopback."""
    folder = shutil.copytree(installation, tmp_path / "data", dirs_exist_ok=True)
    terminal = Terminal(load_settings(_env_file=None, data_dir=folder, api_base={"slack": slack.url + "/"}))
    yield terminal
    terminal.work.engine.dispose()


@pytest.fixture
def reviews(terminal: Terminal, slack: Vendor) -> Terminal:
    """An installation with a connection to a Slack that has two channels."""
    listed = [{"id": "C1", "name": "reviews"}, {"id": "C2", "name": "sales"}]
    page = answer({"ok": True, "channels": listed, "response_metadata": {"next_cursor": ""}})
    slack.beside["GET /conversations.list"] = slack.beside["POST /conversations.list"] = page
    terminal.do("connection", "add", "slack", "--name", "Our team", "--set-file", "bot_token=-", typed=TOKEN)
    return terminal


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base's word
        pass


@pytest.fixture
def address(terminal: Terminal) -> Iterator[str]:
    """The delivery address of the installation's receiver, on loopback."""
    work = terminal.work
    # Connections of its own, as in the service: a command closes its own when it ends.
    engine = open_database(work.settings.database)
    inbox = Inbox(engine, Spool(work.settings.spool), lambda: None)
    receiver = Receiver(lambda _environ, _start: [], EndpointCache(engine, work.vault), inbox)

    def bounded(environ: dict[str, Any], start_response: Any) -> Any:
        # This server's input goes on until the connection ends; the one we serve with ends it with the body.
        environ["wsgi.input"] = get_input_stream(environ)
        return receiver(environ, start_response)

    server = make_server("127.0.0.1", 0, bounded, request_handler=_Quiet)
    thread = Thread(target=server.serve_forever, args=(0.005,))
    thread.start()
    token = terminal.do("endpoint", "show").strip().rpartition("/")[2]
    yield f"http://127.0.0.1:{server.server_port}/hooks/{token}"
    server.shutdown()
    thread.join()
    server.server_close()
    inbox.close()
    engine.dispose()
