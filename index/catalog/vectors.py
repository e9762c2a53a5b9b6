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
        """All vectors of an app by ascending key, in parts of (m,) keys, (m, dim) vectors; after: of later changes."""
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
        """Inputs, described for people, whose vectors have no direction: earlier releases stored these too."""
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
        """(dim,) vectors of the pictures among these that an app with this recipe has already embedded.

        Imported apps don't count: nothing proves that their vectors belong to their pictures.
        """
        inputs, vectors, apps = _inputs, _vectors, _apps
        picture_keys = set(pictures)
        by_picture: dict[PictureKey, FloatArray] = {}
        with self._database.read() as connection:
            for chunk in chunks(sorted({sha256 for sha256, _ in picture_keys})):
                # Only of apps that have these pictures, so that a query stays fast where there are many apps.
                having = select(inputs.c.app_id).where(inputs.c.sha256.in_(chunk))
                recipes = select(apps.c.id, apps.c.recipe).where(apps.c.id.in_(having), apps.c.imported.is_(None))
                same_recipe = [id for id, stored in connection.execute(recipes) if stored == dict(recipe)]
                if not same_recipe:
                    continue
                # One input stands for all of the same picture, however many there are.
                first_keys = (
                    select(func.min(inputs.c.key))
                    .where(inputs.c.sha256.in_(chunk), inputs.c.app_id.in_(same_recipe), inputs.c.status == "ready")
                    .group_by(inputs.c.sha256, inputs.c.crop)
                )
                query = (
                    select(inputs.c.sha256, inputs.c.crop, vectors.c.vector)
                    .join(vectors, vectors.c.input_key == inputs.c.key)
                    .where(inputs.c.key.in_(first_keys), vectors.c.workflow == recipe["workflow"])
                )
                for sha256, crop, blob in connection.execute(query):
                    key = (sha256, tuple(crop) if crop else None)
                    if key in picture_keys:
                        by_picture[key] = np.frombuffer(blob, dtype="<f4").astype(np.float32)
        return by_picture

    def keys(self, app_id: str, workflow: str) -> KeyArray:
        """(n,) ascending keys of the inputs that have a vector."""
        query = (
            select(_vectors.c.input_key)
            .join(_inputs, _inputs.c.key == _vectors.c.input_key)
            .where(_inputs.c.app_id == app_id, _vectors.c.workflow == workflow)
        )
        with self._database.read() as connection:
            return np.sort(np.fromiter(connection.scalars(query), dtype=np.int64))

    def of(self, keys: KeyArray, workflow: str) -> dict[int, FloatArray]:
        """key -> vector (dim,), of those that exist."""
        vectors = {}
        with self._database.read() as connection:
            for chunk in chunks(keys.tolist()):
                query = select(_vectors.c.input_key, _vectors.c.vector)
                query = query.where(_vectors.c.input_key.in_(chunk), _vectors.c.workflow == workflow)
                for key, blob in connection.execute(query):
                    vectors[key] = np.frombuffer(blob, dtype="<f4").astype(np.float32)
        return vectors

    def removed(self, app_id: str, after: int) -> KeyArray:
        """(m,) keys of the inputs that later changes deleted."""
        query = select(_tombstones.c.input_key).where(_tombstones.c.app_id == app_id, _tombstones.c.seq > after)
        with self._database.read() as connection:
            return np.fromiter(connection.scalars(query), dtype=np.int64)

    def forget_removed(self, app_id: str, until: int) -> None:
        """Deletes the tombstones up to this change: nobody needs them any more."""
        with self._database.write() as connection:
            connection.execute(delete(_tombstones).where(_tombstones.c.app_id == app_id, _tombstones.c.seq <= until))

    def seq(self, app_id: str) -> int:
        """The number of the app's last change; 0 if the app is gone."""
        with self._database.read() as connection:
            return int(connection.execute(select(_apps.c.seq).where(_apps.c.id == app_id)).scalar_one_or_none() or 0)
