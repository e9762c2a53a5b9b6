"""What the whole wire needs: regions, failures, workflows, feedback, stored evaluations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON_TYPE = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("apps", sa.Column("teach_from_feedback", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("inputs", sa.Column("failure", sa.Text(), nullable=True))
    op.add_column("inputs", sa.Column("regions", JSON_TYPE, nullable=True))
    op.create_index(op.f("ix_inputs_status_key"), "inputs", ["status", "key"])
    op.create_table(
        "evaluations",
        sa.Column("version_key", KEY, autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("result", JSON_TYPE, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_key"], ["model_versions.key"], name=op.f("fk_evaluations_version_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("version_key", name=op.f("pk_evaluations")),
    )
    op.create_table(
        "workflows",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("nodes", JSON_TYPE, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_workflows_app_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_workflows")),
        sa.UniqueConstraint("app_id", "id", name=op.f("uq_workflows_app_id_id")),
    )
    op.create_table(
        "feedback",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", JSON_TYPE, nullable=False),
        sa.Column("body", JSON_TYPE, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_feedback_app_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_feedback")),
    )
    op.create_index(op.f("ix_feedback_app_id"), "feedback", ["app_id"])
