"""The recipes of a merchant: the shelf, setting one up, trying it out, switching it on and off."""

from recipes.cookbook.checking import CookbookError, problems
from recipes.cookbook.choosing import with_labels
from recipes.cookbook.drafts import Draft, StepDraft, draft_from_prebuilt, draft_of_recipe, find_recipe
from recipes.cookbook.preview import Preview, PreviewStep, preview
from recipes.cookbook.saving import Disabled, disable, enable, save
from recipes.cookbook.shelf import ShelfEntry, ShelfGroup, shelf

__all__ = [
    "CookbookError",
    "Disabled",
    "Draft",
    "Preview",
    "PreviewStep",
    "ShelfEntry",
    "ShelfGroup",
    "StepDraft",
    "disable",
    "draft_from_prebuilt",
    "draft_of_recipe",
    "enable",
    "find_recipe",
    "preview",
    "problems",
    "save",
    "shelf",
    "with_labels",
]
