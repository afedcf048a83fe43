"""Settings: a wrong value stops the start with one sentence that names it and gives nothing away."""

from pathlib import Path

import pytest

from integrations import INTEGRATIONS
from recipes.mail import Mailer
from recipes.settings import SettingError, Settings, load_settings

# The Ledger is here, at no address.
SERVICES = [each for each in INTEGRATIONS if each.name != "ledger"]
KEY = "a-key-of-forty-characters-or-thereabouts"

ADDRESS_AND_PORT = "has to be an IP address, a colon and a port, with an IPv6 address in square brackets"
IP_ADDRESS = "has to begin with an IP address, 127.0.0.1 for this machine alone or 0.0.0.0 for every network"
END_IN_PORT = "has to end in a port from 1 to 65535"
PORT = "has to have a port from 1 to 65535 after the colon"
WEB = "has to begin with http:// or https://"
HOST = "has to have a host after https://"
NO_USER = "must not hold a user or a password"
NO_QUERY = "must not have a ? or a # in it"
NO_SPACES = "must not have spaces in it"
NO_PATH = "has to end after the host and port: Pocketwire does not work under a path"
DATABASE = "has to begin with sqlite:/// and the path of a file, or with postgresql://"
DATABASE_NAME = (
    "has to have a database's name after the host and a slash; in a user or a password write %2F for a slash and %23 "
    "for a number sign"
)
ONLY_A_PATH = "has to be the path of a file after sqlite:/// and nothing else"
LONG = "has to be 32 characters or longer: `openssl rand -hex 32` prints one"
EACH_LONG = f"{LONG.partition(':')[0]}, and so has each old one after a comma: `openssl rand -hex 32` prints one"
SMTP = "has to begin with smtp:// or smtps://"
PERCENT = (
    "has to end after the host and port; in a user or a password write %2F for a slash, %3F for a question mark "
    "and %23 for a number sign"
)
MAILBOX = "has to be one mail address, with a name before it if you like"
PROXIES = "has to be a whole number from 0 to 9"
THREADS = "has to be a whole number from 1 to 256"
DAYS = "has to be a whole number from 7 to 36500"

