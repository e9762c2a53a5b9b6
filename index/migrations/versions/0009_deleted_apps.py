"""What is deleted in steps: apps, and vectors of base workflows that apps don't see with any more."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("apps", sa.Column("deleted", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("apps", sa.Column("unseen", sa.Text(), nullable=True))


def downgrade() -> None:
    raise RuntimeError("tenshot's schema goes forward only: restore a backup")
