"""Another base workflow for an app that is in use: nothing is lost, nothing is mixed, whatever ends the process."""

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from pictures import png

from tenshot import Store
from tenshot.embeddings.base.embedder import WorkflowError
from tenshot.index.app import App
from tenshot.index.catalog import database
from tenshot.index.errors import BadRequest, NotSupported
from tenshot.index.records import AddRequest, ChangeState

OLD, NEW = "general", "general-fast"
FEW = 24

CHILD = """
import sys, time
from tenshot import Store
with Store.open(sys.argv[1]) as store:
    app = store.app("birds")
    app.change_workflow("general-fast")
    while True:
        print(app.workflow_change().done, flush=True)
        time.sleep(0.01)
"""


@pytest.fixture
def birds(store: Store) -> App:
    """Discs and stripes, half of them labelled, and a model of both with a frozen version."""
    return filled(store, FEW)


def filled(store: Store, count: int) -> App:
    app = store.create_app("birds", OLD)
    kinds = ("discs", "stripes")
    requests = [
        AddRequest(
            png(kinds[i % 2], i),
            f"x{i}",
            {kinds[i % 2]: True} if i < count // 2 else {},
            crop=(0, 0, 0.9, 0.9) if i % 5 == 0 else None,
        )
        for i in range(count)
    ]
    assert all(result.error is None for result in app.add_many(requests))
    app.create_model("both", kinds, mutually_exclusive=True, closed_environment=True)
    return app


