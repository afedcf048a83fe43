"""Numbers of events, runs and what belongs to them, past two billion"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NUMBERED = ("event", "run", "attempt", "ledger_row")
REFERRING = (("identity_key", "event_id"), ("run", "event_id"), ("attempt", "run_id"), ("off_period", "next_event_id"))


def upgrade() -> None:
    """To this revision. There is no way back but a copy of the database."""
    if op.get_bind().dialect.name != "postgresql":
        return  # SQLite's INTEGER is as large already
    for table in NUMBERED:
        op.alter_column(table, "id", existing_type=sa.Integer(), type_=sa.BigInteger())
        op.execute(f"ALTER SEQUENCE {table}_id_seq AS bigint")
    for table, column in REFERRING:
        op.alter_column(table, column, existing_type=sa.Integer(), type_=sa.BigInteger())
