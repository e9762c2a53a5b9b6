"""Indexes behind foreign keys: without them each deleted concept reads all labels of all apps."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("labels", "model_concepts", "thresholds"):
        op.create_index(op.f(f"ix_{table}_concept_key"), table, ["concept_key"])


def downgrade() -> None:
    raise RuntimeError("tenshot's schema goes forward only: restore a backup")
