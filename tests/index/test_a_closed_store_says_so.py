"""After close() everything that an app or a store is asked says so, and nothing is written any more."""

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known import known
from pictures import png

from tenshot import Store
from tenshot.embeddings.workflows import recipe_of
from tenshot.index.app import App
from tenshot.index.app.ranking import Term
from tenshot.index.errors import AppNotFound, StoreClosed
from tenshot.index.records import AddRequest, Failure, InputChange, ModelChange, WorkflowNode
from tenshot.index.vectors.collection import Collection

ROWS = np.eye(8)[:2]
ROW = ROWS[0]
PICTURE = png("discs", 1)
HASH = "a" * 64

APP_CALLS: dict[str, Callable[[App], Any]] = {
    "add": lambda app: app.add(PICTURE),
    "add_many": lambda app: list(app.add_many([AddRequest(vector=ROW)])),
    "add_vectors": lambda app: app.add_vectors(ROWS),
    "advice": lambda app: app.advice(),
    "arrived": lambda app: app.arrived("x0", PICTURE),
    "base_workflow": lambda app: app.base_workflow(),
    "cancel_workflow_change": lambda app: app.cancel_workflow_change(),
    "change_workflow": lambda app: app.change_workflow("general"),
    "check_vectors": lambda app: app.check_vectors(ROWS),
    "choose_thresholds": lambda app: app.choose_thresholds("m"),
    "classify_each": lambda app: app.classify_each([PICTURE], [None], recipe_of("general-fast")),
    "collection_facts": lambda app: app.collection_facts(),
    "compare": lambda app: app.compare("m", "v"),
    "compare_workflows": lambda app: app.compare_workflows(["general-fast"]),
    "concept": lambda app: app.concept("a"),
    "concept_for": lambda app: app.concept_for("a"),
    "concept_names": lambda app: app.concept_names(),
    "concepts": lambda app: app.concepts(),
    "concepts_by_id": lambda app: app.concepts_by_id(),
    "counts": lambda app: app.counts(),
    "create_concepts": lambda app: app.create_concepts([("new", "new")]),
    "create_model": lambda app: app.create_model("n", ["a"]),
    "create_version": lambda app: app.create_version("m"),
    "create_workflows": lambda app: app.create_workflows([("w", [WorkflowNode("n", "m")])]),
    "delete": lambda app: app.delete("x0"),
    "delete_all": lambda app: app.delete_all(),
    "delete_models": lambda app: app.delete_models("m"),
    "delete_version": lambda app: app.delete_version("m", "v"),
    "delete_workflow": lambda app: app.delete_workflow("w"),
    "doubts": lambda app: app.doubts(),
    "embed": lambda app: app.embed([PICTURE]),
    "embed_each": lambda app: app.embed_each([PICTURE], [None]),
    "embed_text": lambda app: app.embed_text("a"),
    "evaluate": lambda app: app.evaluate(),
    "evaluate_requested": lambda app: app.evaluate_requested("m", "v", datetime.now(UTC)),
    "evaluate_version": lambda app: app.evaluate_version("m", "v"),
    "evaluation": lambda app: app.evaluation("m", "v"),
    "evaluation_failed": lambda app: app.evaluation_failed("m", "v", datetime.now(UTC), "why"),
    "existing": lambda app: app.existing(["x0"]),
    "explain": lambda app: app.explain(vector=ROW),
    "explain_vector": lambda app: app.explain_vector(ROW),
    "export": lambda app: app.export(Path("never-made")),
    "export_stream": lambda app: list(app.export_stream()),
    "picture_embedder": lambda app: app.picture_embedder(),
    "feedback": lambda app: app.feedback(),
    "has_model": lambda app: app.has_model("m"),
    "has_text": lambda app: app.has_text,
    "input": lambda app: app.input("x0"),
    "inputs": lambda app: app.inputs(),
    "inputs_by_id": lambda app: app.inputs_by_id(["x0"]),
    "is_ready": lambda app: app.is_ready(),
    "keep_feedback": lambda app: app.keep_feedback("model", {}, {}),
    "load": lambda app: app.load(),
    "label": lambda app: app.label("x0", {"a": False}),
    "label_counts": lambda app: app.label_counts(),
    "label_many": lambda app: app.label_many({"x0": {"a": False}}),
    "learning_curve": lambda app: app.learning_curve(),
    "model": lambda app: app.model(),
    "models": lambda app: app.models(),
    "nearest_inputs": lambda app: app.nearest_inputs(ROWS.astype(np.float32), 5),
    "never_arrived": lambda app: app.never_arrived("x0", Failure.FETCH, "why"),
    "patch_many": lambda app: app.patch_many([("x0", lambda one: InputChange(one.id, metadata={}))]),
    "patch_models": lambda app: app.patch_models([("m", lambda _: ModelChange("n"))]),
    "pending": lambda app: app.pending(),
    "pending_keys": lambda app: app.pending_keys([1]),
    "picture": lambda app: app.picture("x0"),
    "picture_by_hash": lambda app: app.picture_by_hash(HASH),
    "predict": lambda app: app.predict(PICTURE),
    "predict_input": lambda app: app.predict_input("x0"),
    "predict_vectors": lambda app: app.predict_vectors(ROWS),
    "rank": lambda app: app.rank([Term(concept="a")]),
    "rank_inputs": lambda app: app.rank_inputs([Term(vector=ROW.astype(np.float32))]),
    "rename_concepts": lambda app: app.rename_concepts([("a", "new")]),
    "request_evaluation": lambda app: app.request_evaluation("m", "v"),
    "scores": lambda app: app.scores(ROWS.astype(np.float32), "m"),  # type: ignore[arg-type]
    "search": lambda app: app.search(vector=ROW),
    "search_vectors": lambda app: app.search_vectors(ROWS),
    "set_thresholds": lambda app: app.set_thresholds({"a": 0.4}),
    "state": lambda app: app.state(),
    "suggest": lambda app: app.suggest(),
    "tail": lambda app: app.tail,
    "thresholds": lambda app: app.thresholds(),
    "thumbnail": lambda app: app.thumbnail(HASH),
    "update_many": lambda app: app.update_many([InputChange("x0", metadata={})]),
    "update_model": lambda app: app.update_model("m", name="n"),
    "vectors": lambda app: app.vectors(["x0"]),
    "version": lambda app: app.version("m", "v"),
    "versions": lambda app: app.versions("m"),
    "with_pictures": lambda app: app.with_pictures([HASH]),
    "workflow": lambda app: app.workflow("w"),
    "workflow_change": lambda app: app.workflow_change(),
    "workflows": lambda app: app.workflows(),
    "zero_shot": lambda app: app.zero_shot(PICTURE, ["a"]),
}
STORE_CALLS: dict[str, Callable[[Store], Any]] = {
    "app": lambda store: store.app("mine"),
    "app_by_id": lambda store: store.app_by_id(HASH[:32]),
    "apps": lambda store: store.apps(),
    "collections": lambda store: store.collections(),
    "create_app": lambda store: store.create_app("new", "vectors", dim=8),
    "delete_app": lambda store: store.delete_app("mine"),
    "embedder": lambda store: store.embedder("general-fast"),
    "examine": lambda store: store.examine(),
    "import_app": lambda store: store.import_app("no-such-folder"),
    "opened_app": lambda store: store.opened_app(HASH[:32]),
    "waiting": lambda store: store.waiting(),
    "warm_up": lambda store: store.warm_up(),
}


