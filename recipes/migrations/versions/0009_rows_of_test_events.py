"""Rows that only test events wrote are marked"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision. There is no way back but a copy of the database."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    # What wrote the rows that are there is not known any more.
    marked: sa.Column[bool] = sa.Column("is_test", sa.Boolean(), nullable=False, server_default=sa.false())
    with op.batch_alter_table("ledger_row", recreate="always" if is_sqlite else "never") as batch_op:
        batch_op.add_column(marked)
    with op.batch_alter_table("ledger_row", recreate="always" if is_sqlite else "never") as batch_op:
        batch_op.alter_column("is_test", server_default=None, existing_type=sa.Boolean(), existing_nullable=False)
