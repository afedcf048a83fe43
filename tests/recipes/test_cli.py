"""The command line: everything the pages do, in one plain sentence each way."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from sqlalchemy import QueuePool

from recipes.cli import main
from recipes.settings import Settings, load_settings
from tests.integrations.vendor import Vendor, answer
from tests.recipes.terminal import PASSWORD, POST_REVIEW, TOKEN, Terminal

# ── The newcomer's way ───────────────────────────────────────────────────────────────────────────────────


def test_from_an_empty_machine_to_a_row_in_the_ledger(terminal: Terminal, address: str) -> None:
    """An account, a recipe, a test event: nothing else has to be set."""
    terminal.do("recipe", "enable", "order.completed/ledger-row")
    assert "was sent and answered 200" in terminal.do("send", "order.completed", "--to", address)
    assert "was sent and answered 200" in terminal.do("send", "order.completed", "--to", address)
    terminal.turn()
    assert [run["state"] for run in terminal.json("runs")] == ["succeeded", "succeeded"]
    assert [event["origin"] for event in terminal.json("events")] == ["sample", "sample"]
    lines = terminal.do("ledger", "Orders").strip().splitlines()
    assert len(lines) == 3
    key = lines[1].partition(",")[0]
    assert terminal.do("ledger", "Orders", "--delete", key) == f"The row {key} is deleted.\n"
    assert "no row" in terminal.refused("ledger", "Orders", "--delete", key)
    assert len(terminal.do("ledger", "Orders").strip().splitlines()) == 2


def test_the_same_delivery_twice_is_stored_once(terminal: Terminal, address: str) -> None:
    terminal.do("send", "order.completed", "--as-is", "--to", address)
    assert "We have this already." in terminal.do("send", "order.completed", "--as-is", "--to", address)
    assert len(terminal.json("events")) == 1


def test_a_review_is_posted_to_the_channel_that_was_named(reviews: Terminal, address: str, slack: Vendor) -> None:
    reviews.do("recipe", "enable", POST_REVIEW, "--connection", "Our team", "--set", "channel=#reviews")
    reviews.do("send", "review.created", "--to", address)
    reviews.turn()
    (posted,) = slack.seen("POST /chat.postMessage")
    assert "C1" in posted.get_data(as_text=True)
    assert "Slack #reviews" in reviews.do("recipe", "list", "--event", "review.created")
    assert "done" not in reviews.refused("run-again", "999")
    (run,) = reviews.json("runs")
    reviews.do("run-again", str(run["id"]))
    reviews.turn()
    assert len(slack.seen("POST /chat.postMessage")) == 2


def test_what_was_undone_since_runs_again_only_if_that_is_said(
    terminal: Terminal, address: str, tmp_path: Path
) -> None:
    """The refusal says what happened and how to insist."""
    terminal.do("recipe", "enable", "order.completed/ledger-row")
    payload = tmp_path / "order.json"
    payload.write_text('{"order": {"id": "mine"}, "amount": 64.99, "customer": {"email": "zoe@example.com"}}')
    for event in ("order.completed", "order.refunded"):
        terminal.do("send", event, "--payload", str(payload), "--to", address)
    terminal.turn()
    (run,) = terminal.json("runs")
    said = terminal.refused("run-again", str(run["id"]))
    assert "This order was refunded on " in said
    assert "add --all-the-same." in said
    assert len(terminal.json("runs")) == 1
    assert "about to run" in terminal.do("run-again", str(run["id"]), "--all-the-same")
    terminal.turn()
    assert [each["state"] for each in terminal.json("runs")] == ["succeeded", "succeeded"]


def test_an_event_that_came_too_late_is_run_when_that_is_said(terminal: Terminal, address: str, tmp_path: Path) -> None:
    """Once; nothing else can be run like this."""
    terminal.do("recipe", "enable", "order.completed/ledger-row")
    payload = tmp_path / "order.json"
    payload.write_text('{"order": {"id": "mine"}, "amount": 64.99, "customer": {"email": "zoe@example.com"}}')
    for event in ("order.refunded", "order.completed"):
        terminal.do("send", event, "--payload", str(payload), "--to", address)
    terminal.turn()
    assert terminal.json("runs") == []
    (late, refund) = terminal.json("events")
    assert "came after its refund" in late["outcome"]
    assert "too late" in terminal.refused("run-late", str(refund["id"]))
    assert "no such event" in terminal.refused("run-late", "999")
    for other in (refund["id"], 999):
        assert "that is kept and was not run" in terminal.refused("leave", str(other))
    assert "left as it is" in terminal.do("leave", str(late["id"]))
    terminal.do("run-late", str(late["id"]))
    terminal.turn()
    assert [each["state"] for each in terminal.json("runs")] == ["succeeded"]
    terminal.refused("run-late", str(late["id"]))


# ── Accounts and endpoints ───────────────────────────────────────────────────────────────────────────────


def test_an_account_needs_a_good_password(terminal: Terminal) -> None:
    said = terminal.refused(
        "account", "create", "eve@example.com", "--password-stdin", "--merchant", "E", typed="short"
    )
    assert said == "Error: The password has to be at least 10 characters long.\n"


def test_a_second_account_says_which_store(terminal: Terminal) -> None:
    said = terminal.refused("account", "create", "eve@example.com", "--password-stdin", typed=PASSWORD)
    assert "--merchant" in said
    assert "My store" in said
    terminal.do("account", "create", "bob@example.com", "--password-stdin", "--merchant", "My store", typed=PASSWORD)
    terminal.do("account", "create", "eve@example.com", "--password-stdin", "--merchant", "Eve's", typed=PASSWORD)
    assert "Eve's, My store" in terminal.refused("endpoint", "show")
    mine, hers = (
        terminal.do("endpoint", "show", "--merchant", "My store"),
        terminal.do("endpoint", "show", "--merchant", "Eve's"),
    )
    assert mine != hers
    assert "no store called Nobody" in terminal.refused("events", "--merchant", "Nobody")


def test_a_password_can_be_set_anew(terminal: Terminal) -> None:
    terminal.do("account", "password", "ada@example.com", "--password-stdin", typed="another long one")
    assert "no account for" in terminal.refused("account", "password", "eve@example.com", typed=PASSWORD)


def test_the_endpoints_address_is_printed_alone(terminal: Terminal) -> None:
    """So that a script can take it."""
    result = terminal("endpoint", "show")
    assert result.stdout.startswith("http://127.0.0.1:8000/hooks/")
    assert len(result.stdout.splitlines()) == 1
    assert "set-secret" in result.stderr
    assert terminal.do("endpoint", "show", "--mode", "test") != result.stdout


def test_a_secret_is_taken_from_standard_input_and_never_shown(terminal: Terminal, address: str) -> None:
    said = terminal.do("endpoint", "set-secret", typed="whsec_the_first\n")
    assert said == "The signing secret is saved.\n"
    assert "stay good for a day" in terminal.do("endpoint", "set-secret", typed="whsec_the_second\n")
    assert "is saved.\n" in terminal.do("endpoint", "set-secret", "--end-old-now", typed="whsec_the_third\n")
    assert "empty" in terminal.refused("endpoint", "set-secret", typed="\n")
    assert "answered 200" in terminal.do("send", "review.created", "--to", address)
    wrong = terminal("send", "review.created", "--to", address, "--secret-stdin", typed="whsec_wrong")
    assert wrong.exit_code == 1
    assert "answered 401" in wrong.stderr
    assert "whsec_wrong" not in wrong.output


# ── Sending ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_payload_of_ones_own_is_sent(terminal: Terminal, address: str, tmp_path: Path) -> None:
    payload = tmp_path / "sale.json"
    payload.write_text('{"order": {"id": "mine"},  "customer": {"email": "zoë@example.com"}}', "utf-8")
    terminal.do("send", "order.completed", "--payload", str(payload), "--to", address)
    assert terminal.json("events")[0]["subject"] == "zoë@example.com"
    payload.write_text("not json")
    assert "is not JSON" in terminal.refused("send", "order.completed", "--payload", str(payload), "--to", address)
    terminal.do("send", "order.completed", "--payload", str(payload), "--to", address, "--as-is")
    assert terminal.json("events")[0]["standing"] == "unreadable"


def test_what_cannot_be_sent_is_said(terminal: Terminal, closed_port: int) -> None:
    assert "Did you mean order.completed" in terminal.refused("send", "order.complete")
    elsewhere = terminal.refused("send", "order.completed", "--to", "https://other.example/hooks/x")
    assert "no signing secret to sign with" in elsewhere
    terminal.do("endpoint", "set-secret", typed="whsec_1a2b3c4d")
    nobody = f"http://127.0.0.1:{closed_port}/hooks/x"
    assert "pocketwire serve" in terminal.refused("send", "order.completed", "--to", nobody, code=1)
    assert "cannot be read" in terminal.refused("send", "order.completed", "--payload", "nowhere.json")


# ── Connections ──────────────────────────────────────────────────────────────────────────────────────────


def test_connections_are_added_checked_changed_and_removed(reviews: Terminal, slack: Vendor, tmp_path: Path) -> None:
    slack.answers["POST /auth.test"] = answer({"ok": True, "team": "Acme", "user": "pocketwire"})
    assert "works. Acme, as pocketwire" in reviews.do("connection", "check", "Our team")
    assert "works." in reviews.do("connection", "check")
    secret = tmp_path / "token.txt"
    secret.write_text(TOKEN + "-new\n")
    reviews.do("connection", "change", "slack", "--set-file", f"bot_token={secret}")
    reviews.do("connection", "change", "slack/Our team", "--set-file", "bot_token=-", typed=TOKEN)
    slack.answers["POST /auth.test"] = answer({"ok": False, "error": "invalid_auth"})
    failed = reviews("connection", "check", "slack")
    assert failed.exit_code == 1
    assert "does not accept our token" in failed.stderr
    (listed,) = reviews.json("connection", "list")
    assert listed["name"] == "Our team"
    assert "credentials" not in listed
    assert "Our team" in reviews.do("connection", "list")
    assert "removed" in reviews.do("connection", "remove", "1")
    assert "No connection yet" in reviews.do("connection", "list")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["connection", "add", "slack", "--set", "bot_token=xoxp-wrong"], "give it with --set-file bot_token=FILE"),
        (["connection", "add", "slack", "--set", "xoxb-without-a-field"], "field=value"),
        (["connection", "change", "slack", "--set", "bot_token=xoxp-wrong"], "bot_token=- for standard input"),
        (["connection", "add", "fax"], "'fax' is not one of"),
        (["connection", "check", "nobody"], "slack/Our team"),
        (["connection", "add", "slack", "--set-file", "bot_token=/nowhere"], "cannot be read"),
        (["events", "--limit", "0"], "--limit"),
        (["no-such-command"], "No such command"),
    ],
)
def test_bad_input_is_refused_without_repeating_secrets(reviews: Terminal, words: Sequence[str], sentence: str) -> None:
    said = reviews.refused(*words)
    assert sentence in said
    assert "wrong" not in said
    assert "without-a-field" not in said
    assert len(said.splitlines()) == 1


def test_a_secret_that_cannot_be_right_is_refused_without_repeating_it(reviews: Terminal) -> None:
    said = reviews.refused("connection", "add", "slack", "--set-file", "bot_token=-", typed="xoxp-wrong")
    assert "starts with xoxb-" in said
    assert "wrong" not in said
    again = ("connection", "add", "slack", "--name", "Our team", "--set-file", "bot_token=-")
    assert "already a connection" in reviews.refused(*again, typed=TOKEN)


# ── Recipes ──────────────────────────────────────────────────────────────────────────────────────────────


def test_recipes_are_listed_and_switched(reviews: Terminal) -> None:
    reviews.do("recipe", "enable", POST_REVIEW, "--set", "channel=C2")
    entries = {entry["name"]: entry for entry in reviews.json("recipe", "list", "--event", "review.created")}
    assert entries[POST_REVIEW]["enabled"]
    assert "#sales" in entries[POST_REVIEW]["sentence"]
    assert "takes no new events" in reviews.do("recipe", "disable", POST_REVIEW)
    entries = {entry["name"]: entry for entry in reviews.json("recipe", "list")}
    assert not entries[POST_REVIEW]["enabled"]
    reviews.do("recipe", "enable", POST_REVIEW)
    assert "no recipe for order.lost" in reviews.refused("recipe", "list", "--event", "order.lost")


def test_a_recipe_can_be_tried_without_changing_anything(reviews: Terminal) -> None:
    shown = reviews.do(
        "recipe", "enable", POST_REVIEW, "--set", "channel=#reviews", "--set", "text=Hi {{ buyer.email }}", "--dry-run"
    )
    assert "Tried with the sample." in shown
    assert "Channel: #reviews" in shown
    assert "Hi buyer@example.com" in shown
    assert all(entry["recipe_id"] is None for entry in reviews.json("recipe", "list"))


def test_what_there_is_to_send_is_listed(terminal: Terminal) -> None:
    """By the help, and where nothing sounds like what was asked for."""
    for said in (terminal.do("send", "--help"), terminal.refused("send", "nonsense")):
        assert "order.completed" in said
        assert "review.created" in said
    assert "Did you mean order.completed" in terminal.refused("send", "order.complete")


def test_a_connection_that_needs_nothing_needs_no_check(reviews: Terminal) -> None:
    """One to a service does, and reconnecting with nothing new is no reconnecting."""
    reviews.do("connection", "add", "ledger")
    listed = {line.split()[1]: line for line in reviews.do("connection", "list").splitlines()}
    assert "built in, needs nothing" in listed["ledger"]
    assert "not checked yet" in listed["slack"]
    assert "stays as it is: nothing new was given" in reviews.do("connection", "change", "slack")


def test_trying_refuses_what_switching_on_refuses(reviews: Terminal) -> None:
    """In the same words: whoever tries first is not surprised then."""
    for command in ("enable", "save"):
        line = ("recipe", command, POST_REVIEW, "--set", "text=Hi {{ buyer.email")
        assert reviews.refused(*line, "--dry-run") == reviews.refused(*line)
    assert "Channel is missing" in reviews.refused("recipe", "enable", POST_REVIEW, "--dry-run")


def test_conditions_and_a_second_recipe_of_the_kind(reviews: Terminal) -> None:
    reviews.do("recipe", "enable", POST_REVIEW, "--set", "channel=#reviews")
    reviews.do(
        "recipe",
        "enable",
        POST_REVIEW,
        "--another",
        "Bad reviews",
        "--set",
        "channel=#sales",
        "--only-if",
        "review.rating at_most 3",
    )
    names = [entry["name"] for entry in reviews.json("recipe", "list", "--event", "review.created") if entry["enabled"]]
    assert names == [POST_REVIEW, POST_REVIEW + "-bad-reviews"]
    said = reviews.refused("recipe", "enable", POST_REVIEW, "--another", "Bad reviews", "--set", "channel=#sales")
    assert "another title" in said


def test_a_title_and_conditions_of_ones_own_are_listed(reviews: Terminal) -> None:
    reviews.do(
        "recipe", "enable", POST_REVIEW, "--another", "Bad reviews", "--set", "channel=#sales",
        "--only-if", "review.rating at_most 3",
    )  # fmt: skip
    listed = " ".join(reviews.do("recipe", "list", "--event", "review.created").split())
    own = "Bad reviews: When a buyer leaves a review, post it to Slack #sales. Only if the review rating is at most 3."
    assert own in listed


def test_a_recipe_is_deleted_once_that_is_confirmed(reviews: Terminal) -> None:
    reviews.do("recipe", "enable", POST_REVIEW, "--set", "channel=#reviews")
    for typed in ("n\n", ""):
        asked = reviews("recipe", "delete", POST_REVIEW, typed=typed)
        assert asked.exit_code == 1
        assert "- It leaves your recipes and takes no new events.\n" in asked.stdout
    assert any(entry["enabled"] for entry in reviews.json("recipe", "list"))
    assert reviews.do("recipe", "delete", POST_REVIEW, "--yes") == "“Post reviews to Slack” is deleted.\n"
    assert all(entry["recipe_id"] is None for entry in reviews.json("recipe", "list"))
    assert "nothing to delete" in reviews.refused("recipe", "delete", POST_REVIEW, "--yes")
    reviews.do("recipe", "enable", POST_REVIEW, "--set", "channel=#reviews")
    assert "is deleted." in reviews.do("recipe", "delete", POST_REVIEW, typed="y\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([POST_REVIEW], "Channel is missing"),
        ([POST_REVIEW, "--set", "channel=#nowhere"], "#reviews (C1), #sales (C2)"),
        ([POST_REVIEW, "--set", "channel=C1", "--set", "text={{ buyer.mail }}"], "buyer.mail"),
        ([POST_REVIEW, "--set", "channel=C1", "--set", "colour=red"], "no field called colour. Fields: channel, text"),
        ([POST_REVIEW, "--set", "3.text=Hi"], "There is no step 3"),
        ([POST_REVIEW, "--set", "channel=C1", "--only-if", "review.stars is 5"], "review.stars"),
        ([POST_REVIEW, "--connection", "Nobody"], "no connection called Nobody"),
        (["review.created/no-such"], "no recipe called"),
        (["customer.created/mailchimp-add-buyer"], "Connect Mailchimp first"),
    ],
)
def test_a_recipe_that_cannot_work_is_not_switched_on(reviews: Terminal, words: Sequence[str], sentence: str) -> None:
    assert sentence in reviews.refused("recipe", "enable", *words)
    assert not any(entry["enabled"] for entry in reviews.json("recipe", "list"))


def test_where_there_are_two_connections_one_has_to_be_chosen(reviews: Terminal) -> None:
    reviews.do("connection", "add", "slack", "--name", "Other team", "--set-file", "bot_token=-", typed=TOKEN)
    assert "Other team, Our team" in reviews.refused("recipe", "enable", POST_REVIEW, "--set", "channel=C1")
    reviews.do("recipe", "enable", POST_REVIEW, "--set", "channel=C1", "--connection", "slack/Other team")


def test_columns_are_set_one_by_one(terminal: Terminal, address: str) -> None:
    name = "order.completed/ledger-row"
    assert "one by one" in terminal.refused("recipe", "enable", name, "--set", "columns=x")
    terminal.do("recipe", "enable", name, "--set", "columns.Who={{ buyer.email }}", "--set", "table=Sales")
    terminal.do("send", "order.completed", "--to", address)
    terminal.turn()
    heading, row = terminal.do("ledger", "Sales").strip().splitlines()
    assert "Who" in heading
    assert "@example.com" in row


# ── The rest ─────────────────────────────────────────────────────────────────────────────────────────────


def test_migrate_says_what_it_did(settings: Settings) -> None:
    terminal = Terminal(settings)
    assert terminal.do("migrate").startswith("Applied: 0001")
    assert terminal.do("migrate") == "The database is up to date.\n"


def test_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    terminal = Terminal(None)  # type: ignore[arg-type]
    terminal.work.load = lambda: load_settings(_env_file=None, data_dir=tmp_path, public_url="nonsense")
    said = terminal.refused("events")
    assert said.startswith("Error: POCKETWIRE_PUBLIC_URL")
    assert len(said.splitlines()) == 1


def test_a_command_leaves_no_connection_to_the_database_open(terminal: Terminal) -> None:
    """What is left to the garbage collector is warned of from Python 3.13 on, and keeps the last checkpoint away."""
    terminal.do("recipe", "list")
    assert isinstance(terminal.work.engine.pool, QueuePool)
    assert terminal.work.engine.pool.checkedin() == 0


def test_every_command_has_help_with_an_example() -> None:
    for path, command in _commands("pocketwire", main):
        shown = CliRunner().invoke(command, ["--help"], obj=object())
        assert shown.exit_code == 0, path
        if not isinstance(command, click.Group) and not command.hidden:
            assert f"Example: {path}" in " ".join(shown.output.split()), path


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            each = command.get_command(context, name)
            assert each is not None, f"{path} {name}"
            yield from _commands(f"{path} {name}", each)


@pytest.mark.parametrize("words", [("worker",), ("serve", "--no-engine")])
def test_several_machines_need_postgresql(terminal: Terminal, words: tuple[str, ...]) -> None:
    """On SQLite nobody would run the recipes, or two would."""
    assert "set DATABASE_URL" in terminal.refused(*words)
