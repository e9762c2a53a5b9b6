"""The tables. A change here needs a migration too (a test compares the two)."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
# SQLite numbers rows by itself only with this exact type.
Key = BigInteger().with_variant(Integer(), "sqlite")


class UtcTimestamp(TypeDecorator[datetime]):
    """A point in time: always UTC and aware, also in SQLite, which knows no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        timestamp: datetime = value
        return timestamp.replace(tzinfo=UTC) if timestamp.tzinfo is None else timestamp.astimezone(UTC)


def _app(**options: Any) -> Column[str]:
    return Column("app_id", Text, ForeignKey("apps.id", ondelete="CASCADE"), nullable=False, **options)


def _concept(**options: Any) -> Column[int]:
    # With an index, since deleting a concept looks for all rows that refer to it.
    key = ForeignKey("concepts.key", ondelete="CASCADE")
    return Column("concept_key", Key, key, autoincrement=False, index=True, **options)


def _attempts() -> tuple[Column[int], Column[float]]:
    """How often work on a row failed, and when it may be tried again, in seconds since 1970."""
    # Numbers, since a zero takes no byte in SQLite.
    return (
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("due", Float, nullable=False, server_default="0"),
    )


_PENDING = text("status = 'pending'")

apps = Table(
    "apps",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("recipe", Json, nullable=False),
    Column("dim", Integer, nullable=False),
    Column("created_at", UtcTimestamp, nullable=False),
    Column("seq", BigInteger, nullable=False, default=0),
    Column("teach_from_feedback", Boolean, nullable=False, server_default=false()),
    Column("epoch", Text, nullable=False, server_default=""),
    # The SHA-256 of the manifest that it was imported from; NULL: it was created here.
    Column("imported", Text),
    # An import is filling it: it is hidden.
    Column("staged", Boolean, nullable=False, server_default=false()),
    # Its rows are being deleted: it is hidden too.
    Column("deleted", Boolean, nullable=False, server_default=false()),
    # A former base workflow whose vectors are still to be deleted.
    Column("unseen", Text),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("app_id", Text, ForeignKey("apps.id", ondelete="CASCADE"), index=True),
    Column("description", Text, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("created_at", UtcTimestamp, nullable=False),
    # Never written: each use would be a commit, which empties the read cache.
    Column("last_used_at", UtcTimestamp),
    Column("revoked_at", UtcTimestamp),
)

inputs = Table(
    "inputs",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=True),
    _app(),
    Column("id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_reason", Text),
    Column("failure", Text),
    Column("url", Text),
    Column("sha256", Text, index=True),
    Column("media_type", Text),
    Column("crop", Json),
    Column("regions", Json),
    Column("metadata", Json),
    Column("longitude", Float),
    Column("latitude", Float),
    Column("created_at", UtcTimestamp, nullable=False),
    Column("modified_at", UtcTimestamp, nullable=False),
    *_attempts(),
    UniqueConstraint("app_id", "id"),
    Index(None, "app_id", "key"),
    Index(None, "app_id", "seq"),
    Index(None, "app_id", "url"),
    Index(None, "status", "key"),
    # Only of inputs that wait for their pictures.
    Index(None, "app_id", "due", "key", sqlite_where=_PENDING, postgresql_where=_PENDING),
    # A key is never reused, so that what is remembered by key can't come to mean another input.
    sqlite_autoincrement=True,
)

vectors = Table(
    "vectors",
    metadata,
    Column("input_key", Key, ForeignKey("inputs.key", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("workflow", Text, primary_key=True),
    Column("vector", LargeBinary, nullable=False),
)

# Deleted inputs, until no snapshot of a collection can contain them.
tombstones = Table(
    "tombstones",
    metadata,
    _app(primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("input_key", BigInteger, primary_key=True, autoincrement=False),
)

concepts = Table(
    "concepts",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=True),
    _app(),
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", UtcTimestamp, nullable=False),
    UniqueConstraint("app_id", "id"),
)

labels = Table(
    "labels",
    metadata,
    Column("input_key", Key, ForeignKey("inputs.key", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    _concept(primary_key=True),
    _app(),
    Column("value", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("created_at", UtcTimestamp, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Index(None, "app_id", "concept_key"),
)

label_events = Table(
    "label_events",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=True),
    _app(),
    Column("seq", BigInteger, nullable=False),
    Column("input_key", BigInteger, nullable=False),
    Column("concept_key", BigInteger, nullable=False),
    # NULL: the label was removed.
    Column("value", Boolean),
    Column("source", Text, nullable=False),
    Column("created_at", UtcTimestamp, nullable=False),
    Index(None, "app_id", "seq"),
)

models = Table(
    "models",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=True),
    _app(),
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("mutually_exclusive", Boolean, nullable=False),
    Column("closed_environment", Boolean, nullable=False),
    Column("settings", Json, nullable=False),
    Column("created_at", UtcTimestamp, nullable=False),
    UniqueConstraint("app_id", "id"),
)

model_concepts = Table(
    "model_concepts",
    metadata,
    Column("model_key", Key, ForeignKey("models.key", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _concept(nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=True),
    Column("model_key", Key, ForeignKey("models.key", ondelete="CASCADE"), nullable=False, index=True),
    Column("id", Text, nullable=False, unique=True),
    Column("frozen", Boolean, nullable=False),
    Column("label_seq", BigInteger, nullable=False),
    Column("predictor_sha256", Text, index=True),
    Column("concept_ids", Json, nullable=False),
    Column("input_count", Integer, nullable=False),
    Column("created_at", UtcTimestamp, nullable=False),
    # Concept id -> threshold at the time of freezing; NULL for none.
    Column("thresholds", Json),
)

thresholds = Table(
    "thresholds",
    metadata,
    _app(primary_key=True),
    # By id, since the built-in model has no row.
    Column("model_id", Text, primary_key=True),
    _concept(primary_key=True),
    Column("value", Float, nullable=False),
)

spaces = Table(
    "spaces",
    metadata,
    _app(primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("power", Float, nullable=False),
    Column("mean", LargeBinary, nullable=False),
    Column("background", LargeBinary, nullable=False),
)

names = Table(
    "names",
    metadata,
    _app(primary_key=True),
    Column("workflow", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("direction", LargeBinary, nullable=False),
)

workflow_changes = Table(
    "workflow_changes",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=True),
    _app(index=True),
    Column("old_recipe", Json, nullable=False),
    Column("recipe", Json, nullable=False),
    Column("state", Text, nullable=False),
    Column("failure", Text),
    Column("created_at", UtcTimestamp, nullable=False),
    Column("finished_at", UtcTimestamp),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column(
        "version_key", Key, ForeignKey("model_versions.key", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("state", Text, nullable=False),
    Column("result", Json),
    Column("created_at", UtcTimestamp, nullable=False),
    *_attempts(),
)

workflows = Table(
    "workflows",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=True),
    _app(),
    Column("id", Text, nullable=False),
    # A list of node id, model id and version id, in order.
    Column("nodes", Json, nullable=False),
    Column("created_at", UtcTimestamp, nullable=False),
    UniqueConstraint("app_id", "id"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=True),
    _app(index=True),
    # What it is about: a model's outputs or a search's hits.
    Column("kind", Text, nullable=False),
    Column("about", Json, nullable=False),
    Column("body", Json, nullable=False),
    Column("created_at", UtcTimestamp, nullable=False),
)
