"""Apps that an import is still filling, and which apps came by an import."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("apps", sa.Column("imported", sa.Text(), nullable=True))
    op.add_column("apps", sa.Column("staged", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    raise RuntimeError("tenshot's schema goes forward only: restore a backup")
