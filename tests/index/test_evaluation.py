"""Metrics of leave-one-out probabilities: by hand, and beside scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics

from tenshot.index.evaluation import average_precision, evaluate, precision_recall_curve, roc_auc, roc_curve

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
