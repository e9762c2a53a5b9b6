"""Records in SQL: save, find, page, delete. The truth; everything in memory can be made again from it."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, case, func, select

from . import schema
from .apps import Apps
from .changes import Changes
from .concepts import Concepts
from .database import Database, begin_moment, chunks
from .evaluations import Evaluations
from .feedback import FeedbackLog
from .inputs import Inputs
from .keys import Keys
from .labels import Labels
from .models import Models
from .names import Names
from .spaces import Spaces
from .thresholds import Thresholds
from .transfers import Transfers
from .vectors import Vectors
from .versions import Versions
from .workflows import Workflows


class Catalog:
    """All records of a data folder, by noun. Thread-safe; whoever changes one app's inputs takes turns."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.apps = Apps(database)
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
    def open(cls, url: str) -> "Catalog":
        """An SQLAlchemy URL, `sqlite:///...` or `postgresql+psycopg://...`. Makes and migrates the schema."""
        return cls(Database(url))

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

    def blobs(self) -> dict[str, str]:
        """Hash of every picture and frozen predictor that is named -> who names it, for people."""
        pictures = select(schema.inputs.c.sha256, schema.inputs.c.id).where(schema.inputs.c.sha256.is_not(None))
        versions = schema.model_versions
        frozen = select(versions.c.predictor_sha256, versions.c.id).where(versions.c.predictor_sha256.is_not(None))
        with self._database.read() as connection:
            found = {sha256: f"input {id!r}" for sha256, id in connection.execute(pictures)}
            return found | {sha256: f"version {id!r}" for sha256, id in connection.execute(frozen)}

    def cache_counts(self) -> tuple[int, int]:
        """How often an answer was remembered, and how often SQL was asked."""
        return self._database.cache_counts()

    def input_counts(self) -> dict[tuple[str, str], int]:
        """(app id, status) -> how many inputs."""
        inputs = schema.inputs
        query = select(inputs.c.app_id, inputs.c.status, func.count()).group_by(inputs.c.app_id, inputs.c.status)
        return self._database.cached("input counts", lambda: self._counted(query))

    def label_counts(self) -> dict[tuple[str, str], int]:
        """(app id, `yes` or `no`) -> how many labels."""
        labels = schema.labels
        said = case((labels.c.value, "yes"), else_="no")
        query = select(labels.c.app_id, said, func.count()).group_by(labels.c.app_id, said)
        return self._database.cached("label counts", lambda: self._counted(query))

    def _counted(self, query: Select[Any]) -> dict[tuple[str, str], int]:
        with self._database.read() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def copy_to(self, path: str) -> None:
        """Writes the records of this moment into a new SQLite file. Raises NotSupported for other databases."""
        self._database.copy_to(path)

    def problems(self) -> list[str]:
        """What is wrong with the database. Raises NotSupported for other databases than SQLite."""
        return self._database.problems()

    @property
    def is_local(self) -> bool:
        """Whether small reads wait for no other machine: the database is a file, and what was read is remembered."""
        return self._database.dialect == "sqlite"

    def begin_moment(self) -> None:
        """From here on this context (a request) sees what others had committed by now, and asks SQL less often."""
        begin_moment()

    def close(self) -> None:
        self._database.close()
