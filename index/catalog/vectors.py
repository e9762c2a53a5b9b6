"""Vectors in SQL: little-endian float32."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from sqlalchemy import func, select

from ..records import Crop, FloatArray, KeyArray
from . import schema
from .database import Database, chunks

PictureKey = tuple[str, Crop | None]
"""A picture's sha256 and the part of it that counts."""


class Vectors:
    def __init__(self, database: Database) -> None:
        self._database = database

    def scan(self, app_id: str, workflow: str, chunk: int = 4096) -> Iterator[tuple[KeyArray, FloatArray]]:
        """All vectors of an app in the order of keys: (m,) and (m, dim) at a time."""
        inputs, vectors = schema.inputs, schema.vectors
        query = (
            select(vectors.c.input_key, vectors.c.vector)
            .join(inputs, inputs.c.key == vectors.c.input_key)
            .where(inputs.c.app_id == app_id, vectors.c.workflow == workflow)
            .order_by(inputs.c.key)
        )
        with self._database.read() as connection:
            for rows in connection.execution_options(yield_per=chunk).execute(query).partitions():
                keys, blobs = zip(*rows, strict=True)
                matrix = np.frombuffer(b"".join(blobs), dtype="<f4").reshape(len(keys), -1)
                yield np.array(keys, dtype=np.int64), matrix

    def of_pictures(self, recipe: Mapping[str, Any], pictures: Iterable[PictureKey]) -> dict[PictureKey, FloatArray]:
        """(dim,) of those of the pictures that some app of this recipe has embedded already."""
        inputs, vectors, apps = schema.inputs, schema.vectors, schema.apps
        wanted = set(pictures)
        found: dict[PictureKey, FloatArray] = {}
        with self._database.read() as connection:
            alike = [id for id, one in connection.execute(select(apps.c.id, apps.c.recipe)) if one == dict(recipe)]
            for chunk in chunks(sorted({sha256 for sha256, _ in wanted})):
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
