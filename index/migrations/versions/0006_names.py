"""What the names of concepts say under a base workflow."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "names",
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("direction", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_names_app_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("app_id", "workflow", "name", name=op.f("pk_names")),
    )


def downgrade() -> None:
    raise RuntimeError("tenshot's schema goes forward only: restore a backup")
