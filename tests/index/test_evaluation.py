"""Metrics of leave-one-out probabilities: by hand, and beside scikit-learn's."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known import known
from sklearn import metrics

from tenshot.index.analysis import evaluation
from tenshot.index.analysis.evaluation import (
    average_precision,
    choose_threshold,
    evaluate,
    precision_recall_curve,
    reliability,
    roc_auc,
    roc_curve,
)
from tenshot.index.app import App, quality

RNG = np.random.default_rng(0)
VALUES = np.round(RNG.random(300), 2)
SHOWN = RNG.random(300) < VALUES


def test_a_small_case_comes_out_as_by_hand() -> None:
    probabilities = np.array([[0.9, 0.2], [0.6, 0.7], [0.1, 0.8], [0.4, 0.3]])
    truth = np.array([[1, -1], [1, 0], [0, 1], [-1, 1]], dtype=np.int8)
    found = evaluate("m", ["a", "b"], probabilities, truth, list("wxyz"))
    a, b = found.concepts
    assert found.accuracy == 0.5
    assert (a.precision, a.recall, a.f1, a.roc_auc, a.positives, a.negatives) == (1.0, 1.0, 1.0, 1.0, 2, 2)
    assert (b.precision, b.recall, b.roc_auc) == (0.5, 0.5, 0.75)
    assert found.confusion == [[1, 1], [1, 1]]
    assert found.cooccurrence == [[2, 0], [0, 2]]
    assert [one.input_id for one in found.judged] == list("wxyz")


def test_areas_are_those_of_scikit_learn() -> None:
    assert roc_auc(VALUES, SHOWN) == pytest.approx(metrics.roc_auc_score(SHOWN, VALUES))
    assert average_precision(VALUES, SHOWN) == pytest.approx(metrics.average_precision_score(SHOWN, VALUES))


def test_curves_are_those_of_scikit_learn() -> None:
    fpr, tpr, _ = metrics.roc_curve(SHOWN, VALUES, drop_intermediate=False)
    found = roc_curve(VALUES, SHOWN)
    assert found.x == pytest.approx(fpr)
    assert found.y == pytest.approx(tpr)
    precision, recall, thresholds = metrics.precision_recall_curve(SHOWN, VALUES)
    found = precision_recall_curve(VALUES, SHOWN)
    assert found.x == pytest.approx(recall[:-1][::-1])
    assert found.y == pytest.approx(precision[:-1][::-1])
    assert found.thresholds == pytest.approx(thresholds[::-1])


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    values = RNG.random(5000)
    found = roc_curve(values, RNG.random(5000) < values)
    assert len(found.x) <= 101
    assert (found.x[0], found.y[0], found.x[-1], found.y[-1]) == (0, 0, 1, 1)


def test_what_is_not_defined_is_none_and_never_nan() -> None:
    nothing = evaluate("m", ["a"], np.empty((0, 1)), np.empty((0, 1), dtype=np.int8))
    assert (nothing.inputs, nothing.accuracy) == (0, None)
    assert nothing.concepts[0].roc_auc is nothing.concepts[0].precision is nothing.concepts[0].recall is None
    one_sided = evaluate("m", ["a"], np.array([[0.2]]), np.array([[1]], dtype=np.int8)).concepts[0]
    assert (one_sided.recall, one_sided.roc_auc) == (0.0, None)
    assert evaluate("m", [], np.empty((2, 0)), np.empty((2, 0), dtype=np.int8)).accuracy is None


def test_reliability_says_how_far_values_are_from_what_came_true() -> None:
    values, shown = np.array([0.05, 0.05, 0.85, 0.85, 0.85, 0.85, 1.0]), np.array([0, 0, 1, 1, 1, 0, 1], dtype=bool)
    found = reliability(values, shown)
    assert [(one.low, one.high, one.count) for one in found.bins] == [(0.0, 0.1, 2), (0.8, 0.9, 4), (0.9, 1.0, 1)]
    assert [(one.value, one.share) for one in found.bins] == [
        (pytest.approx(0.05), 0.0),
        (pytest.approx(0.85), 0.75),
        (1.0, 1.0),
    ]
    assert found.expected_calibration_error == pytest.approx((2 * 0.05 + 4 * 0.1) / 7)
    assert reliability(np.empty(0), np.empty(0, dtype=bool)).expected_calibration_error is None


def test_of_exclusive_concepts_the_best_value_alone_is_held_against_what_came_true() -> None:
    probabilities = np.array([[0.9, 0.1], [0.65, 0.35], [0.1, 0.9]])
    truth = np.array([[1, 0], [0, 1], [0, 1]], dtype=np.int8)
    found = evaluate("m", ["a", "b"], probabilities, truth, exclusive=True).reliability
    assert sum(one.count for one in found.bins) == 3
    assert found.expected_calibration_error == pytest.approx((0.1 + 0.65 + 0.1) / 3)


@given(st.integers(0, 10_000), st.floats(0.05, 1))
def test_a_chosen_threshold_keeps_to_its_precision_and_takes_in_what_it_can(seed: int, wanted: float) -> None:
    rng = np.random.default_rng(seed)
    values = np.round(rng.random(40), 2)
    shown = rng.random(40) < values
    found = choose_threshold(values, shown, wanted)
    every = [(values >= t, t) for t in np.unique(values)]
    reached = [said.sum() for said, _ in every if shown[said].any() and shown[said].mean() >= wanted]
    if found is None:
        assert not reached
        return
    said = values.astype(np.float32) >= np.float32(found.threshold)
    assert said.sum() == max(reached)
    assert (shown[said].mean(), shown[said].sum() / shown.sum()) == pytest.approx((found.precision, found.recall))


def test_thresholds_move_precision_and_recall_and_no_area() -> None:
    probabilities, truth = VALUES[:, None], np.where(SHOWN, 1, -1)[:, None].astype(np.int8)
    [low] = evaluate("m", ["a"], probabilities, truth, thresholds=[0.2]).concepts
    [high] = evaluate("m", ["a"], probabilities, truth, thresholds=[0.8]).concepts
    assert known(low.precision) < known(high.precision)
    assert known(low.recall) > known(high.recall)
    assert (low.threshold, high.threshold) == (0.2, 0.8)
    assert low.roc_auc == high.roc_auc


@given(st.permutations(range(3)), st.permutations(range(30)))
def test_the_order_of_concepts_and_inputs_does_not_matter(concepts: list[int], inputs: list[int]) -> None:
    rng = np.random.default_rng(0)
    probabilities, truth = rng.random((30, 3)), rng.integers(-1, 2, (30, 3)).astype(np.int8)
    names = np.array(["a", "b", "c"])
    plain = evaluate("m", names.tolist(), probabilities, truth)
    other = evaluate("m", names[concepts].tolist(), probabilities[inputs][:, concepts], truth[inputs][:, concepts])
    assert other.accuracy == plain.accuracy
    assert other.reliability.expected_calibration_error == pytest.approx(plain.reliability.expected_calibration_error)
    for concept in other.concepts:
        [same] = [one for one in plain.concepts if one.concept_id == concept.concept_id]
        assert (concept.precision, concept.recall) == (same.precision, same.recall)
        assert (concept.roc_auc, concept.average_precision) == pytest.approx((same.roc_auc, same.average_precision))


def test_matrices_of_many_concepts_are_counted_exactly_and_without_integer_products() -> None:
    rng = np.random.default_rng(0)
    shown = rng.random((5000, 40)) < 0.3
    counted = evaluation._cooccurrence(shown)
    expected = [[int((shown[:, i] & shown[:, j]).sum()) for j in range(40)] for i in range(40)]
    assert counted == expected
    # A product of integers would take 10 ** 10 steps of one number each here.
    many = np.zeros((3000, 2000), dtype=np.bool_)
    many[np.arange(3000), rng.integers(0, 2000, 3000)] = True
    start = time.process_time()
    assert np.trace(np.array(evaluation._cooccurrence(many))) == 3000
    assert time.process_time() - start < 20


def test_inputs_one_by_one_are_fewer_where_concepts_are_many(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "_JUDGED_VALUES", 12)
    rng = np.random.default_rng(0)
    app.add_vectors(rng.normal(size=(30, 8)), None, [{f"c{i % 6}": True} for i in range(30)])
    evaluated = app.evaluate()
    assert evaluated.inputs == 30
    assert len(evaluated.judged) == 12 // 6 + 1
    assert len(evaluated.judged[0].values) == 6
