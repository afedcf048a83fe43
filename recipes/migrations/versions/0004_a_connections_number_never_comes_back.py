"""A connection's number never comes back"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# As it is before: SQLite does not tell of CHECK constraints when a table is read back.
CONNECTION = sa.Table(
    "connection",
    sa.MetaData(),
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("merchant_id", sa.Integer(), nullable=False),
    sa.Column("app", sa.String(), nullable=False),
    sa.Column("name", sa.String(), nullable=False),
    sa.Column("credentials", sa.LargeBinary(), nullable=False),
    sa.Column("revision", sa.Integer(), nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("paused_reason", sa.String(), nullable=False),
    sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("account", sa.String(), nullable=False),
    sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("state IN ('active', 'paused')", name="ck_connection_state"),
    sa.ForeignKeyConstraint(["merchant_id"], ["merchant.id"], name="fk_connection_merchant_id", ondelete="CASCADE"),
    sa.PrimaryKeyConstraint("id", name="pk_connection"),
    sa.UniqueConstraint("merchant_id", "app", "name", name="uq_connection_merchant_id_app_name"),
)


def upgrade() -> None:
    """To this revision. There is no way back but a copy of the database."""
    if op.get_bind().dialect.name != "sqlite":
        return  # other databases' sequences never go back
    # Recreated as it is, but for AUTOINCREMENT: without it SQLite gives the last one's number again once it is gone.
    with op.batch_alter_table(
        "connection", copy_from=CONNECTION, recreate="always", table_kwargs={"sqlite_autoincrement": True}
    ):
        pass
    # Numbers that are gone already are still named by recipes' versions: they must not come back either.
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'connection'")
    op.execute("""
        INSERT INTO sqlite_sequence (name, seq) VALUES ('connection', max(
            coalesce((SELECT max(id) FROM connection), 0),
            coalesce((
                SELECT max(json_extract(step.value, '$.connection_id'))
                FROM recipe_version, json_each(recipe_version.definition, '$.steps') AS step
            ), 0)
        ))
    """)