def right(app: App, count: int = FEW) -> float:
    """The share of the unlabelled inputs that the model gets right."""
    guesses = [app.predict_input(f"x{i}", "both")[0].concept_id == ("discs", "stripes")[i % 2] for i in range(count)]
    return float(np.mean(guesses[count // 2 :]))


def check_like_new(store: Store, app: App) -> None:
    """Vectors, labels, predictions and searches are those of an app that was made with the new workflow."""
    assert (app.recipe.workflow, app.dim) == (NEW, 1280)
    fresh = store.create_app("fresh", NEW)
    ids = [one.id for one in app.inputs(per_page=1000)]
    inputs = app.inputs_by_id(ids)
    for id in ids:
        fresh.add(app.picture(id), id, dict(inputs[id].concepts), crop=inputs[id].crop)
    ours, theirs = app.vectors(ids), fresh.vectors(ids)
    assert (ours * theirs).sum(axis=1).min() > 0.999
    assert [hit.input_id for hit in app.search(input_id="x3", k=5)] == [
        hit.input_id for hit in fresh.search(input_id="x3", k=5)
    ]


def test_labels_and_models_carry_over(store: Store, birds: App) -> None:
    labels = {one.id: dict(one.concepts) for one in birds.inputs()}
    change = birds.change_workflow(NEW, wait=True)
    assert (change.state, change.done, change.total) == (ChangeState.DONE, FEW, FEW)
    assert {one.id: dict(one.concepts) for one in birds.inputs()} == labels
    assert right(birds) > 0.8
    assert birds.predict(png("discs", 1000))[0].concept_id == "discs"
    check_like_new(store, birds)


def test_it_is_remembered_after_a_restart(tmp_path: Path) -> None:
    with Store.open(tmp_path / "again") as store:
        app = filled(store, 8)
        app.predict_input("x1", "both")
        app.change_workflow(NEW, wait=True)
        before = app.predict_input("x7", "both")
    with Store.open(tmp_path / "again") as store:
        app = store.app("birds")
        assert app.recipe.workflow == NEW
        assert [one.value for one in app.predict_input("x7", "both")] == pytest.approx([one.value for one in before])
        check_like_new(store, app)


def test_it_serves_all_the_while_and_new_inputs_come_along(store: Store, birds: App) -> None:
    failures: list[Exception] = []
    stop = threading.Event()
    answers = []

    def ask() -> None:
        while not stop.is_set():
            try:
                answers.append(birds.predict(png("discs", 500), "both")[0].concept_id)
                birds.search(image=png("stripes", 500), k=3)
            except Exception as error:
                failures.append(error)
                return

    asking = threading.Thread(target=ask)
    asking.start()
    change = birds.change_workflow(NEW)
    assert change.state is ChangeState.RUNNING or change.done == FEW
    for i in range(FEW, FEW + 12):
        birds.add(png("discs", i), f"x{i}", {"discs": True})
    while (now := birds.workflow_change()) and now.state is ChangeState.RUNNING:
        time.sleep(0.01)
    stop.set()
    asking.join()
    assert not failures
    assert set(answers) == {"discs"}
    assert now is not None
    assert now.state is ChangeState.DONE
    check_like_new(store, birds)


def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    count = 96
    with Store.open(tmp_path / "killed") as store:
        filled(store, count)
    command = [sys.executable, "-c", CHILD, str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        for line in child.stdout:
            if 0 < int(line) < count:
                break
            assert int(line) < count, "too fast to be killed in the middle"
        child.kill()
    with Store.open(tmp_path / "killed") as store:
        left = store.catalog.workflow_changes.latest(store.catalog.apps.find("birds").id)
        assert left is not None
        assert left.state is ChangeState.RUNNING
        assert 0 < left.done < count
        store.warm_up()  # as a server does when it starts; nobody has to ask for the app
        app = store.opened_app(store.catalog.apps.find("birds").id)
        assert app
        while (now := app.workflow_change()) and now.state is ChangeState.RUNNING:
            assert now.done >= left.done
            time.sleep(0.02)
        assert now is not None
        assert (now.state, now.done) == (ChangeState.DONE, count)
        check_like_new(store, app)


def test_cancelled_it_leaves_everything_as_it_was(store: Store, birds: App) -> None:
    before = birds.vectors(["x0", "x1"])
    birds.change_workflow(NEW)
    cancelled = birds.cancel_workflow_change()
    change = birds.workflow_change()
    assert change is not None
    if cancelled:  # else it was faster than we
        assert change.state is ChangeState.CANCELLED
        assert birds.recipe.workflow == OLD
        np.testing.assert_array_equal(birds.vectors(["x0", "x1"]), before)
        assert birds.change_workflow(NEW, wait=True).state is ChangeState.DONE
    assert not birds.cancel_workflow_change()


def test_asked_for_again_it_goes_on_as_it_is(birds: App) -> None:
    first = birds.change_workflow(NEW)
    again = birds.change_workflow(NEW, wait=True)
    if first.state is ChangeState.RUNNING:  # else it was faster than we
        assert again.key == first.key
        assert again.state is ChangeState.DONE
    with pytest.raises(BadRequest, match="sees with 'general-fast' already"):
        birds.change_workflow(NEW)


def test_one_that_fails_after_it_was_cancelled_ends_no_other(birds: App) -> None:
    begun = birds.change_workflow(NEW)
    if birds.cancel_workflow_change():  # else it was faster than we
        other = birds.state().catalog.workflow_changes.begin(birds.id, begun.recipe)
        assert not birds.state().catalog.workflow_changes.give_up(birds.id, ChangeState.FAILED, "late", begun)
        assert birds.state().catalog.workflow_changes.running() == [birds.id]
        assert birds.state().catalog.workflow_changes.give_up(birds.id, ChangeState.CANCELLED, None, other)
        assert birds.state().catalog.workflow_changes.running() == []


def test_a_frozen_version_says_that_it_saw_with_another_workflow_and_answers_when_that_is_back(birds: App) -> None:
    frozen = birds.create_version("both")
    before = birds.predict(png("discs", 77), "both", version=frozen.id)
    birds.change_workflow(NEW, wait=True)
    with pytest.raises(NotSupported, match=r"frozen under the base workflow 'general'.*freeze a new version"):
        birds.predict(png("discs", 77), "both", version=frozen.id)
    with pytest.raises(NotSupported):
        birds.create_version("both", like=frozen.id)
    newer = birds.create_version("both")
    assert birds.predict(png("discs", 77), "both", version=newer.id)[0].concept_id == "discs"
    birds.change_workflow(OLD, wait=True)
    after = birds.predict(png("discs", 77), "both", version=frozen.id)
    assert [one.value for one in after] == pytest.approx([one.value for one in before], abs=1e-4)
    with pytest.raises(NotSupported, match="'general-fast'"):
        birds.predict(png("discs", 77), "both", version=newer.id)


def test_what_can_not_be_changed_is_said_at_once(store: Store, birds: App) -> None:
    with pytest.raises(BadRequest, match="already"):
        birds.change_workflow(OLD)
    with pytest.raises(BadRequest, match="another app"):
        birds.change_workflow("vectors")
    with pytest.raises(WorkflowError, match="no base workflow"):
        birds.change_workflow("nonsense")
    with pytest.raises(BadRequest, match="another app"):
        store.create_app("mine", "vectors", dim=8).change_workflow(NEW)
    birds.add_vectors(np.eye(1280)[:2])
    with pytest.raises(BadRequest, match="2 inputs have a vector, but no picture"):
        birds.change_workflow(NEW)
    assert birds.workflow_change() is None


@pytest.fixture
def twins(store: Store) -> tuple[App, App]:
    return store.create_app("one", NEW), store.create_app("two", NEW)


def test_a_picture_is_embedded_once_whoever_adds_it(twins: tuple[App, App], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = twins
    first = one.add(png("discs", 1), "a")
    box = (0.0, 0.0, 0.5, 0.5)
    one.add(png("discs", 1), "part", crop=box)

    def refuse(*_: object) -> None:
        raise AssertionError("embedded twice")

    monkeypatch.setattr(one.base_workflow(), "embed_pixels", refuse)
    two.add(png("discs", 1), "b")
    two.add(png("discs", 1), "part", crop=box)
    np.testing.assert_array_equal(one.vectors([first.id, "part"]), two.vectors(["b", "part"]))
    with pytest.raises(AssertionError, match="embedded twice"):
        two.add(png("discs", 1), "other part", crop=(0.0, 0.0, 0.5, 0.6))


def test_a_change_goes_on_when_the_database_is_free_again(
    birds: App, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PATIENCE_S", 0.1)
    other = sqlite3.connect(store.path / "tenshot.db", isolation_level=None)
    birds.change_workflow(NEW)
    other.execute("BEGIN IMMEDIATE")
    time.sleep(2)
    change = birds.workflow_change()
    assert change
    assert (change.state, change.done) == (ChangeState.RUNNING, 0)
    other.close()
    deadline = time.monotonic() + 60
    while change and change.state is ChangeState.RUNNING and time.monotonic() < deadline:
        time.sleep(0.02)
        change = birds.workflow_change()
    assert change
    assert change.state is ChangeState.DONE
    assert right(birds) > 0.9
