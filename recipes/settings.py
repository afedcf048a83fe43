"""Settings from the environment or a `.env` file: the only reader of the environment."""

import os
import secrets
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from recipes.refusal import Refusal


class SettingError(Refusal):
    """A setting is wrong. The text is one sentence that names it and says what it should be."""


class Settings(BaseSettings):
    """Every field is read from POCKETWIRE_<NAME>; only `database_url` is read from DATABASE_URL.

    Fields' descriptions are the README's table of settings (a test compares them).
    """

    model_config = SettingsConfigDict(
        env_prefix="POCKETWIRE_",
        env_file=".env",
        env_nested_delimiter="__",
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
        pattern=r"^(|sqlite:///.+)$",
        description="Where everything is stored, as sqlite:///path; a file in the data directory if not given.",
    )
    bind: str = Field(
        default="127.0.0.1:8000",
        pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$",
        description="Address and port that the service listens on.",
    )
    public_url: str = Field(
        default_factory=lambda given: f"http://{given['bind']}",
        pattern=r"^https?://[^\s/]+(/\S*)?$",
        description="Address under which Pocketsflow and browsers reach this installation; http:// and "
        "the bind address if not given.",
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        le=9,
        description="How many reverse proxies stand in front, one behind the other; the browser's address is then "
        "taken from what they add to X-Forwarded-For.",
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
        pattern=r"^(|smtps?://\S+)$",
        description="Mail server as smtp://user:password@host:587 (STARTTLS) or smtps://…; no mail if not given.",
    )
    mail_from: str = Field(
        default="",
        description="Sender's address of the mail that Pocketwire sends.",
    )
    api_base: dict[str, str] = Field(
        default_factory=dict,
        description="Another base address for a service's API, one setting each, such as "
        "POCKETWIRE_API_BASE__SLACK=https://proxy.example/slack/api/.",
    )
    engine_threads: int = Field(
        default=32,
        ge=1,
        le=256,
        description="How many calls to services may be under way at once.",
    )
    keep_days: int = Field(
        default=400,
        ge=7,
        description="Days that finished runs and their events are kept.",
    )

    @field_validator("public_url", mode="after")
    @classmethod
    def _without_final_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("secret_key", "credentials_key", mode="after")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and any(len(key.strip()) < 32 for key in value.get_secret_value().split(",")):
            raise ValueError("has to be at least 32 characters long")
        return value

    @property
    def database(self) -> str:
        """The database's URL: the setting, or the SQLite file in the data directory."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'pocketwire.db'}"

    @property
    def spool(self) -> Path:
        """Folder that takes deliveries while the database cannot."""
        return self.data_dir / "spool"

    @property
    def wake_pipe(self) -> Path:
        """Named pipe by which the receiver tells the engine that there is something to do."""
        return self.data_dir / "wake"

    def signing_key(self) -> str:
        """The key that signs sessions; made and kept in the data directory if not set."""
        return self.secret_key.get_secret_value() if self.secret_key else self._kept_key("secret-key")

    def sealing_keys(self) -> list[str]:
        """The keys that seal secrets, the one in use first."""
        given = self.credentials_key.get_secret_value() if self.credentials_key else self._kept_key("credentials-key")
        return [key.strip() for key in given.split(",")]

    def _kept_key(self, name: str) -> str:
        path = self.data_dir / name
        try:
            # O_EXCL: of two processes that start at once, one makes the key and the other reads it.
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text().strip()
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return path.read_text().strip()


def load_settings(**given: Any) -> Settings:
    """The settings, with the data directory made. Raises SettingError for the first wrong value.

    given: values that go before the environment's, by field name.
    """
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingError(_sentence(error)) from None
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings.spool.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"POCKETWIRE_DATA_DIR: the folder {settings.data_dir} cannot be made ({error.strerror})."
        ) from None
    return settings


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    setting = "DATABASE_URL" if name in ("database_url", "DATABASE_URL") else f"POCKETWIRE_{name.upper()}"
    field = Settings.model_fields.get("database_url" if setting == "DATABASE_URL" else name)
    message = str(first["msg"]).removeprefix("Value error, ")
    about = f" {field.description}" if field and field.description else ""
    return f"{setting} has a wrong value: {message}.{about}"
