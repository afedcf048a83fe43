"""Prebuilt recipes: one TOML file each in <event>/<name>.toml, checked when they are loaded."""

from collections.abc import Mapping

from recipes.prebuilt.checking import problems
from recipes.prebuilt.reading import Prebuilt, PrebuiltError, read

__all__ = ["PREBUILT", "Prebuilt", "PrebuiltError", "checked"]


def checked(shelf: Mapping[str, Prebuilt]) -> Mapping[str, Prebuilt]:
    """The same recipes. Raises PrebuiltError for the first mistake in one of them."""
    for recipe in shelf.values():
        for sentence in problems(recipe, shelf):
            raise PrebuiltError(f"{recipe.name}: {sentence}")
    return shelf


PREBUILT: Mapping[str, Prebuilt] = checked(read())
