"""From which value on a concept is said to be shown: set, chosen by precision, frozen with a version, kept on disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known import known
from sklearn.datasets import load_digits

from tenshot import Store
from tenshot.index.analysis.evaluation import choose_threshold
from tenshot.index.app import App
from tenshot.index.errors import BadRequest, ConceptNotFound, ModelNotFound

QUERY = np.eye(8)[0] + np.eye(8)[1]


def decisions(app: App, model: str | None = None, version: str | None = None) -> dict[str, bool]:
    scores = app.predict_vectors([QUERY], model, version=version)
    return dict(zip(scores.concept_ids, scores.decisions[0].tolist(), strict=True))


def test_a_threshold_decides(taught: App) -> None:
    app = taught
    value = {one.concept_id: one.value for one in app.predict_input("x0")}
    assert {one.concept_id: one.decision for one in app.predict_input("x0")} == {
        concept: found >= 0.5 for concept, found in value.items()
    }
    app.set_thresholds({"a": value["a"] + 1e-3, "b": 0.0})
    assert {one.concept_id: one.decision for one in app.predict_input("x0")} == {"a": False, "b": True, "c": False}
    app.set_thresholds({"a": None})
    assert app.thresholds() == {"a": 0.5, "b": 0.0, "c": 0.5}


def test_each_model_has_its_own(taught: App) -> None:
    taught.create_model("m", ["a", "b"])
    taught.set_thresholds({"a": 0.0}, "m")
    assert (taught.thresholds("m"), taught.thresholds()["a"]) == ({"a": 0.0, "b": 0.5}, 0.5)
    assert decisions(taught, "m")["a"]
    taught.delete_models("m")
    taught.create_model("m", ["a"])
    assert taught.thresholds("m") == {"a": 0.5}


def test_they_are_there_after_a_restart(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        app = store.create_app("a", workflow="vectors", dim=8)
        app.create_model("m", ["c"])
        app.set_thresholds({"c": 0.25}, "m")
    with Store.open(tmp_path) as store:
        assert store.app("a").thresholds("m") == {"c": 0.25}
        store.app("a").delete_models("m")
    with Store.open(tmp_path) as store:
        store.app("a").create_model("m", ["c"])
        assert store.app("a").thresholds("m") == {"c": 0.5}


def test_a_version_keeps_those_that_it_was_frozen_with(taught: App) -> None:
    taught.create_model("m", ["a", "b", "c"])
    taught.set_thresholds({"a": 0.0}, "m")
    version = taught.create_version("m")
    [head] = [one for one in taught.versions("m") if not one.frozen]
    taught.set_thresholds({"a": 1.0}, "m")
    assert (version.thresholds, taught.version("m", version.id).thresholds) == ({"a": 0.0}, {"a": 0.0})
    assert decisions(taught, "m", version.id)["a"]
    assert not decisions(taught, "m", head.id)["a"]
    back = taught.create_version("m", like=version.id)
    assert decisions(taught, "m", back.id)["a"]
    [quality, *_] = taught.evaluate_version("m", version.id).concepts
    assert (quality.threshold, quality.recall) == (0.0, 1.0)


def test_they_are_chosen_for_a_precision(store: Store) -> None:
    pixels, digits = load_digits(return_X_y=True)
    app = store.create_app("digits", workflow="vectors", dim=64)
    app.add_vectors(pixels[:200], concepts=[{str(digit): True} for digit in digits[:200]])
    before = {one.concept_id: one for one in app.evaluate(precision=0.95).concepts}
    chosen = app.choose_thresholds(precision=0.95)
    assert chosen
    assert app.thresholds() == {str(d): 0.5 for d in range(10)} | chosen
    for concept in app.evaluate(precision=0.95).concepts:
        if concept.concept_id in chosen:
            assert known(concept.precision) >= 0.95
            assert concept.recall == pytest.approx(known(before[concept.concept_id].choice).recall)


def test_what_is_wrong_changes_nothing(taught: App) -> None:
    wrong: list[Any] = [-0.1, 1.1, float("nan"), "high", True, [0.5]]
    for value in wrong:
        with pytest.raises(BadRequest, match=r"\[0, 1\]"):
            taught.set_thresholds({"b": 0.9, "a": value})
    with pytest.raises(ConceptNotFound):
        taught.set_thresholds({"a": 0.9, "nobody": 0.5})
    with pytest.raises(ModelNotFound):
        taught.set_thresholds({"a": 0.9}, "nobody")
    for precision in (0, 1.2, float("nan")):
        with pytest.raises(BadRequest, match="precision"):
            taught.choose_thresholds(precision=precision)
    assert taught.thresholds() == {"a": 0.5, "b": 0.5, "c": 0.5}


def test_a_chosen_threshold_takes_in_what_it_was_chosen_for_in_single_precision() -> None:
    """Neighbours in double precision are one number in single precision, in which values are held against it."""
    high = np.float32(0.7)
    low = np.nextafter(high, np.float32(0))
    choice = choose_threshold(np.array([0.9, high, low], dtype=np.float64), np.array([True, True, False]), 1.0)
    assert choice
    assert np.float32(choice.threshold) == choice.threshold
    assert low < np.float32(choice.threshold) <= high


def test_what_an_evaluation_says_of_a_threshold_is_what_it_does(taught: App) -> None:
    """Leave-one-out values are those of predictions, to the bit of their precision."""
    keys = taught.state().teacher.labelled_keys("abc")
    _, values = taught.state().teacher.leave_one_out(taught.model("all"), keys)
    assert np.array_equal(values, values.astype(np.float32))
