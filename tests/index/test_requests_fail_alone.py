"""A request that can't be stored says why, and takes none of its neighbours with it."""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import png

from tenshot import AddRequest, Store
from tenshot.embeddings.base.batcher import Batcher
from tenshot.embeddings.workflows import open_embedder, recipe_of
from tenshot.index.app import App
from tenshot.index.errors import BadRequest, BadVector
from tenshot.index.ops.backup import back_up
from tenshot.index.records import Geo, InputChange

ROW = [3.0] + [0.0] * 7


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"vector": [[1.0], 2.0, *[0.0] * 6]}, BadVector),
        ({"vector": [10**400] * 8}, BadVector),
        ({"vector": object()}, BadVector),
        ({"vector": ROW, "image": png("stripes", 0)}, BadRequest),
        ({"vector": ROW, "url": 7}, BadRequest),
        ({"vector": ROW, "geo": (1, 2)}, BadRequest),
        ({"vector": ROW, "regions": [1]}, BadRequest),
        ({"vector": ROW, "regions": {"id": "r"}}, BadRequest),
        ({"vector": ROW, "source": "me"}, BadRequest),
    ],
)
def test_a_wrong_request_stops_none_of_the_others(app: App, wrong: dict[str, Any], error: type[Exception]) -> None:
    requests = [AddRequest(id="a", vector=ROW), AddRequest(id="wrong", **wrong), AddRequest(id="b", vector=ROW)]
    first, bad, last = app.add_many(requests)
    assert (first.error, last.error, type(bad.error)) == (None, None, error)
    assert [one.id for one in app.inputs()] == ["a", "b"]


def test_a_vector_is_of_unit_length_in_sql_too(store: Store, app: App) -> None:
    list(app.add_many([AddRequest(id="a", vector=ROW)]))
    [(_, vectors)] = store.catalog.vectors.scan(app.id, "vectors")
    np.testing.assert_array_equal(vectors, [[1, *[0] * 7]])


def test_a_place_may_be_of_numpys_numbers(app: App) -> None:
    place = Geo(np.float32(1.5), np.int64(2))  # type: ignore[arg-type]
    assert [result.error for result in app.add_many([AddRequest(id="a", vector=ROW, geo=place)])] == [None]
    app.update_many([InputChange("a", geo=place)])
    assert app.input("a").geo == Geo(1.5, 2.0)


class _SometimesBlind(Batcher):
    """A real base workflow that makes nothing of its second picture."""

    bad = 0.0

    def embed_pixels(self, *args: Any, **options: Any) -> Any:
        vectors = [np.array(row) for row in super().embed_pixels(*args, **options)]
        vectors[1][:] = self.bad
        return vectors


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_what_a_base_workflow_makes_nothing_of_is_refused_before_it_is_stored(tmp_path: Path, bad: float) -> None:
    recipe = recipe_of("general-fast")
    with Store.open(tmp_path / "data") as store:
        blind = _SometimesBlind(open_embedder(recipe))
        blind.bad = bad
        store._embedders.get(recipe, lambda: blind)
        app = store.create_app("mine", "general-fast")
        results = list(app.add_many([AddRequest(png("stripes", n), f"x{n}") for n in range(3)]))
        assert [type(result.error) for result in results] == [type(None), BadVector, type(None)]
        assert [hit.input_id for hit in app.search(input_id="x2", k=1)] == ["x2"]
    with Store.open(tmp_path / "data") as store:
        assert [one.id for one in store.app("mine").inputs()] == ["x0", "x2"]


def test_an_app_that_holds_a_vector_that_is_none_opens_without_it(tmp_path: Path) -> None:
    with Store.open(tmp_path / "data") as store:
        store.create_app("mine", "vectors", dim=8).add_vectors(np.eye(8), [f"x{n}" for n in range(8)])
    with sqlite3.connect(tmp_path / "data" / "tenshot.db") as connection:
        nothing = np.full(8, np.nan, dtype="<f4").tobytes()
        connection.execute("UPDATE vectors SET vector = ? WHERE input_key = (SELECT min(key) FROM inputs)", [nothing])
    connection.close()
    with Store.open(tmp_path / "data") as store:
        app = store.app("mine")
        assert {hit.input_id for hit in app.search(vector=np.eye(8)[0], k=8)} == {f"x{n}" for n in range(1, 8)}
        found = store.examine()
        assert found.blind == ["input 'x0' of app 'mine'"]
        assert "input 'x0' of app 'mine'; delete them" in found.problems[0]
        # It is no damage of the database: what there is can be backed up.
        assert back_up(store.catalog, store._blobs, tmp_path / "backup").apps == 1
