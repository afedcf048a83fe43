"""Samples are marked"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# As they are before: SQLite does not tell of CHECK constraints when a table is read back.
ENDPOINT = sa.Table(
    "endpoint",
    sa.MetaData(),
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("merchant_id", sa.Integer(), nullable=False),
    sa.Column("mode", sa.String(), nullable=False),
    sa.Column("token", sa.String(), nullable=False),
    sa.Column("secret", sa.LargeBinary(), nullable=True),
    sa.Column("secret_is_ours", sa.Boolean(), nullable=False),
    sa.Column("previous_secret", sa.LargeBinary(), nullable=True),
    sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("mode IN ('live', 'test')", name="ck_endpoint_mode"),
    sa.ForeignKeyConstraint(["merchant_id"], ["merchant.id"], name="fk_endpoint_merchant_id", ondelete="CASCADE"),
    sa.PrimaryKeyConstraint("id", name="pk_endpoint"),
    sa.UniqueConstraint("merchant_id", "mode", name="uq_endpoint_merchant_id_mode"),
    sa.UniqueConstraint("token", name="uq_endpoint_token"),
)
EVENT = sa.Table(
    "event",
    sa.MetaData(),
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("merchant_id", sa.Integer(), nullable=False),
    sa.Column("endpoint_id", sa.Integer(), nullable=False),
    sa.Column("mode", sa.String(), nullable=False),
    sa.Column("type", sa.String(), nullable=False),
    sa.Column("origin", sa.String(), nullable=False),
    sa.Column("standing", sa.String(), nullable=False),
    sa.Column("standing_reason", sa.String(), nullable=False),
    sa.Column("subject", sa.String(), nullable=True),
    sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    sa.Column("fanned_out_at", sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("mode IN ('live', 'test')", name="ck_event_mode"),
    sa.CheckConstraint("origin IN ('webhook', 'reconciled')", name="ck_event_origin"),
    sa.CheckConstraint("standing IN ('ready', 'unknown', 'unreadable', 'suspicious')", name="ck_event_standing"),
    sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], name="fk_event_endpoint_id", ondelete="CASCADE"),
    sa.ForeignKeyConstraint(["merchant_id"], ["merchant.id"], name="fk_event_merchant_id", ondelete="CASCADE"),
    sa.PrimaryKeyConstraint("id", name="pk_event"),
    sa.Index("ix_event_endpoint_id_received_at", "endpoint_id", "received_at"),
    sa.Index("ix_event_merchant_id_id", "merchant_id", "id"),
    sa.Index("ix_event_merchant_id_type_id", "merchant_id", "type", "id"),
    sa.Index("ix_event_suspicious", "merchant_id", "id", sqlite_where=sa.text("standing = 'suspicious'")),
    sa.Index("ix_event_to_fan_out", "id", sqlite_where=sa.text("fanned_out_at IS NULL")),
    sqlite_autoincrement=True,
)


def upgrade() -> None:
    """To this revision. There is no way back but a copy of the database."""
    with op.batch_alter_table("event", copy_from=EVENT, table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.drop_constraint(op.f("ck_event_origin"), type_="check")
        batch_op.create_check_constraint(op.f("ck_event_origin"), "origin IN ('webhook', 'reconciled', 'sample')")
    op.create_index(
        "ix_event_sample",
        "event",
        ["merchant_id", "received_at"],
        sqlite_where=sa.text("origin = 'sample'"),
        postgresql_where=sa.text("origin = 'sample'"),
    )
    # A secret of our own signed nothing but samples. From now on they have one that is stored nowhere.
    op.execute("UPDATE event SET origin = 'sample' WHERE endpoint_id IN (SELECT id FROM endpoint WHERE secret_is_ours)")
    op.execute("UPDATE endpoint SET secret = NULL WHERE secret_is_ours")
    with op.batch_alter_table("endpoint", copy_from=ENDPOINT) as batch_op:
        batch_op.drop_column("secret_is_ours")
