"""What snapshots of collections are brought up to date by: changes in order, tombstones, the database's epoch."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("apps", sa.Column("epoch", sa.Text(), server_default="", nullable=False))
    op.create_index(op.f("ix_inputs_app_id_seq"), "inputs", ["app_id", "seq"])
    op.create_table(
        "tombstones",
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("input_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_tombstones_app_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("app_id", "seq", "input_key", name=op.f("pk_tombstones")),
    )


def downgrade() -> None:
    raise RuntimeError("tenshot's schema goes forward only: restore a backup")
