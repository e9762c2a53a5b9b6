"""Thresholds of concepts, and those that a version was frozen with."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON_TYPE = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("thresholds", JSON_TYPE, nullable=True))
    op.create_table(
        "thresholds",
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("concept_key", KEY, autoincrement=False, nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_thresholds_app_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["concept_key"], ["concepts.key"], name=op.f("fk_thresholds_concept_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("app_id", "model_id", "concept_key", name=op.f("pk_thresholds")),
    )


def downgrade() -> None:
    raise RuntimeError("tenshot's schema goes forward only: restore a backup")