FACTS = {"open", "close", "rest", "in_memory", "used_at", "id", "name", "created_at", "recipe", "dim"}
"""What is told whether a thing is closed or not."""


def _public(kind: type) -> set[str]:
    """What may be asked of a thing that was opened."""
    return {name for name in dir(kind) if not name.startswith("_")} - FACTS


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    facts = {path: path.stat() for path in folder.rglob("*")}
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in facts.items()}


@pytest.fixture
def closed(tmp_path: Path) -> tuple[Store, App, App]:
    """A closed store, its app of vectors, and the one that can see."""
    with Store.open(tmp_path / "data") as store:
        app = store.create_app("mine", "vectors", dim=8)
        app.add_vectors(ROWS, ["x0", "x1"], [{"a": True}, {"a": False}])
        app.create_model("m", ["a"])
        return store, app, store.create_app("seeing", "general-fast")


def test_every_public_call_of_a_closed_store_and_its_apps_raises_store_closed_and_writes_nothing(
    closed: tuple[Store, App, App], tmp_path: Path
) -> None:
    assert _public(App) == APP_CALLS.keys()
    assert _public(Store) == STORE_CALLS.keys()
    store, mine, seeing = closed
    before = _files(tmp_path)
    for name, ask in STORE_CALLS.items():
        with pytest.raises(StoreClosed):
            pytest.fail(f"store.{name} gave {ask(store)!r}")
    for name, call in APP_CALLS.items():
        app = seeing if name == "change_workflow" else mine
        with pytest.raises(StoreClosed):
            pytest.fail(f"app.{name} gave {call(app)!r}")
    assert _files(tmp_path) == before
    assert str(mine) == "App('mine', workflow='vectors', dim=8, closed)"
    mine.close()
    store.close()


