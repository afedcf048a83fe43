"""The merchant's word that a run goes on although what it is about was undone"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LARGE_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """To this revision. There is no way back but a copy of the database."""
    op.create_table(
        "let_through",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", LARGE_NUMBER, nullable=False),
        sa.Column("run_id", LARGE_NUMBER, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_let_through_event_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_let_through_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_let_through")),
        sa.UniqueConstraint("event_id", "run_id", name=op.f("uq_let_through_event_id_run_id")),
    )
    op.create_index(op.f("ix_let_through_run_id"), "let_through", ["run_id"])
