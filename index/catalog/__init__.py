"""Records in SQL: save, find, page, delete. The truth; everything in memory can be made again from it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import LargeBinary, Select, case, cast, func, inspect, or_, select

from . import schema
from .apps import HIDDEN, Apps
from .concept_texts import Names
from .concepts import Concepts
from .database import Database, chunks, misread, of_others
from .deletions import Deletions
from .evaluations import Evaluations
from .feedback import FeedbackLog
from .inputs import Inputs
from .keys import Keys
from .labels import Labels
from .models import Models
from .read_cache import begin_moment
from .spaces import Spaces
from .thresholds import Thresholds
from .transfers import Transfers
from .vectors import Vectors
from .versions import Versions
from .workflow_changes import Changes
from .workflows import Workflows

__all__ = ["Catalog", "misread", "of_others"]


class Catalog:
    """All records of a data folder, by noun. Thread-safe; whoever changes one app's inputs takes turns."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.apps = Apps(database)
        self.deletions = Deletions(database)
        self.keys = Keys(database)
        self.inputs = Inputs(database)
        self.vectors = Vectors(database)
        self.concepts = Concepts(database)
        self.labels = Labels(database)
        self.models = Models(database)
        self.names = Names(database)
        self.versions = Versions(database)
        self.thresholds = Thresholds(database)
        self.spaces = Spaces(database)
        self.workflows = Workflows(database)
        self.changes = Changes(database)
        self.evaluations = Evaluations(database)
        self.feedback = FeedbackLog(database)
        self.transfers = Transfers(database)

    @classmethod
    def open(cls, place: str | Path, *, make: bool = True) -> "Catalog":
        """A file of SQLite's as a Path, or an SQLAlchemy URL, `sqlite:///...` or `postgresql+psycopg://...`.

        Migrates the schema, and makes one where there is none; else raises NoDatabase if `make` is False.
        """
        return cls(Database(place, make=make))

    def __enter__(self) -> "Catalog":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def unused_blobs(self, hashes: Iterable[str]) -> list[str]:
        """Those of the hashes that no picture and no model version names."""
        left = set(hashes)
        with self._database.read() as connection:
            for column in (schema.inputs.c.sha256, schema.model_versions.c.predictor_sha256):
                for chunk in chunks(sorted(left)):
                    left -= set(connection.scalars(select(column).where(column.in_(chunk))))
        return sorted(left)

    def blobs(self) -> set[str]:
        """Hashes of every picture and frozen predictor that is named."""
        with self._database.read() as connection:
            return {
                sha256
                for column in (schema.inputs.c.sha256, schema.model_versions.c.predictor_sha256)
                for sha256 in connection.scalars(select(column).where(column.is_not(None)))
            }

    def who_names(self, hashes: Iterable[str]) -> dict[str, list[str]]:
        """Hash -> every input and version that names it, for people, with its app: no two are called alike."""
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
        """How often an answer was remembered, and how often SQL was asked."""
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
        said = case((labels.c.value, "yes"), else_="no")
        query = (
            select(labels.c.app_id, said, func.count())
            .where(labels.c.app_id.not_in(HIDDEN))
            .group_by(labels.c.app_id, said)
        )
        return dict(self._database.cached("label counts", lambda: self._counted(query)))

    def _counted(self, query: Select[Any]) -> dict[tuple[str, str], int]:
        with self._database.read() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def copy_to(self, path: Path) -> None:
        """Writes the records of this moment into a new SQLite file. Raises NotSupported for other databases."""
        self._database.copy_to(path)

    def problems(self) -> list[str]:
        """What is wrong with the database. Raises NotSupported for other databases than SQLite."""
        return self._database.problems() + self._lacking() + self._strange_names()

    def _lacking(self) -> list[str]:
        """Tables and columns that should be there."""
        with self._database.read() as connection:
            there = inspect(connection)
            columns = {name: {column["name"] for column in there.get_columns(name)} for name in there.get_table_names()}
        return [
            f"{table.name} lacks {', '.join(sorted(lacking))}"
            for table in schema.metadata.sorted_tables
            if (lacking := set(table.c.keys()) - columns.get(table.name, set()))
        ]

    def _strange_names(self) -> list[str]:
        """Identifiers become paths: which of them tenshot can't have written. SQLite takes any value in any column."""
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
                        # Twice, for as text it ends at the first NUL.
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
        """Whether small reads wait for no other machine: the database is a file, and what was read is remembered."""
        return self._database.dialect == "sqlite"

    def begin_moment(self) -> None:
        """From here on this context (a request) sees what others had committed by now, and asks SQL less often."""
        begin_moment()

    def close(self) -> None:
        self._database.close()
