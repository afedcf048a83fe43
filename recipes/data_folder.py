"""The data directory: its folders are made, its keys kept, and what cannot be written stops the start."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from recipes.environment import PREFIX, SettingError

SHORTEST_KEY = 32
_MAY_NOT = "the user that Pocketwire runs as may not write"


def make_folders(data_dir: Path, spool: Path) -> None:
    """Makes the folders, for this user alone, where they are not there. Raises SettingError if they cannot be used."""
    name = f"{PREFIX}DATA_DIR"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        spool.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError as error:
        raise SettingError(f"{name}: {Path(error.filename).absolute()} has to be a folder, not a file.") from None
    except OSError as error:
        raise SettingError(
            f"{name}: the folder {Path(error.filename).absolute()} cannot be made ({error.strerror})."
        ) from None
    for each in (data_dir, spool):
        if not _can_write(each):
            raise SettingError(f"{name}: {_MAY_NOT} into {each.absolute()}.")


def check_database(file: Path, setting: str) -> None:
    """Raises SettingError, naming the setting, if the database's file cannot be made or written there."""
    try:
        wrong = _wrong_with_database(file)
    except OSError as error:
        wrong = f"the database's file cannot be reached ({error.strerror})"
    if wrong:
        raise SettingError(f"{setting}: {wrong}.")


def kept_key(path: Path) -> str:
    """The key in a file for this user alone, which is made if it is not there. Raises SettingError if it is no key."""
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_text(errors="replace").strip()
    except OSError as error:
        raise SettingError(f"The key in {path.absolute()} cannot be read ({error.strerror}).") from None
    if len(key) < SHORTEST_KEY:
        raise SettingError(
            f"{path.absolute()} holds no key: put it back from a backup, or delete it if there is nothing to keep."
        )
    return key


def _make_key(path: Path) -> None:
    handle, draft = tempfile.mkstemp(prefix=f"{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # It gets its name when it is whole: an empty file would be an empty key. And it takes nobody's place: of two
        # processes that start at once, one makes the key and both read it.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _wrong_with_database(file: Path) -> str | None:
    # It is never opened here: closing it would take away the locks that this process may hold on it.
    if not file.parent.is_dir():
        return "the database's folder is not there (a full path takes four slashes: sqlite:////srv/pocketwire.db)"
    if file.exists() and not file.is_file():
        return "the database has to be a file, not a folder"
    if not _can_write(file.parent) or (file.exists() and not _can_write(file)):
        return f"{_MAY_NOT} the database's file or into its folder"
    return None


def _can_write(path: Path) -> bool:
    need = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, need, effective_ids=True)
