"""Records in SQL: save, find, page, delete. SQL is the truth; everything in memory can be rebuilt from it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import LargeBinary, Select, case, cast, func, inspect, or_, select

from . import schema
from .api_keys import ApiKeys
from .apps import HIDDEN, Apps
from .concept_texts import ConceptTexts
from .concepts import Concepts
from .database import Database, chunks, legacy_path, untrusted_database
from .deletions import Deletions
from .evaluations import Evaluations
from .feedback import FeedbackLog
from .inputs import Inputs
from .labels import Labels
from .models import Models
from .read_cache import begin_read_snapshot
from .space_snapshots import SpaceSnapshots
from .thresholds import Thresholds
from .transfers import Transfers
from .vectors import Vectors
from .versions import Versions
from .workflow_changes import WorkflowChanges
from .workflows import Workflows

__all__ = ["Catalog", "legacy_path", "untrusted_database"]


class Catalog:
    """All records of a data folder, by noun. Thread-safe; changes of one app's inputs run one after another."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.apps = Apps(database)
        self.deletions = Deletions(database)
        self.api_keys = ApiKeys(database)
        self.inputs = Inputs(database)
        self.vectors = Vectors(database)
        self.concepts = Concepts(database)
        self.labels = Labels(database)
        self.models = Models(database)
        self.concept_texts = ConceptTexts(database)
        self.versions = Versions(database)
        self.thresholds = Thresholds(database)
        self.space_snapshots = SpaceSnapshots(database)
        self.workflows = Workflows(database)
        self.workflow_changes = WorkflowChanges(database)
        self.evaluations = Evaluations(database)
        self.feedback = FeedbackLog(database)
        self.transfers = Transfers(database)

    @classmethod
    def open(cls, location: str | Path, *, make: bool = True) -> "Catalog":
        """location: an SQLite file as a Path, or an SQLAlchemy URL, `sqlite:///...` or `postgresql+psycopg://...`.

        Migrates the schema. Where there is none it makes one, or raises NoDatabase if `make` is False.
        """
        return cls(Database(location, make=make))

    def __enter__(self) -> "Catalog":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def unused_blobs(self, hashes: Iterable[str]) -> list[str]:
        """The hashes among these that no input and no model version names."""
        unnamed = set(hashes)
        with self._database.read() as connection:
            for column in (schema.inputs.c.sha256, schema.model_versions.c.predictor_sha256):
                for chunk in chunks(sorted(unnamed)):
                    unnamed -= set(connection.scalars(select(column).where(column.in_(chunk))))
        return sorted(unnamed)

    def blobs(self) -> set[str]:
        """Hashes of all pictures and frozen predictors that some record names."""
        with self._database.read() as connection:
            return {
                sha256
                for column in (schema.inputs.c.sha256, schema.model_versions.c.predictor_sha256)
                for sha256 in connection.scalars(select(column).where(column.is_not(None)))
            }

    def references(self, hashes: Iterable[str]) -> dict[str, list[str]]:
        """Hash -> descriptions, for people, of every input and version that names it; each description is unique."""
        inputs, versions = schema.inputs, schema.model_versions
        app = schema.apps.c.name
        queries = (
            ("input", inputs.c.sha256, select(inputs.c.sha256, inputs.c.id, app).join_from(inputs, schema.apps)),
            (
                "version",
                versions.c.predictor_sha256,
                select(versions.c.predictor_sha256, versions.c.id, app)
                .join_from(versions, schema.models)
                .join(schema.apps),
            ),
        )
        names: dict[str, list[str]] = {}
        with self._database.read() as connection:
            for chunk in chunks(list(hashes)):
                for kind, column, query in queries:
                    for sha256, id, name in connection.execute(query.where(column.in_(chunk))):
                        names.setdefault(sha256, []).append(f"{kind} {id!r} of app {name!r}")
        return names

    def cache_counts(self) -> tuple[int, int]:
        """Cache hits and misses: how often an answer was remembered, and how often SQL was asked."""
        return self._database.cache_counts()

    def input_counts(self) -> dict[tuple[str, str], int]:
        """(app id, status) -> how many inputs."""
        inputs = schema.inputs
        query = (
            select(inputs.c.app_id, inputs.c.status, func.count())
            .where(inputs.c.app_id.not_in(HIDDEN))
            .group_by(inputs.c.app_id, inputs.c.status)
        )
        return dict(self._database.cached("input counts", lambda: self._counted(query)))

    def label_counts(self) -> dict[tuple[str, str], int]:
        """(app id, `yes` or `no`) -> how many labels."""
        labels = schema.labels
        answer = case((labels.c.value, "yes"), else_="no")
        query = (
            select(labels.c.app_id, answer, func.count())
            .where(labels.c.app_id.not_in(HIDDEN))
            .group_by(labels.c.app_id, answer)
        )
        return dict(self._database.cached("label counts", lambda: self._counted(query)))

    def _counted(self, query: Select[Any]) -> dict[tuple[str, str], int]:
        with self._database.read() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def copy_to(self, path: Path) -> None:
        """Writes a snapshot of all records into a new SQLite file. Raises NotSupported for other databases."""
        self._database.copy_to(path)

    def problems(self) -> list[str]:
        """What is wrong with the database. Raises NotSupported for other databases than SQLite."""
        return self._database.problems() + self._missing_columns() + self._foreign_identifiers()

    def _missing_columns(self) -> list[str]:
        """The columns that each table should have and lacks."""
        with self._database.read() as connection:
            inspector = inspect(connection)
            columns = {
                name: {column["name"] for column in inspector.get_columns(name)} for name in inspector.get_table_names()
            }
        return [
            f"{table.name} lacks {', '.join(sorted(missing))}"
            for table in schema.metadata.sorted_tables
            if (missing := set(table.c.keys()) - columns.get(table.name, set()))
        ]

    def _foreign_identifiers(self) -> list[str]:
        """Identifiers that tenshot can't have written. They become paths, and SQLite takes any value in any column."""
        problems = []
        with self._database.read() as connection:
            for column, digits in (
                (schema.apps.c.id, 32),
                (schema.inputs.c.sha256, 64),
                (schema.model_versions.c.predictor_sha256, 64),
            ):
                query = select(func.substr(func.quote(column), 1, 100)).where(
                    column.is_not(None),
                    or_(
                        func.typeof(column) != "text",
                        # Twice: as text a value ends at its first NUL, as bytes it does not.
                        func.length(column) != digits,
                        func.length(cast(column, LargeBinary)) != digits,
                        column.op("GLOB")("*[^0-9a-f]*"),
                    ),
                )
                strange = connection.scalars(query.limit(1)).first()
                if strange is not None:
                    problems.append(f"{column.table.name}.{column.name} is {strange}, which tenshot never wrote")
        return problems

    @property
    def is_local(self) -> bool:
        """Whether small reads wait for no other machine: the database is a file, and reads are cached."""
        return self._database.dialect == "sqlite"

    def begin_read_snapshot(self) -> None:
        """From now on this context (a request) may read the state of this moment, and so asks SQL less often."""
        begin_read_snapshot()

    def close(self) -> None:
        self._database.close()
