"""Queries that are unlike the rows, on rows that are unfriendly to codes, find their neighbours all the same."""

from collections.abc import Callable

import numpy as np
import pytest

from tenshot.index.vectors.collection import Collection
from tenshot.index.vectors.protocol import unit_rows
from tenshot.index.vectors.settings import Sizes

COUNT, DIM, QUERIES = 24_000, 64, 40
Rng = np.random.Generator


def _plane(rng: Rng) -> np.ndarray:
    """Rows of rank three: what a query has outside of it tells nothing, and hides the rest from the codes."""
    return rng.normal(size=(COUNT, 3)) @ rng.normal(size=(3, DIM))


def _two_tight_clusters(rng: Rng) -> np.ndarray:
    return rng.normal(size=(2, DIM))[rng.integers(0, 2, COUNT)] + 0.05 * rng.normal(size=(COUNT, DIM))


def _clusters_of_all_sizes(rng: Rng) -> np.ndarray:
    weights = 1 / np.arange(1, 201)
    cluster = rng.choice(200, COUNT, p=weights / weights.sum())
    return rng.normal(size=(200, DIM))[cluster] + 0.3 * rng.normal(size=(COUNT, DIM))


def _noise(rng: Rng, size: float) -> np.ndarray:
    return size / np.sqrt(DIM) * rng.normal(size=(QUERIES, DIM))


ROWS: dict[str, Callable[[Rng], np.ndarray]] = {
    "rank 3": _plane,
    "two tight clusters": _two_tight_clusters,
    "clusters of all sizes": _clusters_of_all_sizes,
}
QUERIES_OF: dict[str, Callable[[np.ndarray, np.ndarray, Rng], np.ndarray]] = {
    "any direction": lambda some, others, rng: rng.normal(size=(QUERIES, DIM)),
    "near a row": lambda some, others, rng: some + _noise(rng, 0.3),
    "between two rows": lambda some, others, rng: some + others,
    "a row and more noise": lambda some, others, rng: some + _noise(rng, 1.8),
    "away from a row": lambda some, others, rng: _noise(rng, 0.5) - some,
}


@pytest.fixture(scope="module", params=ROWS)
def collection(request: pytest.FixtureRequest) -> tuple[Collection, np.ndarray]:
    rows = unit_rows(ROWS[request.param](np.random.default_rng(0)), DIM)
    collection = Collection(DIM, Sizes(lists=20_000))
    collection.upsert(np.arange(COUNT), rows)
    collection.wait()
    return collection, rows


@pytest.mark.parametrize("then", ["all lists", "all rows"])
@pytest.mark.parametrize("kind", QUERIES_OF)
def test_they_find_their_neighbours(
    collection: tuple[Collection, np.ndarray], kind: str, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever way those in doubt take: which one is cheaper depends on the size."""
    worth_it = then == "all lists"
    monkeypatch.setattr("tenshot.index.vectors.segments.planner._lists_are_worth_it", lambda *_: worth_it)
    made, rows = collection
    rng = np.random.default_rng(1)
    some, others = rows[rng.integers(0, COUNT, (2, QUERIES))]
    queries = unit_rows(QUERIES_OF[kind](some, others, rng), DIM)
    truth = -np.sort(-(queries @ rows.T), axis=1)
    for k in (1, 10, 100):
        assert (made.search(queries, k)[1] >= truth[:, k - 1 : k] - 1e-5).mean() >= 0.95
