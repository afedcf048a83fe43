"""The environment and the `.env` file: what stands there under our names is a setting, or stops the start."""

from pathlib import Path

import pytest

from recipes.settings import SettingError, load_settings
from tests.recipes.other_user import as_another_user


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused() -> str:
    """The sentence with which the settings are refused."""
    with pytest.raises(SettingError) as caught:
        load_settings()
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("POCKETWIRE_PUBLC_URL", "did you mean POCKETWIRE_PUBLIC_URL?"),
        ("pocketwire_publc_url", "did you mean POCKETWIRE_PUBLIC_URL?"),
        ("POCKETWIRE_DATABASE_URL", "did you mean DATABASE_URL?"),
        ("POCKETWIRE_API_BASE", "did you mean POCKETWIRE_API_BASE__<SERVICE>?"),
        ("POCKETWIRE_API_BASE_SLACK", "did you mean POCKETWIRE_API_BASE__<SERVICE>?"),
        ("POCKETWIRE_API_BASE__SLAK", "did you mean POCKETWIRE_API_BASE__SLACK?"),
        ("POCKETWIRE_API_BASE__SLACK__URL", "did you mean POCKETWIRE_API_BASE__SLACK?"),
        ("POCKETWIRE_API_BASE__ZAPIER", "there are POCKETWIRE_API_BASE__MAILCHIMP, POCKETWIRE_API_BASE__SLACK, "),
        ("POCKETWIRE_API_BASE__LEDGER", "there are POCKETWIRE_API_BASE__MAILCHIMP, "),
        ("POCKETWIRE_PORT", "there are POCKETWIRE_DATA_DIR, DATABASE_URL, "),
    ],
)
def test_a_misspelt_name_stops_the_start(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it should have set would stay as it is without a word. The nearest name is offered."""
    monkeypatch.setenv(name, "http://hunter2")
    sentence = refused()
    assert sentence.startswith(f"There is no setting {name.upper()}: {said}")
    assert "hunter2" not in sentence


def test_a_misspelt_name_in_the_file_stops_the_start(tmp_path: Path) -> None:
    """The same, with the file; names of others are no business of ours."""
    (tmp_path / ".env").write_text("OTHER=1\nPOCKETWIRE_BNID=127.0.0.1:80\n")
    sentence = refused()
    assert sentence == f"There is no setting POCKETWIRE_BNID in {tmp_path / '.env'}: did you mean POCKETWIRE_BIND?"


def test_what_kubernetes_sets_is_no_misspelling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service called "pocketwire" puts these into every pod's environment; the start must not stop for them."""
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_80_TCP", "PORT_80_TCP_ADDR"):
        monkeypatch.setenv(f"POCKETWIRE_{name}", "10.0.0.7")
    monkeypatch.setenv("POCKETWIRE_PORT", "tcp://10.0.0.7:80")
    load_settings()


@pytest.mark.parametrize("mark", ["", "\N{ZERO WIDTH NO-BREAK SPACE}"])
def test_settings_come_from_the_file(mark: str, tmp_path: Path) -> None:
    """Also from one that an editor has put its mark before."""
    (tmp_path / ".env").write_text(f"{mark}POCKETWIRE_KEEP_DAYS=30\n# a remark\n\n", encoding="utf-8")
    assert load_settings().keep_days == 30


@pytest.mark.parametrize("line", ["POCKETWIRE_BIND 127.0.0.1:80", "POCKETWIRE_BIND", "POCKETWIRE_BIND='127"])
def test_a_line_of_the_file_that_says_nothing_stops_the_start(line: str, tmp_path: Path) -> None:
    """It was meant to set something."""
    (tmp_path / ".env").write_text(f"A=1\n{line}\n")
    assert refused() == f"Line 2 of {tmp_path / '.env'} has to be NAME=value."


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    """A folder, other text than UTF-8, or another's file."""
    file = tmp_path / ".env"
    ending = "it has to be a text file of NAME=value lines."
    file.mkdir()
    assert refused() == f"{file} cannot be read (Is a directory): {ending}"
    file.rmdir()
    file.write_bytes(b"POCKETWIRE_BIND=\xff")
    assert refused() == f"{file} cannot be read (not UTF-8): {ending}"
    file.chmod(0)
    with as_another_user(tmp_path):
        assert refused() == f"{file} cannot be read (Permission denied): {ending}"
