"""What a filter matches is asked of SQL once, and again after anything was written; nothing else is kept for it."""

import gc
from weakref import ref

import numpy as np
import pytest
from clouds import SMALL, Clouds

from tenshot.index.app import App
from tenshot.index.catalog import inputs, read_cache
from tenshot.index.records import KeyArray, Where
from tenshot.index.vectors.collection import Collection
from tenshot.index.vectors.segments.state import State

QUERY = np.eye(8)[:1]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Where]:
    """The filters that SQL was asked."""
    seen, where = list[Where](), inputs.Inputs.where

    def spied(self: inputs.Inputs, app_id: str, filter: Where) -> KeyArray:
        seen.append(filter)
        return where(self, app_id, filter)

    monkeypatch.setattr(inputs.Inputs, "where", spied)
    return seen


def test_the_same_filter_again_asks_nothing_and_a_write_is_seen_at_once(taught: App, asked: list[Where]) -> None:
    first = taught.search_vectors(QUERY, 20, {"label": "a"}).ids
    assert taught.search_vectors(QUERY, 20, {"label": "a"}).ids == first
    assert taught.search(vector=QUERY[0], k=20, where={"label": "a"})[0].input_id == first[0][0]
    assert len(asked) == 1
    other = taught.search_vectors(QUERY, 20, {"label": "a", "ids": first[0][:2]}).ids
    assert (other, len(asked)) == ([first[0][:2]], 2)
    gone, new = first[0][0], "x59"
    taught.label(gone, {"a": None})
    taught.label(new, {"a": True})
    assert set(taught.search_vectors(QUERY, 20, {"label": "a"}).ids[0]) == ({*first[0], new} - {gone})
    taught.delete([new])
    assert new not in taught.search_vectors(QUERY, 20, {"label": "a"}).ids[0]
    assert len(asked) == 4


def test_no_more_are_kept_than_there_is_room_for_and_the_last_in_any_case(
    taught: App, asked: list[Where], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_cache, "_MOST_BYTES", 8_000)
    filters: list[Where] = [{"ids": [f"x{i}"]} for i in range(20)]
    for filter in filters:
        taught.search_vectors(QUERY, 5, filter)
    taught.search_vectors(QUERY, 5, filters[-1])
    assert len(asked) == len(filters)
    taught.search_vectors(QUERY, 5, filters[0])
    assert len(asked) == len(filters) + 1


def test_a_filter_that_is_kept_keeps_no_rows_that_are_gone() -> None:
    clouds = Clouds()
    collection = Collection(clouds.dim, SMALL)
    collection.upsert(np.arange(4000), clouds.draw(4000)[0])
    collection.wait()
    where = collection.filter(np.arange(0, 4000, 2))
    collection.search(clouds.draw(2)[0], 10, where)
    state = collection._current.state
    rows, codes = ref(state.rows), ref(state.segments[0].codes)
    collection.close()
    del state, collection
    gc.collect()
    assert rows() is None
    assert codes() is None
    assert where.selection(State.empty(clouds.dim)) is not None
