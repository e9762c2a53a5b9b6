"""How good a model was with fewer labels, and whether ten more would help."""

from collections.abc import Mapping

import numpy as np
import pytest
from known import known
from sklearn.datasets import load_digits

from tenshot import Store
from tenshot.index.analysis.learning_curve import learning_curve
from tenshot.index.app import App
from tenshot.index.errors import BadRequest


@pytest.mark.parametrize("form", [(False, False), (True, True)], ids=["independent", "closed"])
def test_more_labels_are_better_and_the_curve_says_by_how_much(store: Store, form: tuple[bool, bool]) -> None:
    pixels, digits = load_digits(return_X_y=True)
    app = store.create_app("digits", workflow="vectors", dim=64)
    app.add_vectors(pixels[:150], concepts=[{str(digit): True} for digit in digits[:150]])
    app.create_model("m", [str(d) for d in range(10)], mutually_exclusive=form[0], closed_environment=form[1])
    found = app.learning_curve("m", draws=3)
    assert [point.labels for point in found.points] == [1, 2, 5, 10, 11]
    assert (found.labels, found.draws) == (15, 3)
    accuracies = [known(point.accuracy) for point in found.points]
    assert accuracies[0] < accuracies[-1]
    assert accuracies[0] <= accuracies[2] <= accuracies[-1]
    assert accuracies[-1] > 0.8
    assert all(0 <= known(point.average_precision) <= 1 for point in found.points)
    assert found.more_helps is (known(found.gain) >= 0.01)
    assert "ten more" in found.verdict
    assert app.learning_curve("m", draws=3) == found


def test_it_is_honest_about_held_out_inputs(store: Store) -> None:
    """Vectors at random: whoever judged what it was taught would look good."""
    app = store.create_app("noise", workflow="vectors", dim=32)
    rng = np.random.default_rng(0)
    labels = [{"ab"[i % 2]: True} for i in range(80)]
    app.add_vectors(rng.normal(size=(80, 32)), concepts=labels)
    app.create_model("m", ["a", "b"], mutually_exclusive=True, closed_environment=True)
    for point in app.learning_curve("m", draws=8).points:
        assert 0.3 < known(point.accuracy) < 0.7


def test_too_few_labels_have_no_curve(app: App, taught: App) -> None:
    app.create_model("empty")
    nothing = app.learning_curve("empty")
    assert (nothing.points, nothing.gain, nothing.more_helps) == ((), None, None)
    app.create_model("one", ["new"])
    app.label("x0", {"new": True})
    assert "too few" in app.learning_curve("one").verdict
    app.label_many({f"x{i}": {"new": True} for i in range(4)})
    alone = app.learning_curve("one")
    assert {point.accuracy for point in alone.points} == {None}
    with pytest.raises(BadRequest):
        app.learning_curve(draws=0)


def test_draws_are_nested_and_never_teach_what_they_judge() -> None:
    rng = np.random.default_rng(0)
    truth = np.where(np.arange(3) == rng.integers(0, 3, 60)[:, None], 1, 0).astype(np.int8)
    truth[50:, 0] = -1
    seen: list[tuple[dict[str, set[int]], set[int]]] = []

    def judge(labels: Mapping[str, Mapping[int, bool]], others: np.ndarray) -> tuple[list[str], np.ndarray]:
        seen.append(({concept: set(given) for concept, given in labels.items()}, set(others.tolist())))
        return ["c", "a"], rng.random((len(others), 2))

    found = learning_curve("m", ["a", "b", "c"], np.arange(60), truth, judge, draws=2)
    assert len(seen) == 2 * len(found.points)
    for taught, others in seen:
        assert not set().union(*taught.values()) & others
    for size in range(len(found.points) - 1):
        for draw in (0, 1):
            less, more = seen[2 * size + draw], seen[2 * size + 2 + draw]
            assert less[1] == more[1]
            assert all(less[0][concept] <= more[0][concept] for concept in "abc")
