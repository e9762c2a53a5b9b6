"""Lost pictures, errors and dead workers end no change of a base workflow silently, and cost nothing but themselves."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known import known
from pictures import png

from tenshot import Store
from tenshot.embeddings.workflows import recipe_of
from tenshot.index.app import App, embedding, reembedding
from tenshot.index.app.state import AppState, Current
from tenshot.index.errors import StoreBusy
from tenshot.index.records import AddRequest, AppRecord, ChangeState, InputStatus

OLD, NEW = "general", "general-fast"
COUNT = 12


def birds_in(store: Store) -> App:
    """Discs and stripes x0, ..., x11, all labelled."""
    app = store.create_app("birds", OLD)
    kinds = ("discs", "stripes")
    app_inputs = [AddRequest(png(kinds[i % 2], i), f"x{i}", {kinds[i % 2]: True}) for i in range(COUNT)]
    assert all(result.error is None for result in app.add_many(app_inputs))
    return app


@pytest.fixture
def birds(store: Store, monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.setattr(reembedding, "_RETRY_S", 0.01)
    monkeypatch.setattr(reembedding, "_BATCH", 4)
    return birds_in(store)


def lose(app: App, *ids: str) -> None:
    for id in ids:
        app.state().blobs._path(known(app.input(id).sha256)).unlink()


def test_a_lost_picture_fails_its_input_and_no_other(birds: App) -> None:
    lose(birds, "x3")
    change = birds.change_workflow(NEW, wait=True)
    assert change.state is ChangeState.DONE
    assert "1 of the inputs could not be embedded" in known(change.failure)
    assert "x3" in known(change.failure)
    lost = birds.input("x3")
    assert lost.status is InputStatus.FAILED
    assert "the picture is lost" in known(lost.status_reason)
    assert birds.recipe.workflow == NEW
    others = [f"x{i}" for i in range(COUNT) if i != 3]
    assert [one.id for one in birds.inputs(status=InputStatus.READY)] == others
    assert {hit.input_id for hit in birds.search(input_id="x0", k=COUNT)} == set(others)
    keys = {key for labels in birds.state().teacher.labels_of(["discs", "stripes"]).values() for key in labels}
    assert lost.key not in keys
    assert birds.predict_input("x0")[0].concept_id == "discs"


def test_after_a_restart_the_lost_one_is_failed_still(tmp_path: Path) -> None:
    with Store.open(tmp_path / "again") as store:
        app = birds_in(store)
        lose(app, "x3")
        app.change_workflow(NEW, wait=True)
        before = app.predict_input("x5")
    with Store.open(tmp_path / "again") as store:
        app = store.app("birds")
        assert app.input("x3").status is InputStatus.FAILED
        np.testing.assert_allclose(
            [one.value for one in app.predict_input("x5")], [one.value for one in before], atol=1e-6
        )


def test_where_many_are_lost_everything_stays_as_it_was(birds: App) -> None:
    before = birds.vectors(["x0", "x3"])
    lose(birds, "x1", "x3")
    change = birds.change_workflow(NEW, wait=True)
    assert change.state is ChangeState.FAILED
    assert "2 of 12 inputs can't be embedded: x1 (the picture is lost), x3" in known(change.failure)
    assert birds.recipe.workflow == OLD
    assert birds.input("x3").status is InputStatus.READY
    np.testing.assert_array_equal(birds.vectors(["x0", "x3"]), before)
    # With the pictures back it works.
    birds.add(png("stripes", 1), "y1")
    birds.add(png("stripes", 3), "y3")
    change = birds.change_workflow(NEW, wait=True)
    assert (change.state, change.failure) == (ChangeState.DONE, None)


def test_a_picture_that_could_not_be_opened_for_a_moment_is_not_lost(
    birds: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at, calls = embedding.looked_at, []

    def once(state: AppState, recipe: Any, pictures: Sequence[Any]) -> Any:
        looks, lost = looked_at(state, recipe, pictures)
        if not calls:
            calls.append(1)
            lost = dict.fromkeys(list(looks)[:1], "its decoder was killed")
            looks = {key: look for key, look in looks.items() if key not in lost}
        return looks, lost

    monkeypatch.setattr(embedding, "looked_at", once)
    change = birds.change_workflow(NEW, wait=True)
    assert (change.state, change.failure, change.done) == (ChangeState.DONE, None, COUNT)


def test_one_without_a_worker_is_taken_up_again(birds: App) -> None:
    begun = birds.state().catalog.workflow_changes.begin(birds.id, asdict(recipe_of(NEW)))
    change = birds.change_workflow(NEW, wait=True)
    assert (change.key, change.state) == (begun.key, ChangeState.DONE)


def test_an_unexpected_error_is_tried_again(birds: App, monkeypatch: pytest.MonkeyPatch) -> None:
    missing, left = birds.state().catalog.workflow_changes.missing, [1, 2, 3]

    def sometimes(*asked: Any) -> Any:
        if left:
            left.pop()
            raise RuntimeError("out of luck")
        return missing(*asked)

    monkeypatch.setattr(birds.state().catalog.workflow_changes, "missing", sometimes)
    assert birds.change_workflow(NEW, wait=True).state is ChangeState.DONE


def test_an_error_that_stays_is_told(birds: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(embedding, "looked_at", never)
    change = birds.change_workflow(NEW, wait=True)
    assert (change.state, change.failure) == (ChangeState.FAILED, "RuntimeError: out of luck")
    monkeypatch.undo()
    assert birds.change_workflow(NEW, wait=True).state is ChangeState.DONE


def test_memory_and_sql_switch_together_or_not_at_all(birds: App, monkeypatch: pytest.MonkeyPatch) -> None:
    load, seen = Current.load, []

    def busy_at_first(current: Current, record: AppRecord) -> Any:
        if not seen:
            seen.append((current.catalog.apps.get(current.id).recipe["workflow"], current.recipe.workflow))
            raise StoreBusy("others write")
        return load(current, record)

    monkeypatch.setattr(Current, "load", busy_at_first)
    change = birds.change_workflow(NEW, wait=True)
    assert seen == [(OLD, OLD)]
    assert (change.state, birds.recipe.workflow) == (ChangeState.DONE, NEW)
    added = birds.add(png("discs", 500), "new")
    assert birds.search(input_id="new", k=1)[0].input_id == added.id


def test_inputs_are_passed_through_by_key(birds: App, monkeypatch: pytest.MonkeyPatch) -> None:
    missing, asked = birds.state().catalog.workflow_changes.missing, []

    def noted(app_id: str, workflow: str, most: int, after: int = 0) -> Any:
        found = missing(app_id, workflow, most, after)
        asked.append((after, [key for key, _, _ in found]))
        return found

    monkeypatch.setattr(birds.state().catalog.workflow_changes, "missing", noted)
    birds.change_workflow(NEW, wait=True)
    filled = [(after, keys) for after, keys in asked if keys]
    assert [len(keys) for _, keys in filled] == [4, 4, 4]
    assert [after for after, _ in filled] == [0, filled[0][1][-1], filled[1][1][-1]]
    # Once more for what came meanwhile, and once under the lock.
    assert len(asked) <= 6


def test_a_lost_picture_is_left_out_of_a_comparison(birds: App) -> None:
    lose(birds, "x3")
    [one] = birds.compare_workflows([NEW], shots=(1,), draws=2).workflows
    assert one.inputs == COUNT - 1
