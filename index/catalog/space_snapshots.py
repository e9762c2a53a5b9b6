"""The snapshot of an app's prepared space in SQL."""

import numpy as np
from sqlalchemy import delete, insert, select

from ..records import SpaceRecord
from . import schema
from .database import Database

_apps, _spaces = schema.apps, schema.spaces


class SpaceSnapshots:
    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, app_id: str, space: SpaceRecord, workflow: str) -> None:
        """Replaces the last one. Does nothing if the app has another base workflow by now.

        Raises StoreBusy without waiting, since a prediction would wait too.
        """
        row = {
            "app_id": app_id,
            "seq": space.seq,
            "count": space.count,
            "power": space.power,
            "mean": space.mean.astype("<f4").tobytes(),
            "background": space.background.astype("<i8").tobytes(),
        }
        with self._database.write(patience=0) as connection:
            recipe = connection.execute(select(_apps.c.recipe).where(_apps.c.id == app_id)).scalar_one_or_none()
            if recipe is None or recipe["workflow"] != workflow:
                return
            connection.execute(delete(_spaces).where(_spaces.c.app_id == app_id))
            connection.execute(insert(_spaces).values(row))

    def load(self, app_id: str) -> SpaceRecord | None:
        with self._database.read() as connection:
            row = connection.execute(select(_spaces).where(_spaces.c.app_id == app_id)).one_or_none()
        if row is None:
            return None
        return SpaceRecord(
            seq=row.seq,
            count=row._mapping["count"],
            power=row.power,
            mean=np.frombuffer(row.mean, dtype="<f4").astype(np.float32),
            background=np.frombuffer(row.background, dtype="<i8").astype(np.int64),
        )
