"""Settings from the environment or a `.env` file: the only reader of the environment."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from recipes import addresses
from recipes.data_folder import SHORTEST_KEY, check_database, kept_key, make_folders
from recipes.environment import ANY_SERVICE, ENCODING, PREFIX, SettingError, check_environment, check_file

__all__ = ["SettingError", "Settings", "load_settings"]


class Settings(BaseSettings):
    """Every field is read from POCKETWIRE_<NAME>; only `database_url` is read from DATABASE_URL.

    Fields' descriptions are the README's table of settings (a test compares them). Validators raise ValueError with
    what is wrong, to follow the setting's name; a field's example is shown after it.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding=ENCODING,
        env_ignore_empty=True,
        env_nested_delimiter="__",
        env_nested_max_split=1,
        extra="ignore",
        hide_input_in_errors=True,
        populate_by_name=True,
        frozen=True,
    )

    data_dir: Path = Field(
        default=Path("data"),
        description="Folder for the database, the keys and the spool; made at first start.",
    )
    database_url: str = Field(
        default="",
        validation_alias="DATABASE_URL",
        repr=False,
        description="Where everything is stored, as sqlite:///path or postgresql://user:password@host/database; a file "
        "in the data directory if not given.",
        examples=[
            "sqlite:////var/lib/pocketwire/pocketwire.db",
            "postgresql://user:password@db.example.com/pocketwire",
        ],
    )
    bind: str = Field(
        default="127.0.0.1:8000",
        description="IP address and port that the service listens on; 0.0.0.0:8000 for every network.",
        examples=["127.0.0.1:8000"],
    )
    public_url: str = Field(
        default_factory=lambda given: f"http://{given['bind']}",
        description="Address under which Pocketsflow and browsers reach this installation; http:// and "
        "the bind address if not given.",
        examples=["https://pocketwire.example.com"],
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        le=9,
        description="How many reverse proxies stand in front, one behind the other; the browser's address is then "
        "taken from what they add to X-Forwarded-For.",
        examples=[1],
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Signs sessions and forms, 32 characters or more; made at first start if not given.",
    )
    credentials_key: SecretStr | None = Field(
        default=None,
        description="Seals stored secrets, 32 characters or more; made at first start if not given. "
        "To change it, put the new one first and the old ones after it, parted by commas.",
    )
    mail_server: str = Field(
        default="",
        repr=False,
        description="Mail server as smtp://user:password@host:587 (STARTTLS) or smtps://…; no mail if not given.",
        examples=["smtp://user:password@mail.example.com:587"],
    )
    mail_from: str = Field(
        default="",
        description="Sender's address of the mail that Pocketwire sends; pocketwire@ and the mail server's host "
        "if not given.",
        examples=["Pocketwire <pocketwire@example.com>"],
    )
    api_base: dict[str, Annotated[str, AfterValidator(addresses.web_address)]] = Field(
        default_factory=dict,
        description="Another base address for a service's API, one setting each, such as "
        "POCKETWIRE_API_BASE__SLACK=https://proxy.example/slack/api/.",
        examples=["https://proxy.example/slack/api/"],
    )
    engine_threads: int = Field(
        default=32,
        ge=1,
        le=256,
        description="How many calls to services may be under way at once; those that take longer than a second "
        "leave their place to others.",
        examples=[32],
    )
    keep_days: int = Field(
        default=400,
        ge=7,
        le=36_500,
        description="Days that finished runs and their events are kept.",
        examples=[400],
    )

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, value: str) -> str:
        return addresses.database(value) if value else ""

    @field_validator("bind")
    @classmethod
    def _can_listen(cls, value: str) -> str:
        addresses.listening(value)
        return value

    @field_validator("public_url")
    @classmethod
    def _is_site(cls, value: str) -> str:
        return addresses.site_address(value)

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().strip()) < SHORTEST_KEY:
            raise ValueError(f"has to be {SHORTEST_KEY} characters or longer: `openssl rand -hex 32` prints one")
        return value

    @field_validator("credentials_key")
    @classmethod
    def _each_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and any(len(key.strip()) < SHORTEST_KEY for key in value.get_secret_value().split(",")):
            raise ValueError(
                f"has to be {SHORTEST_KEY} characters or longer, and so has each old one after a comma: "
                "`openssl rand -hex 32` prints one"
            )
        return value

    @field_validator("mail_server")
    @classmethod
    def _is_mail_server(cls, value: str) -> str:
        return addresses.mail_server(value) if value else ""

    @field_validator("mail_from")
    @classmethod
    def _is_mailbox(cls, value: str) -> str:
        if value:
            addresses.mailbox(value)
        return value

    @property
    def listens_on(self) -> tuple[str, int]:
        """The IP address and the port of `bind`."""
        return addresses.listening(self.bind)

    @property
    def database(self) -> str:
        """The database's URL: the setting, or the SQLite file in the data directory."""
        return self.database_url or f"{addresses.SQLITE}{self.data_dir.resolve() / 'pocketwire.db'}"

    @property
    def is_postgresql(self) -> bool:
        """Whether several machines may be at work; otherwise it is a file of this one."""
        return not self.database.startswith(addresses.SQLITE)

    @property
    def spool(self) -> Path:
        """Folder that takes deliveries while the database cannot."""
        return self.data_dir / "spool"

    @property
    def wake_pipe(self) -> Path:
        """Named pipe by which the receiver tells the engine that there is something to do."""
        return self.data_dir / "wake"

    @property
    def sign_of_life(self) -> Path:
        """File that the engine touches while it is alive."""
        return self.data_dir / "engine-alive"

    @property
    def sign_of_work(self) -> Path:
        """File that the engine touches while it gets on: after every turn that succeeded."""
        return self.data_dir / "engine-works"

    def signing_key(self) -> str:
        """The key that signs sessions; made and kept in the data directory if not set."""
        return self.secret_key.get_secret_value() if self.secret_key else kept_key(self.data_dir / "secret-key")

    def sealing_keys(self) -> list[str]:
        """The keys that seal secrets, the one in use first."""
        given = (
            self.credentials_key.get_secret_value()
            if self.credentials_key
            else kept_key(self.data_dir / "credentials-key")
        )
        return [key.strip() for key in given.split(",")]


