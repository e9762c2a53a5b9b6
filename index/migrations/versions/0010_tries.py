"""Work that failed is tried again, also after a restart: how often it failed, and when it is due."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("inputs", "evaluations"):
        op.add_column(table, sa.Column("attempts", sa.Integer(), server_default="0", nullable=False))
        op.add_column(table, sa.Column("due", sa.Float(), server_default="0", nullable=False))
    pending = sa.text("status = 'pending'")
    name = op.f("ix_inputs_app_id_due_key")
    op.create_index(name, "inputs", ["app_id", "due", "key"], sqlite_where=pending, postgresql_where=pending)


def downgrade() -> None:
    raise RuntimeError("tenshot's schema goes forward only: restore a backup")
