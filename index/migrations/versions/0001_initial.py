"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON_TYPE = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "apps",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("recipe", JSON_TYPE, nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_apps")),
        sa.UniqueConstraint("name", name=op.f("uq_apps_name")),
    )
    op.create_table(
        "concepts",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_concepts_app_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_concepts")),
        sa.UniqueConstraint("app_id", "id", name=op.f("uq_concepts_app_id_id")),
    )
    op.create_table(
        "inputs",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("crop", JSON_TYPE, nullable=True),
        sa.Column("metadata", JSON_TYPE, nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_inputs_app_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_inputs")),
        sa.UniqueConstraint("app_id", "id", name=op.f("uq_inputs_app_id_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_inputs_app_id_key"), "inputs", ["app_id", "key"], unique=False)
    op.create_index(op.f("ix_inputs_app_id_url"), "inputs", ["app_id", "url"], unique=False)
    op.create_index(op.f("ix_inputs_sha256"), "inputs", ["sha256"], unique=False)
    op.create_table(
        "keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("scopes", JSON_TYPE, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_keys_app_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_keys_hash")),
    )
    op.create_index(op.f("ix_keys_app_id"), "keys", ["app_id"], unique=False)
    op.create_table(
        "label_events",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("input_key", sa.BigInteger(), nullable=False),
        sa.Column("concept_key", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Boolean(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_label_events_app_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_label_events")),
    )
    op.create_index(op.f("ix_label_events_app_id_seq"), "label_events", ["app_id", "seq"], unique=False)
    op.create_table(
        "models",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mutually_exclusive", sa.Boolean(), nullable=False),
        sa.Column("closed_environment", sa.Boolean(), nullable=False),
        sa.Column("settings", JSON_TYPE, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_models_app_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_models")),
        sa.UniqueConstraint("app_id", "id", name=op.f("uq_models_app_id_id")),
    )
    op.create_table(
        "spaces",
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("power", sa.Float(), nullable=False),
        sa.Column("mean", sa.LargeBinary(), nullable=False),
        sa.Column("background", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_spaces_app_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("app_id", name=op.f("pk_spaces")),
    )
    op.create_table(
        "labels",
        sa.Column("input_key", KEY, autoincrement=False, nullable=False),
        sa.Column("concept_key", KEY, autoincrement=False, nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("value", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_labels_app_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["concept_key"], ["concepts.key"], name=op.f("fk_labels_concept_key"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["input_key"], ["inputs.key"], name=op.f("fk_labels_input_key"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("input_key", "concept_key", name=op.f("pk_labels")),
    )
    op.create_index(op.f("ix_labels_app_id_concept_key"), "labels", ["app_id", "concept_key"], unique=False)
    op.create_table(
        "model_concepts",
        sa.Column("model_key", KEY, autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("concept_key", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["concept_key"], ["concepts.key"], name=op.f("fk_model_concepts_concept_key"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["model_key"], ["models.key"], name=op.f("fk_model_concepts_model_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_key", "position", name=op.f("pk_model_concepts")),
    )
    op.create_table(
        "model_versions",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("model_key", KEY, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("frozen", sa.Boolean(), nullable=False),
        sa.Column("label_seq", sa.BigInteger(), nullable=False),
        sa.Column("predictor_sha256", sa.Text(), nullable=True),
        sa.Column("concept_ids", JSON_TYPE, nullable=False),
        sa.Column("input_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_key"], ["models.key"], name=op.f("fk_model_versions_model_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_model_versions")),
        sa.UniqueConstraint("id", name=op.f("uq_model_versions_id")),
    )
    op.create_index(op.f("ix_model_versions_model_key"), "model_versions", ["model_key"], unique=False)
    op.create_index(op.f("ix_model_versions_predictor_sha256"), "model_versions", ["predictor_sha256"], unique=False)
    op.create_table(
        "vectors",
        sa.Column("input_key", KEY, autoincrement=False, nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["input_key"], ["inputs.key"], name=op.f("fk_vectors_input_key"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("input_key", "workflow", name=op.f("pk_vectors")),
    )


def downgrade() -> None:
    raise RuntimeError("tenshot's schema goes forward only: restore a backup")
