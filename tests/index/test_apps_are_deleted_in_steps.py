"""A deleted app is gone for all at once; its rows and pictures go in steps, also after a crash."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update
from transactions import transactions

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.catalog import schema
from tenshot.index.errors import AppNotFound, NotFound
from tenshot.index.ops import deletion
from tenshot.index.records import InputChange, WorkflowNode
from tenshot.index.storage.blobs import Blobs
from tenshot.index.store import delete_app_record, open_catalog

INPUTS, CONCEPTS, LABELS = 2_000, 1_000, 20_000


@pytest.fixture
def full(store: Store) -> Store:
    """An app `big` of 2,000 inputs with ten of 1,000 concepts each, the first concept with a label of each input."""
    big = store.create_app("big", "vectors", dim=4)
    each = LABELS // INPUTS - 1
    labels = [
        {"c0": True} | {f"c{1 + (row * each + n) % (CONCEPTS - 1)}": n % 2 == 0 for n in range(each)}
        for row in range(INPUTS)
    ]
    big.add_vectors(np.random.default_rng(0).normal(size=(INPUTS, 4)), [f"x{row}" for row in range(INPUTS)], labels)
    big.create_model("m", ["c0", "c1"])
    big.create_version("m")
    big.delete([f"x{row}" for row in range(10)])
    store.create_app("other", "vectors", dim=4).add_vectors([[1] * 4], ["a"])
    return store


def rows(store: Store, app_id: str) -> int:
    """How many an app has, in all tables that tell."""
    with store.catalog._database.read() as connection:
        tables = ("labels", "label_events", "inputs", "concepts", "models", "tombstones", "spaces")
        query = " UNION ALL ".join(f"SELECT count(*) AS n FROM {table} WHERE app_id = ?" for table in tables)
        counted = connection.exec_driver_sql(f"SELECT sum(n) FROM ({query})", (app_id,) * len(tables))
        return int(counted.scalar_one())


def test_no_transaction_of_a_deletion_is_large_and_others_write_in_between(full: Store) -> None:
    id, other = full.app("big").id, full.app("other")
    done = threading.Event()

    def label() -> None:
        value = True
        while not done.is_set():
            other.label("a", {"c": value})
            value = not value

    with transactions(full) as begun:
        labelling = threading.Thread(target=label)
        labelling.start()
        full.delete_app("big")
        done.set()
        labelling.join()
    assert rows(full, id) == 0
    steps = [n for n, one in enumerate(begun) if one.thread is not labelling]
    changes = [begun[n].changes for n in steps]
    assert sum(changes) >= 2 * LABELS + 2 * (INPUTS - 10) + CONCEPTS
    # And the app itself.
    assert max(changes) <= 4_000 + 1
    # Of whoever waits each has a turn after each step.
    assert steps[-1] - steps[0] > len(steps)


def test_a_deleted_app_is_gone_for_all_before_its_rows_are(full: Store) -> None:
    app, catalog = full.app("big"), full.catalog
    catalog.api_keys.add("k", "hash", app.id, "", ["All"])
    steps = catalog.deletions.delete(app.id)
    next(steps)
    assert rows(full, app.id) > 0
    assert catalog.deletions.unfinished() == [app.id]
    assert [record.name for record in full.apps()] == ["other"]
    assert catalog.api_keys.find("hash") is None
    assert {id for id, _ in [*catalog.input_counts(), *catalog.label_counts()]} == {full.app("other").id}
    for name in ("big", app.id):
        with pytest.raises(AppNotFound):
            full.delete_app(name)
    # Whoever holds it open is told, as when its rows are gone.
    with pytest.raises(AppNotFound, match="deleted"):
        app.label("x20", {"c5": None, "new": True})
    with pytest.raises(AppNotFound, match="deleted"):
        app.add_vectors([[1] * 4])
    new = full.create_app("big", "vectors", dim=4)
    assert (new.id != app.id, new.inputs()) == (True, [])
    assert sum(1 for _ in steps) > 5
    assert rows(full, app.id) == 0
    assert [record.name for record in full.apps()] == ["other", "big"]


WRITES: dict[str, Callable[[App], object]] = {
    "vectors": lambda app: app.add_vectors([[1] * 4]),
    "a label": lambda app: app.label("a", {"c": False}),
    "a label that is there": lambda app: app.label("a", {"c": True}),
    "metadata": lambda app: app.update_many([InputChange("a", {"n": 1})]),
    "nothing": lambda app: app.update_many([InputChange("a")]),
    "a name": lambda app: app.rename_concepts([("c", "new")]),
    "a model's concepts": lambda app: app.update_model("m", concepts=[]),
    "no model": lambda app: app.delete_models("m"),
    "a version": lambda app: app.create_version("m", untaught=True),
    "no version": lambda app: app.delete_version("m", app.versions("m")[0].id),
    "an evaluation": lambda app: app.request_evaluation("m", app.versions("m")[0].id),
    "a threshold": lambda app: app.set_thresholds({"c": 0.4}, "m"),
    "no workflow": lambda app: app.delete_workflow("w"),
    "feedback": lambda app: app.keep_feedback("model", {"id": "m"}, {"x": 1}),
}


def test_while_the_rows_of_a_deleted_app_go_nobody_writes_to_them(store: Store) -> None:
    app = store.create_app("mine", "vectors", dim=4)
    app.add_vectors([[1] * 4], ["a"], [{"c": True}])
    app.create_model("m", ["c"])
    app.create_workflows([("w", [WorkflowNode("n", "m")])])
    with store.catalog._database.write() as connection:  # as the first step of a deletion by another process
        connection.execute(update(schema.apps).values(deleted=True))
    told = []
    for name, call in WRITES.items():
        try:
            call(app)
        except AppNotFound:
            told.append(name)
    assert told == list(WRITES)


CALLS: dict[str, Callable[[App], object]] = {
    "vectors": lambda app: app.add_vectors([[1] * 4]),
    "labels": lambda app: app.label("a", {"new": True}),
    "metadata": lambda app: app.update_many([InputChange("a", {"n": 1})]),
    "concepts": lambda app: app.create_concepts([("new", "new")]),
    "a model": lambda app: app.create_model("new", ["c"]),
    "a version": lambda app: app.create_version("m", untaught=True),
    "a workflow": lambda app: app.create_workflows([("new", [WorkflowNode("n", "m")])]),
    "feedback": lambda app: app.keep_feedback("model", {"id": "m"}, {"x": 1}),
    "a key": lambda app: app.state().catalog.api_keys.add("k", "hash", app.id, "", ["All"]),
    "an export": lambda app: b"".join(app.export_stream()),
    "another base workflow": lambda app: app.state().catalog.workflow_changes.begin(
        app.id, {"workflow": "general", "dim": 8}
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_whoever_has_an_app_open_that_another_process_deletes_is_told(
    store: Store, tmp_path: Path, call: Callable[[App], object]
) -> None:
    app = store.create_app("mine", "vectors", dim=4)
    app.add_vectors([[1] * 4], ["a"], [{"c": True}])
    app.create_model("m", ["c"])
    with open_catalog(tmp_path / "data") as catalog:
        delete_app_record(catalog, Blobs(tmp_path / "data" / "blobs"), app.id)
    with pytest.raises(NotFound):
        call(app)
    assert (app.search(vector=[1] * 4), app.delete("a"), app.inputs()) == ([], 0, [])


def test_a_small_app_goes_in_one_transaction(store: Store) -> None:
    app = store.create_app("small", "vectors", dim=4)
    app.add_vectors(np.eye(4), list("abcd"), [{"c": True}] * 4)
    app.create_model("m", ["c"])
    app.create_version("m")
    app.predict_vectors(np.eye(4))
    app.delete("d")
    with transactions(store) as begun:
        store.delete_app("small")
    assert (len(begun), rows(store, app.id)) == (1, 0)


CHILD = """
import os, sys
from tenshot.index.storage.blobs import Blobs
from tenshot.index.catalog import schema
from tenshot.index.store import delete_app_record, open_catalog