def load_settings(**given: Any) -> Settings:
    """The settings, with the data directory made. Raises SettingError for the first wrong one.

    given: values that go before the environment's, by field name; `_env_file`, another file than `.env`, or None.
    """
    known = [_name(field) for field in Settings.model_fields]
    env_file = given.get("_env_file", Settings.model_config["env_file"])
    check_environment(os.environ, known)
    if env_file is not None:
        check_file(Path(env_file), known)
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingError(_sentence(error)) from None
    make_folders(settings.data_dir, settings.spool)
    if not settings.is_postgresql:
        check_database(
            Path(settings.database.removeprefix(addresses.SQLITE)),
            _name("database_url" if settings.database_url else "data_dir"),
        )
    return settings


def _name(field: str) -> str:
    """The name of the setting that a field is read from, as in README."""
    alias = Settings.model_fields[field].validation_alias
    ending = ANY_SERVICE if field == "api_base" else ""
    return str(alias) if alias else f"{PREFIX}{field.upper()}{ending}"


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    place = [str(each) for each in first["loc"]]
    field = "database_url" if place[0] == "DATABASE_URL" else place[0]
    declared = Settings.model_fields[field]
    if first["type"] == "value_error":
        wrong = str(first["ctx"]["error"])
    elif declared.annotation is int:
        lowest, highest = declared.metadata
        wrong = f"has to be a whole number from {lowest.ge} to {highest.le}"
    else:
        wrong = "has a value of the wrong kind"
    name = _name(field).replace(ANY_SERVICE, f"__{place[-1].upper()}")
    example = f" (example: {declared.examples[0]})" if declared.examples else ""
    return f"{name} {wrong}{example}."
