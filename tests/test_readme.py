"""README is true: its tables are those of the code, its commands and files exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from integrations import INTEGRATIONS
from recipes.cli import main
from recipes.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _settings_table() -> str:
    rows = ["| setting | what it is | default |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        setting = str(field.validation_alias or f"POCKETWIRE_{name.upper()}")
        setting += "__<SERVICE>" if name == "api_base" else ""
        default = "" if field.default_factory or field.default in (None, "") else f"`{field.default}`"
        rows.append(f"| `{setting}` | {field.description} | {default} |")
    return "\n".join(rows)


def _services_table() -> str:
    rows = ["| service | what it can do |", "| --- | --- |"]
    for each in INTEGRATIONS:
        actions = "; ".join(action.title for action in each.actions)
        rows.append(f"| **{each.title}**: {each.summary} | {actions} |")
    return "\n".join(rows)


@pytest.mark.parametrize(("name", "table"), [("settings", _settings_table()), ("services", _services_table())])
def test_tables_are_those_of_the_code(name: str, table: str) -> None:
    """Put what is expected between the marks."""
    written = README.partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0].strip()
    assert written == table, f"expected between the marks:\n{table}"


def test_every_command_shown_exists_with_its_options() -> None:
    """A newcomer types what stands here."""
    lines = re.findall(r"^(?:.*\| |\.venv/bin/)?(pocketwire [^\n`]+?)(?: < \S+)?$", README, re.MULTILINE)
    assert len(lines) >= 8
    for line in lines:
        command: click.Command = main
        words = shlex.split(line)[1:]
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None, line
            command = found
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_every_file_and_picture_it_points_to_is_there() -> None:
    """No dead link."""
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_make_help_lists_the_targets_readme_uses() -> None:
    """`make run` and `make test` are README's two commands."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z]+)", README)) <= targets
    assert {"run", "test", "check"} <= targets