class Ending(Blobs):
    calls = 0
    def delete_unused(self, hashes, unused):
        Ending.calls += 1
        if Ending.calls > 3:
            os._exit(9)
        super().delete_unused(hashes, unused)

with open_catalog(sys.argv[1]) as catalog:
    delete_app_record(catalog, Ending(sys.argv[1] + "/blobs"), catalog.apps.find("big").id)
"""


def test_what_a_killed_process_left_of_a_deletion_goes_when_the_folder_is_opened(tmp_path: Path, full: Store) -> None:
    id = full.app("big").id
    full.close()
    data = tmp_path / "data"
    assert subprocess.run([sys.executable, "-c", CHILD, str(data)], check=False).returncode == 9
    with open_catalog(data) as catalog:
        assert (catalog.deletions.unfinished(), [record.name for record in catalog.apps.list()]) == ([id], ["other"])
    with Store.open(data) as store:
        while store.catalog.deletions.unfinished():
            time.sleep(0.01)
        assert rows(store, id) == 0
        with store._purge.paused():
            assert list(store._blobs.hashes()) == []
        assert store.examine().problems == []
        assert not (data / "collections" / id).exists()


@pytest.mark.parametrize("repaired", [True, False])
def test_where_the_disk_fails_the_app_is_gone_all_the_same_and_the_rest_goes_later(
    full: Store, repaired: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "_DELAY_S", 60 if repaired else 0.01)
    lock = full.path / "blobs" / "turn"
    lock.unlink()
    lock.mkdir()
    full.delete_app("big")
    assert [record.name for record in full.apps()] == ["other"]
    assert len(full.catalog.deletions.unfinished()) == 1
    lock.rmdir()
    if repaired:
        full.examine(repair=True, force=True)
    while full.catalog.deletions.unfinished():
        assert not repaired
        time.sleep(0.01)
    # The predictor too, whose row went in the step that failed.
    with full._purge.paused():
        assert list(full._blobs.hashes()) == []
