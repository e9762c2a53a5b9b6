"""A label that was given is in the very next prediction, on any thread, and after a restart."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenshot import AddRequest, Store
from tenshot.index.app import App
from tenshot.index.errors import InputNotFound, ModelNotFound, NothingToLearn, VersionNotFound
from tenshot.index.records import InputChange, InputStatus, Scores
from tenshot.index.vectors.collection import Collection

QUERY = np.eye(8)[:3]


def _best(scores: Scores) -> list[str]:
    return [scores.concept_ids[i] for i in scores.values.argmax(axis=1)]


def test_ten_labels_are_enough_for_the_built_in_model(taught: App) -> None:
    assert _best(taught.predict_vectors(QUERY)) == ["a", "b", "c"]


def test_a_new_label_changes_the_next_prediction(taught: App) -> None:
    before = taught.predict_vectors(QUERY)
    taught.label("x6", {"new": True})
    after = taught.predict_vectors(QUERY)
    assert "new" not in before.concept_ids
    assert "new" in after.concept_ids


def test_a_changed_and_a_removed_label_change_it_too_and_taking_all_back_restores_it(taught: App) -> None:
    before = taught.predict_vectors(QUERY)
    taught.label("x0", {"a": False, "b": True})
    changed = taught.predict_vectors(QUERY)
    assert not np.allclose(changed.values, before.values, atol=1e-3)
    taught.label("x0", {"a": True, "b": None})
    np.testing.assert_allclose(taught.predict_vectors(QUERY).values, before.values, atol=1e-4)


def test_every_thread_sees_a_label_once_it_was_given(taught: App) -> None:
    wrong: list[int] = []

    def look(i: int) -> None:
        if f"t{i}" not in taught.predict_vectors(QUERY).concept_ids:
            wrong.append(i)

    for i in range(50):
        taught.label(f"x{i}", {f"t{i}": True})
        thread = threading.Thread(target=look, args=(i,))
        thread.start()
        thread.join()
    assert wrong == []


def test_labels_given_from_many_threads_are_all_kept(taught: App) -> None:
    def teach(start: int) -> None:
        for i in range(start, 60, 6):
            taught.label(f"x{i}", {"seen": True})
            taught.predict_vectors(QUERY)

    threads = [threading.Thread(target=teach, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("seen" in taught.input(f"x{i}").concepts for i in range(60))


def test_a_restart_gives_the_same_numbers(tmp_path: Path, taught: App, store: Store) -> None:
    taught.create_model("abc", ["a", "b", "c"], mutually_exclusive=True, closed_environment=True)
    before = [taught.predict_vectors(QUERY), taught.predict_vectors(QUERY, "abc")]
    store.close()
    with Store.open(tmp_path / "data") as again:
        app = again.app("mine")
        for old, new in zip(before, [app.predict_vectors(QUERY), app.predict_vectors(QUERY, "abc")], strict=True):
            assert new.concept_ids == old.concept_ids
            np.testing.assert_allclose(new.values, old.values, atol=1e-6)


def test_an_exclusive_closed_model_shares_out_one(taught: App) -> None:
    taught.create_model("abc", ["a", "b", "c"], mutually_exclusive=True, closed_environment=True)
    scores = taught.predict_vectors(QUERY, "abc")
    assert _best(scores) == ["a", "b", "c"]
    np.testing.assert_allclose(scores.values.sum(axis=1), 1, atol=1e-5)


def test_a_model_knows_its_own_concepts_only_and_follows_a_change_of_them(taught: App) -> None:
    taught.create_model("ab", ["a", "b"])
    assert taught.predict_vectors(QUERY, "ab").concept_ids == ["a", "b"]
    taught.update_model("ab", concepts=["b", "c"])
    assert taught.predict_vectors(QUERY, "ab").concept_ids == ["b", "c"]
    taught.delete_models("ab")
    with pytest.raises(ModelNotFound):
        taught.predict_vectors(QUERY, "ab")


def test_a_frozen_version_never_changes_while_the_model_goes_on(tmp_path: Path, taught: App, store: Store) -> None:
    taught.create_model("abc", ["a", "b", "c"])
    version = taught.create_version("abc")
    before = taught.predict_vectors(QUERY, "abc", version=version.id)
    taught.label_many({f"x{i}": {"a": False} for i in range(5)} | {f"x{i}": {"a": True} for i in range(50, 60)})
    taught.delete(["x20", "x21"])
    assert not np.allclose(taught.predict_vectors(QUERY, "abc").values, before.values, atol=0.05)
    np.testing.assert_array_equal(taught.predict_vectors(QUERY, "abc", version=version.id).values, before.values)
    store.close()
    with Store.open(tmp_path / "data") as again:
        frozen = again.app("mine").predict_vectors(QUERY, "abc", version=version.id)
        np.testing.assert_array_equal(frozen.values, before.values)


def test_versions_are_listed_newest_first_and_can_be_deleted(taught: App) -> None:
    taught.create_model("abc", ["a", "b", "c"])
    first, second = taught.create_version("abc"), taught.create_version("abc")
    assert [version.id for version in taught.versions("abc") if version.frozen] == [second.id, first.id]
    taught.delete_version("abc", first.id)
    with pytest.raises(VersionNotFound):
        taught.version("abc", first.id)


def test_nothing_can_be_frozen_without_labels(taught: App) -> None:
    taught.create_model("empty")
    taught.create_model("untaught", ["nobody"])
    for model in ("empty", "untaught"):
        with pytest.raises(NothingToLearn):
            taught.create_version(model)


def test_leave_one_out_evaluation_of_separate_clouds_is_perfect(taught: App) -> None:
    taught.create_model("abc", ["a", "b", "c"], mutually_exclusive=True, closed_environment=True)
    for model in (None, "abc"):
        result = taught.evaluate(model)
        assert result.inputs == 15
        assert result.accuracy == 1
        assert [quality.concept_id for quality in result.concepts] == ["a", "b", "c"]
        assert all(quality.roc_auc == 1 and quality.positives == 5 for quality in result.concepts)


def test_a_wrong_label_shows_in_the_evaluation(taught: App) -> None:
    taught.label("x0", {"a": None, "b": True})
    result = taught.evaluate()
    assert result.accuracy is not None
    assert 0.8 < result.accuracy < 1
    assert result.concepts[1].roc_auc is not None
    assert result.concepts[1].roc_auc < 1


def test_an_explanation_adds_up_and_names_who_voted(taught: App) -> None:
    why = taught.explain("a", vector=QUERY[0])
    assert why.value == pytest.approx(taught.predict_vectors(QUERY[:1]).values[0, 0], abs=1e-6)
    assert why.score == pytest.approx(why.prototype + why.neighbours + why.background)
    assert {neighbour.input_id for neighbour in why.nearest} == {f"x{i}" for i in range(5)}
    assert all(neighbour.label and neighbour.vote > 0 for neighbour in why.nearest)
    assert why.prototype_similarity > 0.9
    assert (why.positives, why.negatives, why.low_confidence) == (5, 0, False)


def test_deleting_inputs_takes_their_labels_along(taught: App) -> None:
    assert taught.delete([f"x{i}" for i in range(5)]) == 5
    assert taught.predict_vectors(QUERY).concept_ids == ["b", "c"]
    assert taught.delete_all() == 55
    assert taught.predict_vectors(QUERY).concept_ids == []


def test_adding_is_lazy_keeps_the_order_and_tells_its_progress(app: App) -> None:
    taken = []

    def requests() -> object:
        for i, vector in enumerate(np.eye(8)):
            taken.append(i)
            yield AddRequest(id=f"v{i}", vector=vector, concepts={"first": i < 4})

    told = []
    results = app.add_many(requests(), progress=told.append)  # type: ignore[arg-type]
    assert taken == []
    assert [result.input.id for result in results if result.input] == [f"v{i}" for i in range(8)]
    assert (told[-1].done, told[-1].failed) == (8, 0)


@pytest.mark.parametrize("page", [False, True])
def test_an_input_that_is_said_to_be_ready_has_its_vector_and_is_found(
    app: App, page: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert, committed, go_on = Collection.upsert, threading.Event(), threading.Event()

    def held(*arguments: Any) -> None:
        committed.set()
        assert go_on.wait(10)
        upsert(*arguments)

    monkeypatch.setattr(Collection, "upsert", held)
    row, said = np.eye(8)[0], list[object]()

    def read() -> None:
        try:
            stored = app.inputs()[0] if page else app.input("x")
            said.append(stored.status)
            np.testing.assert_array_equal(app.vectors(["x"]), [row])
            said.append(app.search(vector=row)[0].input_id)
        except Exception as error:
            said.append(error)

    writing, reading = threading.Thread(target=app.add_vectors, args=([row], ["x"])), threading.Thread(target=read)
    writing.start()
    assert committed.wait(10)
    reading.start()
    reading.join(0.2)
    go_on.set()
    for thread in (reading, writing):
        thread.join(10)
    assert said == [InputStatus.READY, "x"]


def test_an_input_that_is_deleted_while_its_vector_is_asked_for_is_not_found(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.add_vectors(np.eye(8)[:2], ["x", "y"])
    catalog, before = app.state().catalog, app.inputs_by_id(["x", "y"])
    app.delete("y")
    monkeypatch.setattr(catalog.inputs, "get", lambda *_: before)
    with pytest.raises(InputNotFound, match="no input 'y'"):
        app.vectors(["x", "y"])


def test_who_never_reads_the_results_is_warned_that_nothing_was_added(app: App) -> None:
    with pytest.warns(ResourceWarning, match="add_many added nothing, for nobody read its results"):
        app.add_many([AddRequest(vector=np.eye(8)[0])])
    assert app.inputs() == []
    some = app.add_many(AddRequest(vector=row) for row in np.eye(8))
    assert next(some).input  # and no warning, which would be an error
    del some
    assert list(app.add_many([])) == []


def test_a_label_of_numpys_that_changes_nothing_writes_nothing(app: App) -> None:
    [yes, no] = np.array([1, 2]) < 2
    app.add_vectors(np.eye(8)[:1], ["x"], [{"a": yes, "b": no}])
    [result] = app.add_many([AddRequest(vector=np.eye(8)[1], id="y", concepts={"a": yes})])
    assert result.input
    for stored in (*app.inputs(), result.input):
        assert all(type(value) is bool for value in stored.concepts.values())
    before = app.state().catalog.labels.seq(app.id)
    for value in (yes, True):
        app.label("x", {"a": value, "b": no})
        app.update_many([InputChange("y", concepts={"a": value})])
    assert app.state().catalog.labels.seq(app.id) == before
    app.label("x", {"b": yes})
    assert app.state().catalog.labels.seq(app.id) == before + 1


@pytest.mark.parametrize("flags", [(False, False), (True, False), (True, True)], ids=["independent", "open", "closed"])
def test_after_a_restart_values_are_the_same_whatever_order_the_labels_came_in(
    store: Store, flags: tuple[bool, bool]
) -> None:
    app = store.create_app("mine", workflow="vectors", dim=256)
    rng = np.random.default_rng(0)
    rows = np.abs(np.repeat(rng.normal(size=(4, 256)), 60, axis=0) + 1.5 * rng.normal(size=(240, 256)))
    app.add_vectors(rows, [f"x{i}" for i in range(240)])
    app.create_model("m", list("abcd"), mutually_exclusive=flags[0], closed_environment=flags[1])
    order = rng.permutation(240).tolist()
    for part in (order[:40], order[40:]):
        app.label_many({f"x{i}": {"abcd"[i // 60]: True} for i in part})
        before = app.predict_vectors(rows, "m").values
    path = store.path
    store.close()
    with Store.open(path) as again:
        np.testing.assert_allclose(again.app("mine").predict_vectors(rows, "m").values, before, atol=1e-7)