# Setting: an example of a right value, and wrong values with what is said. "hunter2" stands for what nobody may see.
WRONG: dict[str, tuple[str, dict[str, str]]] = {
    "POCKETWIRE_BIND": (
        "127.0.0.1:8000",
        {
            "8000": ADDRESS_AND_PORT,
            "::1:8000": ADDRESS_AND_PORT,
            "[::1:8000": ADDRESS_AND_PORT,
            "http://127.0.0.1:8000": ADDRESS_AND_PORT,
            "127.0.0.1:0": END_IN_PORT,
            "127.0.0.1:65536": END_IN_PORT,
            "127.0.0.1:http": END_IN_PORT,
            "127.0.0.1:٨٠": END_IN_PORT,
            "127.0.0.1:": END_IN_PORT,
            "localhost:8000": IP_ADDRESS,
            ":8000": IP_ADDRESS,
            "*:8000": IP_ADDRESS,
            "256.0.0.1:8000": IP_ADDRESS,
            "[127.0.0.1]:8000": IP_ADDRESS,
            "[fe80::1%eth0]:8000": IP_ADDRESS,
        },
    ),
    "POCKETWIRE_PUBLIC_URL": (
        "https://pocketwire.example.com",
        {
            "pocketwire.example": WEB,
            "ftp://pocketwire.example": WEB,
            "https://wire .example": NO_SPACES,
            "https://wire\t.example": NO_SPACES,
            "https://ada:hunter2@wire.example": NO_USER,
            "https://wire.example?a=1": NO_QUERY,
            "https://wire.example/#a": NO_QUERY,
            "https://": HOST,
            "https://:443": HOST,
            "https://<host>": HOST,
            "https://1.2.3.400": HOST,
            "https://[::1": "has square brackets that are not around an IPv6 address",
            "https://wire.example:0": PORT,
            "https://wire.example:99999": PORT,
            "https://wire.example:": PORT,
            "https://shop.example/wire": NO_PATH,
        },
    ),
    "DATABASE_URL": (
        "sqlite:////var/lib/pocketwire/pocketwire.db",
        {
            "mysql://ada:hunter2@db/wire": DATABASE,
            "/srv/wire.db": DATABASE,
            "sqlite://srv/wire.db": DATABASE,
            "postgresql+psycopg2://ada:hunter2@db/wire": DATABASE,
            "postgresql://ada:hunter2@db": DATABASE_NAME,
            "postgresql://ada:hunter2/x@db/wire": DATABASE_NAME,
            "postgresql://ada:hunter2#@db/wire": DATABASE_NAME,
            "postgresql://ada:hunter2@db:0/wire": PORT,
            "postgresql://ada:hunter2 @db/wire": NO_SPACES,
            "sqlite:///": ONLY_A_PATH,
            "sqlite:///:memory:": ONLY_A_PATH,
            "sqlite:///wire.db?mode=memory": ONLY_A_PATH,
        },
    ),
    "POCKETWIRE_TRUSTED_PROXIES": ("1", {"10.0.0.0/8": PROXIES, "-1": PROXIES, "10": PROXIES}),
    "POCKETWIRE_SECRET_KEY": ("", {"hunter2": LONG, "hunter2" + " " * 32: LONG}),
    "POCKETWIRE_CREDENTIALS_KEY": ("", {"hunter2": EACH_LONG, f"{KEY},hunter2": EACH_LONG, f"{KEY},": EACH_LONG}),
    "POCKETWIRE_MAIL_SERVER": (
        "smtp://user:password@mail.example.com:587",
        {
            "mail.example:587": SMTP,
            "smtp://ada:hunter2@": "has to have a host after smtp://",
            "smtps://ada:hunter2@mail:mail": PORT,
            "smtp://mail.example:0": PORT,
            "smtp://ada:hunter2 @mail": NO_SPACES,
            "smtp://ada:hunter2/x@mail": PERCENT,
            "smtp://ada:hunter2#x@mail": PERCENT,
            "smtp://mail.example/?tls=1": PERCENT,
            "smtp://ada@mail": "has to have both a user and a password, or neither",
        },
    ),
    "POCKETWIRE_MAIL_FROM": (
        "Pocketwire <pocketwire@example.com>",
        {"Pocketwire": MAILBOX, "a@example.com, b@example.com": MAILBOX, "a@example..com": MAILBOX},
    ),
    "POCKETWIRE_API_BASE__SLACK": (
        "https://proxy.example/slack/api/",
        {
            "proxy.example/slack": WEB,
            "https://ada:hunter2@proxy.example": NO_USER,
            "https://proxy.example/ api": NO_SPACES,
            "https:///api": HOST,
            "https://proxy.example/?key=hunter2": NO_QUERY,
        },
    ),
    "POCKETWIRE_ENGINE_THREADS": ("32", {"many": THREADS, "0": THREADS, "257": THREADS, "9" * 5000: THREADS}),
    "POCKETWIRE_KEEP_DAYS": ("400", {"7.5": DAYS, "6": DAYS, "999999999": DAYS}),
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (_, values) in WRONG.items() for value in values])
def test_a_wrong_value_is_named_in_one_sentence(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator learns which setting, what is wrong and what is right; what was given may be a secret."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError) as caught:
        load_settings()
    example, values = WRONG[name]
    assert str(caught.value) == f"{name} {values[value]}{f' (example: {example})' if example else ''}."
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__, "a traceback would show the value"


def test_every_setting_has_wrong_values_above() -> None:
    """A new setting comes with its sentences. Whether a folder is fit depends on the disk: test_data_folder."""
    tried = {name.partition("__")[0].removeprefix("POCKETWIRE_").lower() for name in WRONG}
    assert tried == set(Settings.model_fields) - {"data_dir"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POCKETWIRE_BIND", "[::1]:65535"),
        ("POCKETWIRE_BIND", "0.0.0.0:80"),
        ("POCKETWIRE_PUBLIC_URL", "http://[::1]:8000"),
        ("POCKETWIRE_PUBLIC_URL", "https://wire.example:8443"),
        ("POCKETWIRE_PUBLIC_URL", "http://my_proxy"),
        ("POCKETWIRE_PUBLIC_URL", "https://bücher.example"),
        ("POCKETWIRE_MAIL_SERVER", "smtp://ada%40example.com:p%2F%23@mail.example.com:587"),
        ("POCKETWIRE_MAIL_SERVER", "smtps://127.0.0.1"),
        ("POCKETWIRE_MAIL_FROM", "ada@example.com"),
        ("POCKETWIRE_MAIL_FROM", "Ada Books <ada@example.com>"),
        ("POCKETWIRE_SECRET_KEY", "a key, of forty characters or thereabouts"),
        ("POCKETWIRE_CREDENTIALS_KEY", f"{KEY},{KEY}"),
        ("POCKETWIRE_KEEP_DAYS", "36500"),
        *((f"POCKETWIRE_API_BASE__{each.name.upper()}", "http://127.0.0.1:9/api") for each in SERVICES),
    ],
)
def test_a_right_value_is_taken(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other installations need: IPv6, ports, user names with an @, a comma in a key, each service."""
    monkeypatch.setenv(name, value)
    load_settings()


def test_settings_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prefix is POCKETWIRE_, DATABASE_URL has none, and API bases are one setting each."""
    monkeypatch.setenv("POCKETWIRE_DATA_DIR", str(tmp_path / "here"))
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/elsewhere.db")
    monkeypatch.setenv("POCKETWIRE_API_BASE__SLACK", "http://127.0.0.1:9/api/")
    monkeypatch.setenv("POCKETWIRE_PUBLIC_URL", "https://wire.example/")
    settings = load_settings(_env_file=None)
    assert settings.data_dir == tmp_path / "here"
    assert settings.database == f"sqlite:///{tmp_path}/elsewhere.db"
    assert settings.api_base == {"slack": "http://127.0.0.1:9/api/"}
    assert settings.public_url == "https://wire.example"


def test_an_empty_value_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Container tools hand over a variable that is not set as an empty one."""
    for name in WRONG:
        monkeypatch.setenv(name, "")
    assert load_settings() == Settings(_env_file=None)


def test_what_is_listened_on_is_an_address_without_brackets() -> None:
    """The server takes an IPv6 address bare."""
    assert load_settings(bind="[::1]:8000").listens_on == ("::1", 8000)


def test_a_mail_server_without_a_sender_is_enough() -> None:
    """README says what the sender is then."""
    message = Mailer(load_settings(mail_server="smtp://mail.example"))._message("ada@example.com", "Hi", "Text")
    assert message["From"] == "pocketwire@mail.example"


def test_secrets_do_not_show_in_print(tmp_path: Path) -> None:
    """Printing the settings gives nothing away."""
    settings = Settings(_env_file=None, data_dir=tmp_path, secret_key="s3cret-" * 8, mail_server="smtp://u:hunter2@h")
    assert "s3cret" not in repr(settings)
    assert "hunter2" not in repr(settings)
