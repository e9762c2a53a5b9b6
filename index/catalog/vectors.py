"""Vectors in SQL: little-endian float32."""

from collections.abc import Iterator

import numpy as np
from sqlalchemy import select

from ..records import FloatArray, KeyArray
from . import schema
from .database import Database


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
