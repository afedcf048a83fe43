"""Run by Alembic: migrates over the connection that `migrate()` hands in."""

from typing import Any

from alembic import context

attributes = context.config.attributes


def note(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:
    """Keeps the revision that was applied, for whoever asked to migrate."""
    attributes.setdefault("applied", []).append(step.up_revision_id)


context.configure(
    connection=attributes["connection"],
    target_metadata=attributes.get("metadata"),
    render_item=attributes.get("render_item"),
    render_as_batch=True,
    on_version_apply=note,
)
with context.begin_transaction():
    context.run_migrations()
