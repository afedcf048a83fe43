"""A buyer's events are found by the buyer: asked before access is taken"""

from alembic import op

revision = "0009_taking"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision. There is no way back but a copy of the database."""
    op.create_index("ix_event_endpoint_id_subject_id", "event", ["endpoint_id", "subject", "id"])