def test_iterators_that_were_begun_before_the_end_say_so_too(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    app = store.create_app("mine", "vectors", dim=8)
    results = app.add_many(AddRequest(vector=np.random.default_rng(i).normal(size=8)) for i in range(100))
    first = next(results)
    export = app.export_stream()
    next(export)
    store.close()
    with pytest.raises(StoreClosed):
        list(export)
    told = [first]
    with pytest.raises(StoreClosed):
        told.extend(results)
    with Store.open(tmp_path) as again:
        assert [one.id for one in again.app("mine").inputs()] == [known(result.input).id for result in told]


def test_what_is_being_searched_when_the_store_closes_is_never_found_empty(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    app = store.create_app("mine", "vectors", dim=8)
    app.add_vectors(ROWS)
    wrong, begun = list[object](), threading.Event()

    def search() -> None:
        try:
            while True:
                if len(hits := app.search(vector=ROW, k=2)) != 2:
                    wrong.append(hits)
                    return
                begun.set()
        except StoreClosed:
            pass
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    store.close()
    for thread in threads:
        thread.join(10)
    assert wrong == []


def test_who_has_come_as_far_as_the_model_when_the_store_closes_is_told_so(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        picture_embedder = store.create_app("a", "general-fast").picture_embedder()
        embedder, pixels = picture_embedder.embedder, picture_embedder.preprocess(PICTURE)
    with pytest.raises(StoreClosed, match="the embedder of workflow 'general-fast' is closed"):
        embedder.embed_pixels([pixels])


def test_a_write_that_is_under_way_is_finished_before_the_folder_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path)
    app = store.create_app("mine", "vectors", dim=8)
    upsert, begun, go_on = Collection.upsert, threading.Event(), threading.Event()

    def held(*arguments: Any) -> None:
        begun.set()
        assert go_on.wait(10)
        upsert(*arguments)

    monkeypatch.setattr(Collection, "upsert", held)
    stored = list[object]()
    writing = threading.Thread(target=lambda: stored.append(app.add_vectors(ROWS)))
    closing = threading.Thread(target=store.close)
    writing.start()
    assert begun.wait(10)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive()
    go_on.set()
    for thread in (writing, closing):
        thread.join(10)
    assert len(stored) == 1
    with Store.open(tmp_path) as again:
        assert len(again.app("mine").search(vector=ROW)) == 2


def test_a_folder_is_given_back_although_closing_fails_and_what_failed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path)
    apps = [store.create_app(name, "vectors", dim=8) for name in "abc"]
    close, ended = App.close, []

    def failing(app: App) -> None:
        close(app)
        ended.append(app.name)
        if app.name == "b":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(store._apps, "_close", failing)
    with pytest.raises(OSError, match="No space left"):
        store.close()
    assert sorted(ended) == ["a", "b", "c"]
    with Store.open(tmp_path) as again:
        assert len(again.apps()) == 3
    with pytest.raises(StoreClosed):
        apps[0].inputs()


def test_a_store_that_can_not_be_opened_gives_the_folder_and_the_database_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(24, "Too many open files")

    Store.open(tmp_path).close()
    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr("tenshot.index.store.Collections.sweep", failing)
        with pytest.raises(OSError, match="Too many open files"):
            Store.open(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    Store.open(tmp_path).close()


def test_an_app_that_is_deleted_is_not_found_and_one_that_is_opened_meanwhile_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(tmp_path) as store:
        app = store.create_app("mine", "vectors", dim=8)
        app.add_vectors(ROWS)
        delete, again = store.catalog.deletions.delete, list[App]()

        def deleted(id: str) -> Iterator[set[str]]:
            """Somebody opens it again at the last moment."""
            again.append(store.app("mine"))
            return delete(id)

        monkeypatch.setattr(store.catalog.deletions, "delete", deleted)
        store.delete_app("mine")
        assert store.opened_app(app.id) is None
        assert not (tmp_path / "collections" / app.id).exists()
        for gone in (app, again[0]):
            for call in (gone.search_vectors, gone.add_vectors, gone.predict_vectors):
                with pytest.raises(AppNotFound):
                    call(ROWS)
        with pytest.raises(AppNotFound):
            store._open_app(app.id)  # as somebody does who had asked for it before
