"""The data directory: made and private, and where it cannot be used the start stops with a sentence."""

import stat
from pathlib import Path

import pytest

from recipes.settings import SettingError, load_settings
from tests.recipes.other_user import as_another_user

MAY_NOT = "the user that Pocketwire runs as may not write"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(**given: str) -> str:
    """The sentence with which the settings are refused."""
    with pytest.raises(SettingError) as caught:
        load_settings(**given)
    return str(caught.value)


def test_a_data_directory_that_is_a_file_is_said(tmp_path: Path) -> None:
    """It, one above it, or the spool in it."""
    file = tmp_path / "file"
    file.touch()
    assert refused(data_dir="file") == f"POCKETWIRE_DATA_DIR: {file} has to be a folder, not a file."
    assert refused(data_dir="file/data") == (
        f"POCKETWIRE_DATA_DIR: the folder {file / 'data'} cannot be made (Not a directory)."
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spool").touch()
    assert refused() == f"POCKETWIRE_DATA_DIR: {tmp_path / 'data' / 'spool'} has to be a folder, not a file."


@pytest.mark.parametrize("kept", ["data", "data/spool"])
def test_a_data_directory_that_cannot_be_written_is_said(kept: str, tmp_path: Path) -> None:
    """Each delivery would be refused. The folders are there, but another user's."""
    for folder in ("data", "data/spool"):
        (tmp_path / folder).mkdir()
    for folder in ("data", "data/spool"):
        (tmp_path / folder).chmod(0o555 if folder == kept else 0o777)
    with as_another_user(tmp_path):
        assert refused() == f"POCKETWIRE_DATA_DIR: {MAY_NOT} into {tmp_path / kept}."


def test_a_data_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """The folder above it is another user's."""
    above = tmp_path / "above"
    above.mkdir(0o555)
    with as_another_user(tmp_path):
        said = refused(data_dir="above/data")
    assert said == f"POCKETWIRE_DATA_DIR: the folder {above / 'data'} cannot be made (Permission denied)."


def test_a_database_that_cannot_be_there_is_said(tmp_path: Path) -> None:
    """No folder, or a folder in its place: named by the setting that leads there."""
    assert refused(database_url="sqlite:///srv/wire.db") == (
        "DATABASE_URL: the database's folder is not there (a full path takes four slashes: "
        "sqlite:////srv/pocketwire.db)."
    )
    assert refused(database_url=f"sqlite:///{tmp_path}") == "DATABASE_URL: the database has to be a file, not a folder."
    (tmp_path / "data" / "pocketwire.db").mkdir()
    assert refused() == "POCKETWIRE_DATA_DIR: the database has to be a file, not a folder."


@pytest.mark.parametrize("kept", ["srv", "srv/wire.db"])
def test_a_database_that_cannot_be_written_is_said(kept: str, tmp_path: Path) -> None:
    """SQLite writes the file, and others beside it."""
    load_settings()
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "wire.db").touch()
    for place in ("data", "data/spool", "srv", "srv/wire.db"):
        (tmp_path / place).chmod(0o555 if place == kept else 0o777)
    with as_another_user(tmp_path):
        said = refused(database_url="sqlite:///srv/wire.db")
    assert said == f"DATABASE_URL: {MAY_NOT} the database's file or into its folder."


def test_keys_are_made_once_and_only_for_the_owner(tmp_path: Path) -> None:
    """No default key works: each installation gets its own, in files that nobody else can read."""
    settings = load_settings(_env_file=None, data_dir=tmp_path / "data")
    again = load_settings(_env_file=None, data_dir=tmp_path / "data")
    other = load_settings(_env_file=None, data_dir=tmp_path / "other")
    assert settings.signing_key() == again.signing_key() != other.signing_key()
    assert settings.sealing_keys() == again.sealing_keys()
    for name in ("secret-key", "credentials-key"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600
