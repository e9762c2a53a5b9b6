"""Of many apps those that are used are in memory; others are read again when somebody asks, and are as they were."""

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import ReferenceType, ref

import numpy as np
import pytest

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.errors import AppNotFound
from tenshot.index.store import open_catalog
from tenshot.index.vectors.settings import CollectionSettings

ROWS = np.eye(8)[:4]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path, collections=CollectionSettings(most_apps=3)) as store:
        yield store


def _filled(store: Store, name: str) -> App:
    app = store.create_app(name, "vectors", dim=8)
    app.add_vectors(ROWS, list("wxyz"), [{"a": True}, {"a": False}, {}, {}])
    return app


def test_those_that_were_used_last_are_in_memory(store: Store) -> None:
    apps = [_filled(store, f"app {i}") for i in range(3)]
    apps[0].search(vector=ROWS[0])
    apps.append(_filled(store, "one more"))
    assert [app.in_memory for app in apps] == [True, False, True, True]
    assert store.opened_app(apps[1].id) is None
    assert store.app_by_id(apps[1].id) is apps[1]
    assert [app.in_memory for app in apps] == [True, True, False, True]
    assert {id: facts is None for id, facts in store.collections().items()} == {app.id: app is apps[2] for app in apps}
    assert sum(app.in_memory for app in apps) == 3


def test_an_app_that_was_let_go_is_as_it_was_for_who_holds_it(store: Store) -> None:
    app = _filled(store, "mine")
    app.create_model("m", ["a"])
    version = app.create_version("m")
    queries = np.random.default_rng(0).normal(size=(20, 8))

    def answers() -> list[np.ndarray]:
        of_version = app.predict_vectors(queries, "m", version=version.id).values
        return [app.predict_vectors(queries).values, of_version, app.search_vectors(queries).scores]

    before = answers()
    for again in range(2):
        assert app.rest()
        assert repr(app) == "App('mine', workflow='vectors', dim=8, not in memory)"
        for now, then in zip(answers(), before, strict=True):
            np.testing.assert_array_equal(now, then)
        app.rest()
        app.add_vectors(queries[:1], [f"new {again}"], [{"b": True}])
        app.rest()
        app.label("x", {"b": False})
        assert app.state().teacher.labels_of(["b"])["b"][app.input("x").key] is False
        app.rest()
        app.delete(f"new {again}")
        assert len(app.search(vector=ROWS[0])) == 4
        app.label("x", {"b": None})


def test_searches_and_writes_are_right_while_apps_are_let_go_all_the_time(store: Store) -> None:
    apps = [_filled(store, f"app {i}") for i in range(6)]
    wrong = list[object]()

    def use(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for number in range(25):
                app = apps[rng.integers(len(apps))]
                id = f"{seed}-{number}"
                app.add_vectors(rng.normal(size=(1, 8)), [id], [{"a": True}])
                hits = app.search(vector=app.vectors([id])[0], k=5)
                if hits[0].input_id != id:
                    wrong.append(hits)
                ranked = {hit.input_id for hit in app.search(concept="a", k=1000)}
                if not ranked >= {id, *"wxyz"}:
                    wrong.append(ranked)
                app.delete(id)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert all(len(app.search(vector=ROWS[0])) == 4 for app in apps)


def test_one_that_another_process_deleted_meanwhile_is_not_found(store: Store) -> None:
    app = _filled(store, "mine")
    app.rest()
    with open_catalog(store.path) as catalog:
        next(catalog.deletions.delete(app.id))
    with pytest.raises(AppNotFound):
        app.search(vector=ROWS[0])


def test_what_an_app_had_in_memory_is_free_at_once(store: Store) -> None:
    app = _filled(store, "mine")
    app.add_vectors(np.random.default_rng(0).normal(size=(60, 8)), concepts=[{"a": True}] * 60)
    app.create_model("m", ["a", "b"], mutually_exclusive=True)
    app.label("w", {"b": True})
    for model in (None, "m"):
        app.predict_vectors(ROWS[:1], model)
    app.search(concept="a")
    memory = app.state()
    left: list[ReferenceType[Any]] = [
        ref(memory),
        ref(memory.collection),
        ref(memory.teacher),
        ref(memory.teacher.predictor(app.model()).space),
    ]
    del memory
    gc.collect()
    gc.disable()
    try:
        app.rest()
        assert [one() for one in left] == [None] * 4
    finally:
        gc.enable()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted by /proc")
def test_apps_that_are_opened_in_turn_take_no_descriptors(store: Store) -> None:
    names = [_filled(store, f"app {number}").name for number in range(20)]
    counts = set()
    for name in names:
        store.app(name).search(vector=ROWS[0])
        counts.add(len(os.listdir("/proc/self/fd")))
    assert len(counts) == 1
