"""What is given still, though the event that gave it is forgotten

It begins empty: what gave is noted as it is forgotten, and what was forgotten before is not known any more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision. There is no way back but a copy of the database."""
    op.create_table(
        "gift",
        sa.Column("endpoint_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("paid", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], name=op.f("fk_gift_endpoint_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("endpoint_id", "name", "connection_id", "holder", name=op.f("pk_gift")),
    )
    op.create_index("ix_gift_endpoint_id_holder", "gift", ["endpoint_id", "holder"])
