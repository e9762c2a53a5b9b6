"""Text embeddings of concept names under a base workflow, in SQL, so that no name is embedded twice."""

from collections.abc import Mapping

import numpy as np
from sqlalchemy import delete, insert, select

from ..records import FloatArray
from . import schema
from .database import Database, chunks

_apps, _names = schema.apps, schema.names


class ConceptTexts:
    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, app_id: str, workflow: str) -> dict[str, FloatArray]:
        """Name -> (dim,)."""
        query = select(_names.c.name, _names.c.direction)
        with self._database.read() as connection:
            rows = connection.execute(query.where(_names.c.app_id == app_id, _names.c.workflow == workflow)).all()
        return {name: np.frombuffer(blob, dtype="<f4").astype(np.float32) for name, blob in rows}

    def save(self, app_id: str, workflow: str, directions: Mapping[str, FloatArray]) -> None:
        """Does nothing if the app is gone. Raises StoreBusy without waiting: what is not saved is embedded again."""
        with self._database.write(patience=0) as connection:
            if connection.execute(select(_apps.c.id).where(_apps.c.id == app_id)).one_or_none() is None:
                return
            own = (_names.c.app_id == app_id, _names.c.workflow == workflow)
            for chunk in chunks(sorted(directions)):
                connection.execute(delete(_names).where(*own, _names.c.name.in_(chunk)))
                connection.execute(
                    insert(_names),
                    [
                        {
                            "app_id": app_id,
                            "workflow": workflow,
                            "name": name,
                            "direction": directions[name].astype("<f4").tobytes(),
                        }
                        for name in chunk
                    ],
                )
