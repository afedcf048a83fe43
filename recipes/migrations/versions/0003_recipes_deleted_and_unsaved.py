"""Recipes that are deleted, and what was entered for one and not saved"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# As it is before: SQLite does not tell of CHECK constraints when a table is read back.
RECIPE = sa.Table(
    "recipe",
    sa.MetaData(),
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("merchant_id", sa.Integer(), nullable=False),
    sa.Column("name", sa.String(), nullable=False),
    sa.Column("title", sa.String(), nullable=False),
    sa.Column("prebuilt", sa.String(), nullable=True),
    sa.Column("event_type", sa.String(), nullable=False),
    sa.Column("runs_on", sa.String(), nullable=False),
    sa.Column("enabled", sa.Boolean(), nullable=False),
    sa.Column("enabled_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("version", sa.Integer(), nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("runs_on IN ('live', 'test', 'both')", name="ck_recipe_runs_on"),
    sa.ForeignKeyConstraint(["merchant_id"], ["merchant.id"], name="fk_recipe_merchant_id", ondelete="CASCADE"),
    sa.PrimaryKeyConstraint("id", name="pk_recipe"),
    sa.UniqueConstraint("merchant_id", "name", name="uq_recipe_merchant_id_name"),
    sa.Index("ix_recipe_merchant_id_event_type", "merchant_id", "event_type"),
)


def upgrade() -> None:
    """To this revision. There is no way back but a copy of the database."""
    with op.batch_alter_table("recipe", copy_from=RECIPE) as batch_op:
        batch_op.add_column(sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_check_constraint(op.f("ck_recipe_deleted"), "deleted_at IS NULL OR NOT enabled")

    op.create_table(
        "unsaved_form",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("merchant_id", sa.Integer(), nullable=False),
        sa.Column("recipe", sa.String(), nullable=False),
        sa.Column("entered", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_unsaved_form_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchant.id"], name=op.f("fk_unsaved_form_merchant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "merchant_id", "recipe", name=op.f("pk_unsaved_form")),
    )
