"""The rows of an app, kept in a file while an export is read: whoever reads slowly holds no moment of the database."""

import logging
import pickle
from collections.abc import Iterator, Sequence
from typing import IO

from ..catalog.transfers import AppRows
from ..errors import NotSupported, StorageFailed
from .columns import INPUTS, TABLES
from .tables import Row, check_readable

_log = logging.getLogger("tenshot.index")
VERSIONS = "model_versions"
_SHARD = 1024
"""Inputs at a time."""
_ROWS = 65_536
"""Rows of another table at a time."""


class SavedRows:
    """All that an export needs of one moment but the pictures and predictors, whose hashes are in it."""

    def __init__(self, file: IO[bytes]) -> None:
        """file: empty, and nobody else's: what is in it is trusted."""
        self._file = file
        # Table -> where its parts begin.
        self._parts: dict[str, list[int]] = {}
        self.app: Row = {}
        self.hashes: set[str] = set()
        """Of the pictures and predictors that it names."""

    def fill(self, rows: AppRows, *, whole: bool) -> Iterator[None]:
        """A part at each step. whole: every table, and vectors; else concepts, and inputs with their `labels`, which
        are concept id -> yes or no.

        Raises StorageFailed, and NotSupported for what no import would take.
        """
        self.app = rows.app
        for shard in rows.inputs(_SHARD, vectors=whole):
            if whole:
                check_readable(INPUTS, shard)
            else:
                labels = rows.labels_of([row["key"] for row in shard])
                shard = [row | {"labels": labels.get(row["key"], {})} for row in shard]
            self._save(INPUTS, shard)
            yield
        for name in TABLES if whole else ("concepts",):
            for part in rows.table(name, _ROWS):
                if name == VERSIONS:
                    part = [_without_large_evaluation(row) for row in part]
                check_readable(name, part)
                self._save(name, part)
                yield

    def parts(self, table: str) -> Iterator[list[Row]]:
        """Its rows, in the order of their making."""
        for start in self._parts.get(table, ()):
            self._file.seek(start)
            yield pickle.load(self._file)

    def _save(self, table: str, part: Sequence[Row]) -> None:
        self.hashes.update(filter(None, (row.get("sha256") or row.get("predictor_sha256") for row in part)))
        self._parts.setdefault(table, []).append(self._file.tell())
        try:
            pickle.dump(part, self._file, pickle.HIGHEST_PROTOCOL)
            self._file.flush()
        except OSError as error:
            raise StorageFailed(f"there is no room for an export: {error.strerror or error}") from error


def _without_large_evaluation(version: Row) -> Row:
    """An evaluation of very many concepts can be made again where the app is imported."""
    try:
        check_readable(VERSIONS, [version])
    except NotSupported as error:
        _log.warning("an evaluation is left out of an export: %s", error)
        return version | dict.fromkeys(("state", "result", "evaluated_at"))
    return version
