"""What to label next: never what is labelled, with a reason, and better than chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from tenshot import Store
from tenshot.index.analysis.active_learning import quotas, representatives, uncertainty
from tenshot.index.analysis.reports import Strategy
from tenshot.index.app import App
from tenshot.index.app.suggesting import _nearest_to
from tenshot.index.errors import BadRequest, ConceptNotFound, ModelNotFound


def crowd(app: App, sizes: tuple[int, ...], dim: int = 8, noise: float = 0.2) -> np.ndarray:
    """Unlabelled inputs y0, y1, ... round one axis each, so many of each; which axis each is on."""
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    vectors = np.eye(dim)[truth] + noise * rng.normal(size=(len(truth), dim))
    app.add_vectors(vectors, [f"y{i}" for i in range(len(truth))])
    return truth


def teach(app: App, truth: np.ndarray, ids: list[str]) -> None:
    app.label_many({id: {f"c{truth[int(id[1:])]}": True} for id in ids})


@pytest.mark.parametrize("strategy", list(Strategy))
def test_nothing_labelled_and_nothing_twice_is_suggested(app: App, strategy: Strategy) -> None:
    truth = crowd(app, (30, 30, 30))
    teach(app, truth, [f"y{i}" for i in range(40)])
    app.label("y50", {"c0": False})
    found = [one.input_id for one in app.suggest(n=60, strategy=strategy)]
    assert len(set(found)) == len(found) == 49
    assert {int(id[1:]) for id in found} == set(range(40, 90)) - {50}


def test_without_labels_the_first_ones_show_what_there_is(app: App) -> None:
    truth = crowd(app, (40, 30, 20, 10))
    found = app.suggest(n=4)
    assert {one.strategy for one in found} == {Strategy.DIVERSE}
    assert {truth[int(one.input_id[1:])] for one in found} == {0, 1, 2, 3}
    assert {(one.concept_id, one.value) for one in found} == {(None, None)}
    assert app.suggest(n=4) == found


def test_diverse_ones_are_unlike_what_is_labelled(app: App) -> None:
    truth = crowd(app, (40, 40, 40))
    teach(app, truth, [f"y{i}" for i in np.flatnonzero(truth != 2)[:20]])
    [first, *_] = app.suggest(n=3, strategy="diverse")
    assert truth[int(first.input_id[1:])] == 2


def test_rare_ones_probably_show_the_concept_with_the_fewest_labels(app: App) -> None:
    truth = crowd(app, (60, 60, 6))
    teach(app, truth, [f"y{np.flatnonzero(truth == 2)[0]}"])
    teach(app, truth, [f"y{i}" for i in np.flatnonzero(truth != 2)[:20]])
    found = app.suggest(n=4, strategy=Strategy.RARE)
    assert [truth[int(one.input_id[1:])] for one in found] == [2] * 4
    assert {one.concept_id for one in found} == {"c2"}
    assert Strategy.RARE in {one.strategy for one in app.suggest(n=10)}


def test_uncertain_ones_lie_between_what_is_known(app: App) -> None:
    axes = np.eye(8)
    app.add_vectors(axes[[0, 0, 1, 1]] + 0.01, list("abcd"), [{"x": True}] * 2 + [{"y": True}] * 2)
    app.add_vectors(np.stack([axes[0] + 0.05, axes[1] + 0.05, axes[0] + axes[1]]), ["like x", "like y", "between"])
    app.create_model("m", ["x", "y"], mutually_exclusive=True, closed_environment=True)
    [found] = app.suggest("m", 1, strategy="uncertain")
    assert (found.input_id, found.strategy) == ("between", Strategy.UNCERTAIN)


def test_one_concept_can_be_asked_about_alone(app: App) -> None:
    truth = crowd(app, (20, 20, 20))
    teach(app, truth, [f"y{i}" for i in range(12)])
    for strategy in ("rare", "uncertain"):
        assert {one.concept_id for one in app.suggest(n=5, strategy=strategy, concept="c1")} == {"c1"}
    app.create_model("m", ["c1", "unheard of"])
    assert {one.strategy for one in app.suggest("m", 5, strategy="rare", concept="unheard of")} == {Strategy.DIVERSE}


def test_deleted_inputs_are_not_suggested_and_an_empty_app_has_none(app: App) -> None:
    assert app.suggest() == []
    crowd(app, (5,))
    app.delete(["y0", "y1"])
    assert {one.input_id for one in app.suggest(n=10)} == {"y2", "y3", "y4"}
    app.label_many({f"y{i}": {"c": True} for i in (2, 3, 4)})
    assert app.suggest(n=10) == []


def test_bad_requests_are_refused(taught: App) -> None:
    for n in (0, -1, 201):
        with pytest.raises(BadRequest, match="between 1 and 200"):
            taught.suggest(n=n)
    with pytest.raises(BadRequest, match="auto, uncertain, diverse, rare"):
        taught.suggest(strategy="clever")
    with pytest.raises(ConceptNotFound):
        taught.suggest(concept="nobody")
    with pytest.raises(ModelNotFound):
        taught.suggest("nobody")


def test_labels_that_are_suggested_teach_more_than_random_ones(store: Store) -> None:
    """On pixels of handwritten digits, forty labels each; for embeddings of pictures see docs/suggestions.md."""
    pixels, digits = load_digits(return_X_y=True)
    accuracy: dict[str, list[float]] = {"random": [], "auto": []}
    for seed, way in [(0, "random"), (1, "random"), (2, "random"), (0, "auto"), (1, "auto"), (2, "auto")]:
        pool, test = np.split(np.random.default_rng(seed).permutation(len(digits))[:700], [400])
        app = store.create_app(f"{way} {seed}", workflow="vectors", dim=64)
        app.add_vectors(pixels[pool], [f"y{i}" for i in range(400)])
        for step in range(4):
            chosen = [f"y{i}" for i in range(10 * step, 10 * step + 10)]
            teach(app, digits[pool], chosen if way == "random" else [one.input_id for one in app.suggest(n=10)])
        found = app.predict_vectors(pixels[test])
        best = np.array([int(concept[1:]) for concept in found.concept_ids])[found.values.argmax(axis=1)]
        accuracy[way].append(float(np.mean(best == digits[test])))
    assert np.mean(accuracy["auto"]) > np.mean(accuracy["random"]) + 0.05


def test_of_a_large_app_a_sample_is_looked_at_with_the_likely_ones_of_the_whole(store: Store) -> None:
    app = store.create_app("large", workflow="vectors", dim=16)
    truth = crowd(app, (14_000, 14_000, 20), dim=16, noise=0.1)
    rare = np.flatnonzero(truth == 2)
    teach(app, truth, [f"y{i}" for i in np.flatnonzero(truth != 2)[:20]] + [f"y{rare[0]}"])
    found = app.suggest(n=10, strategy="rare")
    # A sample of 4,096 alone would hold about three of the twenty.
    assert sum(truth[int(one.input_id[1:])] == 2 for one in found) >= 8


def test_the_likely_ones_are_the_nearest_without_a_label_however_many_labelled_are_nearer(app: App) -> None:
    rng = np.random.default_rng(3)
    rows = np.eye(8)[0] + 0.3 * rng.normal(size=(2200, 8))
    rows[:900] = np.eye(8)[0] + 0.01 * rng.normal(size=(900, 8))
    app.add_vectors(rows, [f"y{i}" for i in range(2200)], [{"a": True} if i < 900 else {} for i in range(2200)])
    state = app.state()
    labelled = state.teacher.labelled_keys(["a"])
    found = _nearest_to(state, ["a"], labelled)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    nearest = 900 + np.argsort(-(units[900:] @ units[:900].mean(axis=0)))[:256]
    keys = {record.id: record.key for record in app.inputs(per_page=2200)}
    assert found.tolist() == sorted(keys[f"y{i}"] for i in nearest)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(0, 40))
def test_labels_go_where_the_fewest_are(positives: list[int], n: int) -> None:
    shares = quotas(np.array(positives), n)
    levels = np.array(positives) + shares
    assert shares.sum() == n
    # Whoever got any is not ahead of anybody by more than one.
    assert (levels[shares > 0] <= levels.min() + 1).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(1, 14), st.integers(0, 1000))
def test_representatives_are_the_greedy_choice(m: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    near, covered, weights = rng.random((m, m)), 0.5 * rng.random(m), rng.random(m)
    chosen = representatives(near, covered, weights, n).tolist()
    assert len(set(chosen)) == len(chosen) == min(m, n)
    known: list[int] = []
    for choice in chosen:

        def worth(j: int, known: list[int] = known) -> float:
            return float(weights @ np.maximum(covered, near[:, [*known, j]].max(axis=1)))

        assert worth(choice) >= max(worth(j) for j in range(m) if j not in known) - 1e-9
        known.append(choice)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 1000), st.booleans())
def test_the_order_of_concepts_does_not_matter_for_uncertainty(order: list[int], seed: int, exclusive: bool) -> None:
    values = np.random.default_rng(seed).random((20, 4))
    plain, columns = uncertainty(values, exclusive=exclusive, positive_share=0.5)
    permuted, places = uncertainty(values[:, order], exclusive=exclusive, positive_share=0.5)
    assert permuted == pytest.approx(plain)
    assert np.array_equal(np.array(order)[places], columns)
    assert ((plain >= 0) & (plain <= 1)).all()


def test_the_order_in_which_labels_came_does_not_matter(store: Store) -> None:
    found = {}
    for way in ("forward", "backward"):
        app = store.create_app(way, workflow="vectors", dim=8)
        truth = crowd(app, (30, 30, 30))
        taught = [f"y{i}" for i in range(20)]
        for id in taught if way == "forward" else reversed(taught):
            teach(app, truth, [id])
        app.create_model("m", ["c0", "c1", "c2"])
        doubted = [(one.input_id, one.concept_id) for one in app.doubts("m", limit=0.9)]
        found[way] = (
            [(one.input_id, one.strategy) for one in app.suggest("m", 12)],
            doubted,
            app.evaluate("m").accuracy,
        )
    assert found["forward"] == found["backward"]


@pytest.mark.parametrize("strategy", ["auto", "uncertain", "rare"])
def test_what_is_asked_about_one_concept_is_about_no_other(taught: App, strategy: str) -> None:
    # So few labels that others are asked what there is.
    taught.label_many({f"x{i}": {"abc"[i // 20]: None} for i in (0, 20, 40)})
    for n in (10, 40):
        found = taught.suggest(n=n, concept="b", strategy=strategy)
        assert len(found) == n
        assert {one.concept_id for one in found} == {"b"}
