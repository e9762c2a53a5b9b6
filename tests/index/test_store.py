"""A data folder: one owner, nothing lost when it is opened again, nothing left of a deleted app."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import png

from tenshot import Store
from tenshot.index.errors import AppExists, AppNotFound, StoreClosed, StoreInUse
from tenshot.index.records import Geo, WorkflowNode
from tenshot.index.store import create_app_record, open_catalog

HOLD = "import sys; from tenshot import Store; s = Store.open(sys.argv[1]); print('mine', flush=True); sys.stdin.read()"


def test_the_second_to_open_a_folder_learns_who_has_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        owner.stdout.readline()
        with pytest.raises(StoreInUse, match=f"process {owner.pid}"):
            Store.open(tmp_path)
        owner.kill()
    with Store.open(tmp_path), pytest.raises(StoreInUse):
        Store.open(tmp_path)
    Store.open(tmp_path).close()


def test_everything_is_there_when_a_folder_is_opened_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = np.repeat(np.eye(8)[:3], 10, axis=0) + 0.2 * rng.normal(size=(30, 8))
    labels = [{"abc"[i // 10]: True, "abc"[(i // 10 + 1) % 3]: False} if i % 2 else {} for i in range(30)]
    with Store.open(tmp_path) as store:
        app = store.create_app("mine", workflow="vectors", dim=8)
        app.add_vectors(vectors, [f"x{i}" for i in range(30)], labels, [{"i": i} for i in range(30)])
        app.rename_concepts([("a", "Apples")])
        model = app.create_model("m", ["a", "b", "c"], mutually_exclusive=True, closed_environment=True)
        version = app.create_version("m")
        app.label("x1", {"a": None, "c": True})
        app.delete("x29")
        before = _state(app, model.id, version.id)
    with Store.open(tmp_path) as store:
        after = _state(store.app("mine"), model.id, version.id)
    assert after[0] == before[0]
    assert np.array_equal(after[1], before[1])
    assert after[2] == pytest.approx(before[2], abs=1e-6)


def _state(app: Any, model: str, version: str) -> tuple[Any, Any, Any]:
    queries = np.eye(8)
    return (
        (app.inputs(per_page=1000), app.concepts(), app.models(), app.versions(model), app.counts()),
        app.predict_vectors(queries, model, version=version).values,
        np.concatenate([app.predict_vectors(queries, m).values.ravel() for m in (None, model)]),
    )


def test_pictures_keep_their_place_and_their_bytes(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        app = store.create_app("p", workflow="general-fast")
        app.add(png("discs", 1), "x", {"round": True}, {"a": [1, None]}, geo=Geo(1.5, -2), crop=(0.1, 0.2, 0.9, 1))
        [vector] = app.vectors(["x"])
    with Store.open(tmp_path) as store:
        app = store.app("p")
        one = app.input("x")
        assert (one.geo, one.crop, one.metadata) == (Geo(1.5, -2), (0.1, 0.2, 0.9, 1), {"a": [1, None]})
        assert app.picture("x") == png("discs", 1)
        assert np.array_equal(app.vectors(["x"])[0], vector)


def test_an_app_that_another_process_made_is_found(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        with pytest.raises(AppNotFound):
            store.app("new")
        with open_catalog(tmp_path) as catalog:
            made = create_app_record(catalog, "new", "vectors", 8)
        assert store.app("new").id == store.app(made.id).id == made.id


def test_an_app_that_another_process_deleted_is_not_found_and_its_name_is_free(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        app = store.create_app("mine", workflow="vectors", dim=2)
        with open_catalog(tmp_path) as catalog:
            next(catalog.deletions.delete(app.id))
        for call in (
            lambda: app.add_vectors(np.eye(2)),
            lambda: app.create_concepts([("a", "a")]),
            lambda: app.create_model("m", []),
            lambda: app.create_workflows([("w", [WorkflowNode("n", "m")])]),
            lambda: app.keep_feedback("model", {}, {}),
        ):
            with pytest.raises(AppNotFound):
                call()
        assert store.create_app("mine", workflow="vectors", dim=2).id != app.id
        with pytest.raises(AppExists):
            store.create_app("mine", workflow="vectors", dim=2)


def test_a_deleted_app_leaves_no_picture_but_those_of_others(tmp_path: Path) -> None:
    shared, own = png("discs", 1), png("discs", 2)
    with Store.open(tmp_path) as store:
        first, second = (store.create_app(name, workflow="general-fast") for name in "ab")
        first.add(shared, "x", {"c": True})
        first.add(own, "y")
        second.add(shared, "x")
        first.create_model("m", ["c"])
        first.create_version("m")
        assert blobs(tmp_path) == 3
        store.delete_app("a")
        assert second.picture("x") == shared
        assert blobs(tmp_path) == 1
        second.delete("x")
        assert blobs(tmp_path) == 0
        assert [record.name for record in store.apps()] == ["b"]


def blobs(folder: Path) -> int:
    return sum(len(file.name) == 64 for file in (folder / "blobs").rglob("*"))


def test_deleting_versions_and_models_leaves_no_predictor(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        app = store.create_app("v", workflow="vectors", dim=4)
        app.add_vectors(np.eye(4), list("abcd"), [{"c": True}, {}, {}, {}])
        app.create_model("m", ["c"])
        first, second = app.create_version("m"), app.create_version("m")
        assert first.predictor_sha256 == second.predictor_sha256
        app.delete_version("m", first.id)
        assert blobs(tmp_path) == 1
        app.delete_models("m")
        assert blobs(tmp_path) == 0


@pytest.mark.parametrize(
    "call",
    [lambda s: s.apps(), lambda s: s.app("a"), lambda s: s.create_app("b"), lambda s: s.delete_app("a")],
)
def test_a_closed_store_says_so(tmp_path: Path, call: Callable[[Store], object]) -> None:
    store = Store.open(tmp_path)
    store.create_app("a", workflow="vectors", dim=4)
    store.close()
    store.close()
    with pytest.raises(StoreClosed):
        call(store)


def test_two_apps_never_see_each_others_rows(tmp_path: Path) -> None:
    rng, ids = np.random.default_rng(0), dict[str, set[str]](a=set(), b=set())
    with Store.open(tmp_path) as store:
        apps = {name: store.create_app(name, workflow="vectors", dim=4) for name in ids}
        for step in range(60):
            name = str(rng.choice(["a", "b"]))
            made = [f"{step}-{i}" for i in range(int(rng.integers(1, 5)))]
            apps[name].add_vectors(rng.normal(size=(len(made), 4)), made)
            ids[name] |= set(made)
            gone = set(rng.choice(sorted(ids[name]), 1).tolist())
            apps[name].delete(gone)
            ids[name] -= gone
            for other in ids:
                found = apps[other].search_vectors(rng.normal(size=(1, 4)), k=500).ids[0]
                assert sorted(found) == sorted(ids[other])


def test_the_snapshot_of_a_deleted_app_goes_with_it_also_one_that_was_deleted_beside(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(1200, 4))
    with Store.open(tmp_path) as store:
        made = [store.create_app(name, workflow="vectors", dim=4) for name in "abc"]
        for app in made:
            app.add_vectors(rows)
    folders = {path.name for path in (tmp_path / "collections").iterdir()}
    assert folders == {app.id for app in made}
    with Store.open(tmp_path) as store:
        facts = store.collections()[made[0].id]
        assert facts is not None
        assert (facts.kind, facts.rows) == ("exact", 1200)
        store.delete_app("a")
        assert not (tmp_path / "collections" / made[0].id).exists()
        assert store.app("b").collection_facts().mapped == 1200
    with open_catalog(tmp_path) as catalog:
        next(catalog.deletions.delete(made[1].id))
    with Store.open(tmp_path):
        assert [path.name for path in (tmp_path / "collections").iterdir()] == [made[2].id]


def test_an_id_reaches_its_app_whatever_others_are_named(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        mine = store.create_app("mine", "vectors", dim=2)
        with pytest.raises(AppExists, match="choose another name"):
            store.create_app(mine.id, "vectors", dim=2)
        # As earlier versions allowed.
        other = store.create_app("other", "vectors", dim=2)
        with store.catalog._database.write() as connection:
            connection.exec_driver_sql("UPDATE apps SET name = ? WHERE id = ?", (mine.id, other.id))
        for found in (store.app(mine.id), store.app_by_id(mine.id), store.app("mine")):
            assert found is mine
        assert store.catalog.apps.get(mine.id).name == "mine"
        with pytest.raises(AppNotFound):
            store.app_by_id("mine")
        store.delete_app(mine.id)
        assert [record.id for record in store.apps()] == [other.id]
