"""Acting as a user who may not write everywhere, as root may."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65_534


@contextmanager
def as_another_user(folder: Path) -> Iterator[None]:
    """As nobody if this is root, else as oneself. The folder, which is the current one, can be looked into."""
    folder.chmod(0o755)
    own = os.geteuid()
    if own == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(own)
