"""Steps that were left out are noted among a run's tries"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# As it is before: SQLite does not tell of CHECK constraints when a table is read back.
ATTEMPT = sa.Table(
    "attempt",
    sa.MetaData(),
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("run_id", sa.Integer(), nullable=False),
    sa.Column("step", sa.Integer(), nullable=False),
    sa.Column("number", sa.Integer(), nullable=False),
    sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("milliseconds", sa.Integer(), nullable=False),
    sa.Column("result", sa.String(), nullable=False),
    sa.Column("outcome", sa.String(), nullable=False),
    sa.Column("request", sa.JSON(), nullable=False),
    sa.Column("status", sa.Integer(), nullable=True),
    sa.Column("answer", sa.String(), nullable=False),
    sa.CheckConstraint(
        "result IN ('succeeded', 'temporary', 'permanent', 'unauthorized', 'unsure', 'interrupted')",
        name="ck_attempt_result",
    ),
    sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_attempt_run_id", ondelete="CASCADE"),
    sa.PrimaryKeyConstraint("id", name="pk_attempt"),
    sa.Index("ix_attempt_run_id_id", "run_id", "id"),
)


def upgrade() -> None:
    """To this revision. There is no way back but a copy of the database."""
    with op.batch_alter_table("attempt", copy_from=ATTEMPT) as batch_op:
        batch_op.drop_constraint(op.f("ck_attempt_result"), type_="check")
        batch_op.create_check_constraint(
            op.f("ck_attempt_result"),
            "result IN ('succeeded', 'temporary', 'permanent', 'unauthorized', 'unsure', 'interrupted', 'skipped')",
        )
