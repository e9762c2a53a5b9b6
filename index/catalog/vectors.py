"""Vectors in SQL: little-endian float32."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from sqlalchemy import delete, func, select

from ..bounds import has_direction
from ..records import FloatArray, KeyArray, PictureKey
from . import schema
from .database import Database, chunks

_apps, _inputs, _vectors, _tombstones = schema.apps, schema.inputs, schema.vectors, schema.tombstones


class Vectors:
    def __init__(self, database: Database) -> None:
        self._database = database

    def scan(
        self, app_id: str, workflow: str, after: int | None = None, chunk: int = 4096
    ) -> Iterator[tuple[KeyArray, FloatArray]]:
        """All vectors of an app by ascending key, (m,) and (m, dim) at a time; after: only those of later changes."""
        query = (
            select(_vectors.c.input_key, _vectors.c.vector)
            .join(_inputs, _inputs.c.key == _vectors.c.input_key)
            .where(_inputs.c.app_id == app_id, _vectors.c.workflow == workflow)
        )
        query = query.order_by(_inputs.c.key) if after is None else query.where(_inputs.c.seq > after)
        with self._database.read() as connection:
            for rows in connection.execution_options(yield_per=chunk).execute(query).partitions():
                keys, blobs = zip(*rows, strict=True)
                matrix = np.frombuffer(b"".join(blobs), dtype="<f4").reshape(len(keys), -1)
                yield np.array(keys, dtype=np.int64), matrix

    def without_direction(self) -> list[str]:
        """Whose vectors nothing can be compared with, which earlier releases stored all the same; for people."""
        query = (
            select(_inputs.c.id, _apps.c.name, _vectors.c.vector)
            .join_from(_vectors, _inputs, _inputs.c.key == _vectors.c.input_key)
            .join(_apps, _apps.c.id == _inputs.c.app_id)
        )
        with self._database.read() as connection:
            return [
                f"input {row.id!r} of app {row.name!r}"
                for rows in connection.execution_options(yield_per=4096).execute(query).partitions()
                for row in rows
                if not has_direction(np.linalg.norm(np.frombuffer(row.vector, dtype="<f4")[None], axis=1))[0]
            ]

    def of_pictures(self, recipe: Mapping[str, Any], pictures: Iterable[PictureKey]) -> dict[PictureKey, FloatArray]:
        """(dim,) of those of the pictures that some app of this recipe has embedded already.

        What an import brought is not believed: nothing shows that its vectors are those of its pictures.
        """
        inputs, vectors, apps = _inputs, _vectors, _apps
        wanted = set(pictures)
        found: dict[PictureKey, FloatArray] = {}
        with self._database.read() as connection:
            for chunk in chunks(sorted({sha256 for sha256, _ in wanted})):
                # Of the few apps that have them, so that an answer takes no longer where there are many.
                having = select(inputs.c.app_id).where(inputs.c.sha256.in_(chunk))
                recipes = select(apps.c.id, apps.c.recipe).where(apps.c.id.in_(having), apps.c.imported.is_(None))
                alike = [id for id, one in connection.execute(recipes) if one == dict(recipe)]
                if not alike:
                    continue
                # One input stands for all of the same picture, however many there are.
                one = (
                    select(func.min(inputs.c.key))
                    .where(inputs.c.sha256.in_(chunk), inputs.c.app_id.in_(alike), inputs.c.status == "ready")
                    .group_by(inputs.c.sha256, inputs.c.crop)
                )
                query = (
                    select(inputs.c.sha256, inputs.c.crop, vectors.c.vector)
                    .join(vectors, vectors.c.input_key == inputs.c.key)
                    .where(inputs.c.key.in_(one), vectors.c.workflow == recipe["workflow"])
                )
                for sha256, crop, blob in connection.execute(query):
                    key = (sha256, tuple(crop) if crop else None)
                    if key in wanted:
                        found[key] = np.frombuffer(blob, dtype="<f4").astype(np.float32)
        return found

    def keys(self, app_id: str, workflow: str) -> KeyArray:
        """(n,) ascending: the inputs that have a vector."""
        query = (
            select(_vectors.c.input_key)
            .join(_inputs, _inputs.c.key == _vectors.c.input_key)
            .where(_inputs.c.app_id == app_id, _vectors.c.workflow == workflow)
        )
        with self._database.read() as connection:
            return np.sort(np.fromiter(connection.scalars(query), dtype=np.int64))

    def of(self, keys: KeyArray, workflow: str) -> dict[int, FloatArray]:
        """key -> vector (dim,) of those that exist."""
        found = {}
        with self._database.read() as connection:
            for chunk in chunks(keys.tolist()):
                query = select(_vectors.c.input_key, _vectors.c.vector)
                query = query.where(_vectors.c.input_key.in_(chunk), _vectors.c.workflow == workflow)
                for key, blob in connection.execute(query):
                    found[key] = np.frombuffer(blob, dtype="<f4").astype(np.float32)
        return found

    def removed(self, app_id: str, after: int) -> KeyArray:
        """(m,): the inputs that later changes deleted."""
        query = select(_tombstones.c.input_key).where(_tombstones.c.app_id == app_id, _tombstones.c.seq > after)
        with self._database.read() as connection:
            return np.fromiter(connection.scalars(query), dtype=np.int64)

    def forget_removed(self, app_id: str, until: int) -> None:
        """Nobody will ask for what was deleted up to this change."""
        with self._database.write() as connection:
            connection.execute(delete(_tombstones).where(_tombstones.c.app_id == app_id, _tombstones.c.seq <= until))

    def seq(self, app_id: str) -> int:
        """The number of the app's last change; 0 if the app is gone."""
        with self._database.read() as connection:
            return int(connection.execute(select(_apps.c.seq).where(_apps.c.id == app_id)).scalar_one_or_none() or 0)
