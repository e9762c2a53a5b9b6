"""Searches that come in one turn of the event loop, answered together."""

import asyncio

import numpy as np

from ...index.app import search
from ...index.app.state import AppState
from ...index.records import FloatArray, Input

Found = list[tuple[Input, float]]


class SearchCoalescer:
    """Nobody waits for others to come: what is there already shares one multiplication, which reads the rows once.

    Lives in the event loop, so it needs no lock.
    """

    def __init__(self) -> None:
        self._asked: dict[AppState, list[tuple[FloatArray, int, asyncio.Future[Found]]]] = {}

    async def nearest(self, state: AppState, vector: FloatArray, k: int) -> Found:
        """The k inputs nearest to a vector (dim,), with scores in [0, 1]."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            # After all requests that have arrived by now.
            loop.call_soon(self._answer)
        future: asyncio.Future[Found] = loop.create_future()
        self._asked.setdefault(state, []).append((vector, k, future))
        return await future

    def _answer(self) -> None:
        asked, self._asked = self._asked, {}
        for state, group in asked.items():
            try:
                found = search.nearest_inputs(
                    state, np.stack([vector for vector, _, _ in group]), max(k for _, k, _ in group)
                )
            except Exception as error:
                for _, _, future in group:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, k, future), nearest in zip(group, found, strict=True):
                # Whoever has hung up wants nothing any more.
                if not future.done():
                    future.set_result(nearest[:k])
