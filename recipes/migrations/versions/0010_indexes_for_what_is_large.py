"""Indexes for what is large: a buyer's events, the counts of a store's week, keys that have lapsed"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision. There is no way back but a copy of the database."""
    op.create_index("ix_event_merchant_id_subject_id", "event", ["merchant_id", "subject", "id"])
    op.create_index("ix_event_endpoint_id_received_at_id", "event", ["endpoint_id", "received_at", "id"])
    op.drop_index("ix_event_endpoint_id_received_at", "event")
    op.create_index("ix_run_merchant_id_event_id_state", "run", ["merchant_id", "event_id", "state"])
    lapsing = sa.text("until IS NOT NULL")
    op.create_index(
        "ix_identity_key_lapsing",
        "identity_key",
        ["until", "endpoint_id", "key"],
        sqlite_where=lapsing,
        postgresql_where=lapsing,
    )
