"""The recipes of a merchant: the shelf, setting one up, trying it out, switching it on and off, deleting it."""

from recipes.cookbook.checking import ChangedMeanwhile, CookbookError, problems
from recipes.cookbook.choosing import with_labels
from recipes.cookbook.deleting import Deletion, delete, deletion
from recipes.cookbook.drafts import Draft, StepDraft, another_draft, draft_from_prebuilt, draft_of_recipe, find_recipe
from recipes.cookbook.kept import KeptEvents, kept_events, leave_kept, offers, run_kept
from recipes.cookbook.preview import Preview, PreviewStep, preview
from recipes.cookbook.saving import Disabled, disable, enable, save, waits_for
from recipes.cookbook.shelf import ShelfEntry, ShelfGroup, shelf
from recipes.cookbook.unsaved import ANOTHER, find_entered, forget_entered, keep_entered, unsaved_recipes

__all__ = [
    "ANOTHER",
    "ChangedMeanwhile",
    "CookbookError",
    "Deletion",
    "Disabled",
    "Draft",
    "KeptEvents",
    "Preview",
    "PreviewStep",
    "ShelfEntry",
    "ShelfGroup",
    "StepDraft",
    "another_draft",
    "delete",
    "deletion",
    "disable",
    "draft_from_prebuilt",
    "draft_of_recipe",
    "enable",
    "find_entered",
    "find_recipe",
    "forget_entered",
    "keep_entered",
    "kept_events",
    "leave_kept",
    "offers",
    "preview",
    "problems",
    "run_kept",
    "save",
    "shelf",
    "unsaved_recipes",
    "waits_for",
    "with_labels",
]
