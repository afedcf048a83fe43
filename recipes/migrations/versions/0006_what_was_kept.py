"""Times during which recipes were off, and stores that are suspended"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision. There is no way back but a copy of the database."""
    # On SQLite made anew, so that the table reads as it does in a new database.
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("merchant", recreate="always" if is_sqlite else "never") as batch_op:
        batch_op.add_column(sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True))
    suspended, waiting = sa.text("suspended_at IS NOT NULL"), sa.text("fanned_out_at IS NULL")
    op.create_index("ix_merchant_suspended", "merchant", ["id"], sqlite_where=suspended, postgresql_where=suspended)
    op.drop_index("ix_event_to_fan_out", "event")
    op.create_index(
        "ix_event_to_fan_out", "event", ["id", "merchant_id"], sqlite_where=waiting, postgresql_where=waiting
    )
    op.create_table(
        "off_period",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("recipe_id", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kept", sa.String(), nullable=False),
        sa.Column("next_event_id", sa.Integer(), nullable=False),
        sa.Column("made", sa.Integer(), nullable=False),
        sa.Column("left_out", sa.Integer(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kept IN ('offered', 'running', 'done', 'left')", name=op.f("ck_off_period_kept")),
        sa.ForeignKeyConstraint(["recipe_id"], ["recipe.id"], name=op.f("fk_off_period_recipe_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_off_period")),
    )
    op.create_index("ix_off_period_recipe_id_since", "off_period", ["recipe_id", "since"])
    running = sa.text("kept = 'running'")
    op.create_index("ix_off_period_running", "off_period", ["id"], sqlite_where=running, postgresql_where=running)
    _look_back()


def _look_back() -> None:
    """When recipes were off is not known of the past: what came before now runs as it did until here."""
    op.execute(
        "INSERT INTO off_period (recipe_id, since, until, kept, next_event_id, made, left_out) SELECT id, created_at,"
        " CASE WHEN enabled THEN enabled_at ELSE CURRENT_TIMESTAMP END, 'left', 0, 0, 0"
        " FROM recipe WHERE NOT enabled OR enabled_at IS NOT NULL"
    )
    op.execute(
        "INSERT INTO off_period (recipe_id, since, until, kept, next_event_id, made, left_out) SELECT id,"
        " CURRENT_TIMESTAMP, NULL, 'offered', (SELECT coalesce(max(id), 0) + 1 FROM event), 0, 0"
        " FROM recipe WHERE NOT enabled"
    )
