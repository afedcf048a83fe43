"""The data directory: made and private, and where it cannot be used the start stops with a sentence."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

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


@pytest.mark.parametrize("text", ["", "\n", "half-a-key\n"])
def test_a_key_file_without_a_key_is_refused(text: str, tmp_path: Path) -> None:
    """What a crash or a full disk left behind: everything would be sealed with a key that anyone can guess."""
    settings = load_settings()
    for name, key in (("secret-key", settings.signing_key), ("credentials-key", settings.sealing_keys)):
        file = tmp_path / "data" / name
        file.write_text(text)
        with pytest.raises(SettingError) as caught:
            key()
        assert str(caught.value) == (
            f"{file} holds no key: put it back from a backup, or delete it if there is nothing to keep."
        )
        assert file.read_text() == text


def test_a_key_file_of_another_user_is_said(tmp_path: Path) -> None:
    """One sentence, as for all that is not as it should be."""
    settings = load_settings()
    settings.sealing_keys()
    (tmp_path / "data").chmod(0o755)
    (tmp_path / "data" / "credentials-key").chmod(0)
    with as_another_user(tmp_path), pytest.raises(SettingError) as caught:
        settings.sealing_keys()
    assert (
        str(caught.value) == f"The key in {tmp_path / 'data' / 'credentials-key'} cannot be read (Permission denied)."
    )


def test_all_who_start_at_once_have_the_same_key(tmp_path: Path) -> None:
    """The web side and the engine start together: what one seals the other opens. No draft is left behind."""
    settings = load_settings()
    file = tmp_path / "data" / "credentials-key"
    for _ in range(20):
        file.unlink(missing_ok=True)
        at_once = Barrier(8)

        def key(at_once: Barrier = at_once) -> list[str]:
            at_once.wait(10)
            return settings.sealing_keys()

        with ThreadPoolExecutor(8) as pool:
            keys = [each.result() for each in [pool.submit(key) for _ in range(8)]]
        assert keys == [[file.read_text().strip()]] * 8
    assert {each.name for each in (tmp_path / "data").iterdir()} == {"credentials-key", "spool"}
