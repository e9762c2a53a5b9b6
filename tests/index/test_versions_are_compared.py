"""What changed between two versions, on the same inputs, and which is better on the labels of today."""

import numpy as np
import pytest
from known import known
from sklearn.datasets import load_digits

from tenshot import Store
from tenshot.index.analysis.version_diff import differences
from tenshot.index.app import App
from tenshot.index.errors import BadRequest, InputNotFound, ModelNotFound, VersionNotFound
from tenshot.index.records import Scores


@pytest.fixture
def model(taught: App) -> str:
    return taught.create_model("m", list("abc"), mutually_exclusive=True, closed_environment=True).id


def test_nothing_changes_between_the_same_labels(taught: App, model: str) -> None:
    first, second = taught.create_version(model), taught.create_version(model)
    for after in (second.id, None, "labels"):
        found = taught.compare(model, first.id, after)
        assert (found.inputs, found.changed, found.changes) == (60, 0, ())
        assert found.quality_before == found.quality_after
        assert {one.concept_id: one.mean_value_change for one in found.concepts} == {"a": 0, "b": 0, "c": 0}
    assert found.after == "labels"


def test_inputs_that_come_out_otherwise_are_named_with_what_they_were(taught: App, model: str) -> None:
    old = taught.create_version(model)
    before = {f"x{i}": taught.predict_input(f"x{i}", model, version=old.id)[0] for i in range(60)}
    taught.label_many({f"x{i}": {"a": None, "b": True} for i in range(5)})
    new = taught.create_version(model)
    found = taught.compare(model, old.id, new.id, n=1000)
    changed = {one.input_id: one for one in found.changes}
    assert found.changed == len(changed) >= 15
    for i in range(60):
        id, after = f"x{i}", taught.predict_input(f"x{i}", model, version=new.id)
        was, now = before[id], after[0]
        decided = {one.concept_id: one.decision for one in taught.predict_input(id, model, version=old.id)}
        turned = {one.concept_id: one.decision for one in after if decided.get(one.concept_id, False) != one.decision}
        gone = {concept: False for concept, said in decided.items() if said and concept == "a"}
        assert (id in changed) == (was.concept_id != now.concept_id or bool(turned))
        if id in changed:
            one = changed[id]
            assert (one.best_before, one.best_after) == (was.concept_id, now.concept_id)
            assert one.value_before == pytest.approx(was.value, abs=1e-6)
            assert dict(one.decided) == turned | gone
    assert taught.compare(model, old.id, new.id, n=2).changes == found.changes[:2]
    assert taught.compare(model, old.id, new.id, inputs=["x0", "x59"]).inputs == 2


def test_more_labels_are_found_to_be_better(store: Store) -> None:
    pixels, digits = load_digits(return_X_y=True)
    app = store.create_app("digits", workflow="vectors", dim=64)
    app.add_vectors(pixels[:150], [f"x{i}" for i in range(150)])
    app.create_model("m", [str(d) for d in range(10)])
    app.label_many({f"x{i}": {str(digits[i]): True} for i in range(20)})
    old = app.create_version("m")
    app.label_many({f"x{i}": {str(digits[i]): True} for i in range(20, 150)})
    found = app.compare("m", old.id)
    assert found.judged == 150
    before, after = found.quality_before, found.quality_after
    assert known(after.accuracy) > known(before.accuracy) + 0.1
    assert known(after.mean_average_precision) > known(before.mean_average_precision)
    assert after.accuracy == app.evaluate("m").accuracy
    back = app.create_version("m", like=old.id)
    again = app.compare("m", old.id, back.id)
    assert (again.changed, again.quality_before) == (0, again.quality_after)


def test_a_version_that_lacks_a_concept_is_judged_on_it_all_the_same(taught: App, model: str) -> None:
    old = taught.create_version(model)
    taught.update_model(model, concepts=["a", "b", "c", "d"])
    taught.label_many({f"x{i}": {"a": None, "d": True} for i in range(5)} | {"x10": {"a": True}, "x11": {"a": True}})
    found = taught.compare(model, old.id)
    assert [one.concept_id for one in found.concepts] == ["a", "b", "c", "d"]
    assert found.judged == 17
    assert known(found.quality_before.accuracy) <= 12 / 17
    assert known(found.quality_after.accuracy) > known(found.quality_before.accuracy)
    assert found.concepts[3].mean_value_change is None
    assert found.quality_after.accuracy == taught.evaluate(model).accuracy


def test_changed_thresholds_are_changed_decisions(taught: App) -> None:
    taught.create_model("m", list("abc"))
    old = taught.create_version("m")
    taught.set_thresholds({"a": 0.0}, "m")
    found = taught.compare("m", old.id)
    assert found.changed
    assert all(one.decided == {"a": True} and one.best_before == one.best_after for one in found.changes)
    [head] = [one for one in taught.versions("m") if one.follows_labels]
    same = taught.compare("m", head.id)
    assert (same.changed, same.quality_before) == (0, same.quality_after)


def test_where_nothing_is_left_there_is_nothing_to_compare(taught: App, model: str) -> None:
    old = taught.create_version(model)
    taught.delete_all()
    found = taught.compare(model, old.id)
    assert (found.inputs, found.changed, found.judged, found.quality_before.accuracy) == (0, 0, 0, None)
    with pytest.raises(VersionNotFound):
        taught.compare(model, "nobody")
    with pytest.raises(VersionNotFound):
        taught.compare(model, old.id, "nobody")
    with pytest.raises(ModelNotFound):
        taught.compare("nobody", old.id)
    with pytest.raises(InputNotFound):
        taught.compare(model, old.id, inputs=["x0"])
    with pytest.raises(BadRequest):
        taught.compare(model, old.id, n=0)


def test_a_concept_that_one_side_lacks_counts_as_a_no() -> None:
    half = np.float32([0.5, 0.5])
    before = Scores(["a", "b"], np.float32([[0.9, 0.2], [0.1, 0.8]]), half)
    after = Scores(["b", "c"], np.float32([[0.2, 0.9], [0.9, 0.1]]), half)
    found = differences(before, after, ["x", "y"], 10)
    assert found.changed == 1
    [change] = found.changes
    assert (change.input_id, change.best_before, change.best_after) == ("x", "a", "c")
    assert change.decided == {"a": False, "c": True}
    assert found.moved == {"b": pytest.approx(0.05)}
