"""Deletion of apps: hidden at once, then deleted in transactions so short that others write in between."""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, Integer, Table, bindparam, delete, select, tuple_, update
from sqlalchemy.sql.dml import UpdateBase

from ..errors import AppNotFound
from . import schema
from .database import Database

_apps, _inputs, _models, _versions = schema.apps, schema.inputs, schema.models, schema.model_versions
_FILLED: Mapping[Table, int] = {
    schema.label_events: 4_000,
    schema.labels: 4_000,
    schema.thresholds: 4_000,
    schema.workflows: 1_000,
    schema.workflow_changes: 1_000,
    schema.feedback: 1_000,
    schema.spaces: 10,
    schema.model_concepts: 4_000,
    _versions: 100,
    _models: 1_000,
    schema.concepts: 1_000,
}
"""Tables that an import fills beside inputs, referring tables first -> rows that one transaction deletes at most."""
_ALL = {**_FILLED, schema.names: 1_000, schema.tombstones: 4_000, _inputs: 500}
_BLOBS = {_inputs: _inputs.c.sha256, _versions: _versions.c.predictor_sha256}


def _delete_rows(table: Table) -> UpdateBase:
    """The statement that deletes `most` rows of the app `app`, and returns the hashes of their blobs, if any."""
    keys = list(table.primary_key)
    own_models = select(_models.c.key).where(_models.c.app_id == bindparam("app"))
    own = table.c.app_id == bindparam("app") if "app_id" in table.c else table.c.model_key.in_(own_models)
    query = delete(table).where(tuple_(*keys).in_(select(*keys).where(own).limit(bindparam("most", type_=Integer))))
    return query.returning(_BLOBS[table]) if table in _BLOBS else query


# Built once: building them takes longer than deleting a small app.
_DELETE_ROWS = {table: _delete_rows(table) for table in _ALL}


class Deletions:
    def __init__(self, database: Database) -> None:
        self._database = database

    def delete(self, app_id: str) -> Iterator[set[str]]:
        """Deletes an app with all its records, one step per iteration; yields the hashes of blobs that the rows named.

        The first step hides the app, frees its name and deletes its API keys. An interrupted deletion is continued.
        Raises AppNotFound.
        """
        # No other app has this name: names have no line ends, and the name of a staged import begins with another one.
        values = {"deleted": True, "name": f"\n{app_id}"}
        with self._database.write() as connection:
            if not connection.execute(update(_apps).where(_apps.c.id == app_id).values(values)).rowcount:
                raise AppNotFound(f"no app {app_id!r}")
            connection.execute(delete(schema.keys).where(schema.keys.c.app_id == app_id))
            hashes, more = _step(connection, app_id)
        yield hashes
        while more:
            with self._database.write() as connection:
                hashes, more = _step(connection, app_id)
            yield hashes

    def unfinished(self) -> list[str]:
        """Ids of the apps whose deletion was interrupted."""
        with self._database.read() as connection:
            return list(connection.scalars(select(_apps.c.id).where(_apps.c.deleted)))


def clear_import(database: Database, app_id: str) -> None:
    """Deletes all that an import has filled except its inputs, in short transactions."""
    more = True
    while more:
        with database.write() as connection:
            _, more = _delete_some(connection, app_id, _FILLED)


def _step(connection: Connection, app_id: str) -> tuple[set[str], bool]:
    """Deletes some rows of a hidden app, last its own; the hashes of their blobs, and whether rows remain."""
    hashes, more = _delete_some(connection, app_id, _ALL)
    if not more:
        connection.execute(delete(_apps).where(_apps.c.id == app_id))
    return hashes, more


def _delete_some(connection: Connection, app_id: str, tables: Mapping[Table, int]) -> tuple[set[str], bool]:
    """Deletes as many rows as one transaction may; the hashes of their blobs, and whether rows may remain."""
    hashes: set[str] = set()
    room = 1.0
    for table, most in tables.items():
        allowed = max(int(room * most), 1)
        count, named = _delete(connection, app_id, table, allowed)
        hashes |= named
        if count == allowed:
            return hashes, True
        room -= count / most
    return hashes, False


def _delete(connection: Connection, app_id: str, table: Table, most: int) -> tuple[int, set[str]]:
    """How many rows were deleted, and the hashes of their blobs."""
    result = connection.execute(_DELETE_ROWS[table], {"app": app_id, "most": most})
    if table not in _BLOBS:
        return result.rowcount, set()
    named = result.scalars().all()
    return len(named), {sha256 for sha256 in named if sha256}
