"""Runs that wait as their recipe says, off their lanes"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('queued', 'running', 'waiting', 'held')")
DUE = sa.text("state IN ('queued', 'waiting')")
TROUBLED = sa.text("state IN ('unsure', 'failed')")
DELAYED = sa.text("state IN ('delayed')")

# As it is before: SQLite does not tell of CHECK constraints when a table is read back.
RUN = sa.Table(
    "run",
    sa.MetaData(),
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("merchant_id", sa.Integer(), nullable=False),
    sa.Column("event_id", sa.Integer(), nullable=False),
    sa.Column("recipe_id", sa.Integer(), nullable=False),
    sa.Column("version_id", sa.Integer(), nullable=False),
    sa.Column("again", sa.Integer(), nullable=False),
    sa.Column("connection_id", sa.Integer(), nullable=True),
    sa.Column("lane", sa.String(), nullable=False),
    sa.Column("order_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("step", sa.Integer(), nullable=False),
    sa.Column("attempt", sa.Integer(), nullable=False),
    sa.Column("doubt", sa.Boolean(), nullable=False),
    sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("lease", sa.String(), nullable=True),
    sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
    sa.Column("outcome", sa.String(), nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint(
        "state IN ('queued', 'running', 'waiting', 'held', 'unsure', 'succeeded', 'skipped', 'failed', 'cancelled')",
        name="ck_run_state",
    ),
    sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name="fk_run_connection_id", ondelete="SET NULL"),
    sa.ForeignKeyConstraint(["event_id"], ["event.id"], name="fk_run_event_id", ondelete="CASCADE"),
    sa.ForeignKeyConstraint(["merchant_id"], ["merchant.id"], name="fk_run_merchant_id", ondelete="CASCADE"),
    sa.ForeignKeyConstraint(["recipe_id"], ["recipe.id"], name="fk_run_recipe_id", ondelete="CASCADE"),
    sa.ForeignKeyConstraint(["version_id"], ["recipe_version.id"], name="fk_run_version_id", ondelete="CASCADE"),
    sa.PrimaryKeyConstraint("id", name="pk_run"),
    sa.UniqueConstraint("event_id", "recipe_id", "again", name="uq_run_event_id_recipe_id_again"),
    sa.Index("ix_run_merchant_id_id", "merchant_id", "id"),
    sa.Index("ix_run_merchant_id_event_id_state", "merchant_id", "event_id", "state"),
    sa.Index("ix_run_recipe_id_id", "recipe_id", "id"),
    sa.Index("ix_run_lane_open", "lane", "order_at", "event_id", "id", sqlite_where=OPEN),
    sa.Index("ix_run_due", "connection_id", "order_at", "event_id", "id", "due_at", sqlite_where=DUE),
    sa.Index("ix_run_troubled", "merchant_id", "state", "recipe_id", "id", sqlite_where=TROUBLED),
    sa.Index("ix_run_open", "state", "connection_id", sqlite_where=OPEN),
)


def upgrade() -> None:
    """To this revision. There is no way back but a copy of the database."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    last = _last_number() if is_sqlite else 0
    with op.batch_alter_table("run", copy_from=RUN, table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.drop_constraint(op.f("ck_run_state"), type_="check")
        batch_op.create_check_constraint(
            op.f("ck_run_state"),
            "state IN ('queued', 'running', 'waiting', 'held', 'delayed', 'unsure', 'succeeded', 'skipped', 'failed', "
            "'cancelled')",
        )
    if is_sqlite:
        # Numbers of runs that are forgotten do not come back: services were given them as keys.
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'run'")
        numbered = sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES ('run', :last)")
        op.execute(numbered.bindparams(last=last))
    op.create_index(
        "ix_run_delayed",
        "run",
        ["due_at", "id", "merchant_id", "connection_id", "recipe_id"],
        sqlite_where=DELAYED,
        postgresql_where=DELAYED,
    )


def _last_number() -> int:
    found = op.get_bind().execute(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'run'")).scalar()
    return int(found or 0)
