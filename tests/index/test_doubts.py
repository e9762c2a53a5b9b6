"""Labels that leave-one-out contradicts are found; right ones are left alone."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tenshot import Store
from tenshot.index.analysis.label_issues import doubtful_labels
from tenshot.index.app import App
from tenshot.index.errors import BadRequest, ModelNotFound

FORMS = [(False, False), (True, True)]


@pytest.fixture(params=FORMS, ids=["independent", "closed"])
def digits(store: Store, request: pytest.FixtureRequest) -> tuple[App, dict[str, str], str]:
    """150 handwritten digits, of which eight are labelled as another one: the app, the planted labels, the model."""
    pixels, truth = load_digits(return_X_y=True)
    pixels, truth = pixels[:150], truth[:150].copy()
    wrong = np.random.default_rng(0).permutation(150)[:8]
    said = truth.copy()
    said[wrong] = (truth[wrong] + 1 + np.arange(8) % 8) % 10
    app = store.create_app("digits", workflow="vectors", dim=64)
    app.add_vectors(pixels, [f"x{i}" for i in range(150)], [{str(digit): True} for digit in said])
    exclusive, closed = request.param
    model = app.create_model(
        "m", [str(d) for d in range(10)], mutually_exclusive=exclusive, closed_environment=closed
    ).id
    return app, {f"x{i}": str(truth[i]) for i in wrong}, model


def test_planted_wrong_labels_are_found_first(digits: tuple[App, dict[str, str], str]) -> None:
    app, planted, model = digits
    found = app.doubts(model)
    first = found[: len(planted)]
    assert np.mean([one.input_id in planted for one in first]) >= 0.8
    assert len(planted.keys() & {one.input_id for one in found}) >= 0.8 * len(planted)
    caught = [one for one in first if one.input_id in planted]
    assert np.mean([one.instead == planted[one.input_id] for one in caught]) >= 0.8
    assert all(one.label for one in found)
    probabilities = [one.probability for one in found]
    assert probabilities == sorted(probabilities)
    assert max(probabilities) < 0.2
    assert app.doubts(model, n=3) == found[:3]


def test_when_it_is_put_right_it_is_doubted_no_more(digits: tuple[App, dict[str, str], str]) -> None:
    app, planted, model = digits
    first = next(one for one in app.doubts(model) if one.input_id in planted)
    app.label(first.input_id, {first.concept_id: None, planted[first.input_id]: True})
    assert (first.input_id, first.concept_id) not in {(one.input_id, one.concept_id) for one in app.doubts(model)}


def test_a_no_that_looks_like_a_yes_is_doubted(taught: App) -> None:
    taught.label_many({f"x{i}": {"a": True} for i in range(5, 15)} | {"x16": {"a": False}})
    found = [one for one in taught.doubts(limit=0.4) if not one.label]
    assert [(one.input_id, one.concept_id, one.instead) for one in found] == [("x16", "a", None)]


def test_too_few_labels_to_judge_are_not_judged(app: App) -> None:
    assert app.doubts() == []
    app.add_vectors(np.eye(8), [f"x{i}" for i in range(8)])
    app.label("x0", {"a": True})
    assert app.doubts() == []
    app.label_many({"x1": {"a": True}, "x2": {"a": False}})
    assert app.doubts(limit=1.0, n=10)
    assert {one.label for one in app.doubts(limit=1.0)} == {False}
    app.delete(["x0", "x1", "x2"])
    assert app.doubts() == []


def test_bad_requests_are_refused(taught: App) -> None:
    for limit in (0, -1, 1.5, float("nan")):
        with pytest.raises(BadRequest, match="probability"):
            taught.doubts(limit=limit)
    for n in (0, 1001):
        with pytest.raises(BadRequest, match="between 1 and 1000"):
            taught.doubts(n=n)
    with pytest.raises(ModelNotFound):
        taught.doubts("nobody")


def test_a_small_case_comes_out_as_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.7], [0.3, 0.6], [0.95, 0.5]])
    truth = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [-1, 1]], dtype=np.int8)
    found = doubtful_labels(probabilities, truth, 0.2)
    assert found.rows.tolist() == [4, 2]
    assert found.columns.tolist() == [0, 0]
    assert found.probabilities == pytest.approx([0.05, 0.1])
    assert found.instead.tolist() == [-1, 1]
