"""Settings: wrong values stop the start with one sentence, keys are made once and are private."""

import stat
from pathlib import Path

import pytest

from recipes.settings import SettingError, Settings, load_settings


def test_keys_are_made_once_and_only_for_the_owner(tmp_path: Path) -> None:
    """No default key works: each installation gets its own, in files that nobody else can read."""
    settings = load_settings(_env_file=None, data_dir=tmp_path / "data")
    again = load_settings(_env_file=None, data_dir=tmp_path / "data")
    other = load_settings(_env_file=None, data_dir=tmp_path / "other")
    assert settings.signing_key() == again.signing_key() != other.signing_key()
    assert settings.sealing_keys() == again.sealing_keys()
    for name in ("secret-key", "credentials-key"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("POCKETWIRE_BIND", "8000", "POCKETWIRE_BIND"),
        ("POCKETWIRE_SECRET_KEY", "short-secret", "32 characters"),
        ("POCKETWIRE_PUBLIC_URL", "pocketwire.example", "POCKETWIRE_PUBLIC_URL"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL"),
        ("POCKETWIRE_ENGINE_THREADS", "many", "POCKETWIRE_ENGINE_THREADS"),
        ("POCKETWIRE_TRUSTED_PROXIES", "10.0.0.0/8", "How many reverse proxies"),
    ],
)
def test_a_wrong_value_is_named_in_one_sentence(
    name: str, value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator learns which setting to mend; what was given is not repeated, it may be a secret."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError) as caught:
        load_settings(_env_file=None, data_dir=tmp_path / "data")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "short-secret" not in str(caught.value)


def test_settings_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prefix is POCKETWIRE_, DATABASE_URL has none, and API bases are one setting each."""
    monkeypatch.setenv("POCKETWIRE_DATA_DIR", str(tmp_path / "here"))
    monkeypatch.setenv("DATABASE_URL", "sqlite:////tmp/elsewhere.db")
    monkeypatch.setenv("POCKETWIRE_API_BASE__SLACK", "http://127.0.0.1:9/api/")
    monkeypatch.setenv("POCKETWIRE_PUBLIC_URL", "https://wire.example/")
    settings = load_settings(_env_file=None)
    assert settings.data_dir == tmp_path / "here"
    assert settings.database == "sqlite:////tmp/elsewhere.db"
    assert settings.api_base == {"slack": "http://127.0.0.1:9/api/"}
    assert settings.public_url == "https://wire.example"


def test_secrets_do_not_show_in_print(tmp_path: Path) -> None:
    """Printing the settings gives nothing away."""
    settings = Settings(_env_file=None, data_dir=tmp_path, secret_key="s3cret-" * 8, mail_server="smtp://u:hunter2@h")
    assert "s3cret" not in repr(settings)
    assert "hunter2" not in repr(settings)
