"""Spools the rows of an app to a file while an export is read, so that a slow reader holds no database snapshot."""

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


class RowSpool:
    """All rows of a snapshot that an export needs; pictures and predictors are named by their hashes."""

    def __init__(self, file: IO[bytes]) -> None:
        """file: an empty file that no other process can write, since its content is unpickled."""
        self._file = file
        # Table -> where its parts begin.
        self._parts: dict[str, list[int]] = {}
        self.app: Row = {}
        self.hashes: set[str] = set()
        """Of the pictures and predictors that the rows name."""

    def fill(self, rows: AppRows, *, whole: bool) -> Iterator[None]:
        """Saves a part at each step. whole: every table, and vectors; else only concepts, and inputs with `labels`,
        which are concept id -> yes or no.

        Raises StorageFailed, and NotSupported for a value that no import would accept.
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
        """The rows of a table, oldest first."""
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
    """The version without its evaluation if that is too large: it can be repeated where the app is imported."""
    try:
        check_readable(VERSIONS, [version])
    except NotSupported as error:
        _log.warning("an evaluation is left out of an export: %s", error)
        return version | dict.fromkeys(("state", "result", "evaluated_at"))
    return version
