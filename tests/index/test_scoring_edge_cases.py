"""The odd situations of the scoring recipe, section 7."""

import numpy as np
import pytest
from worlds import FORMS, World, world

from tenshot.index.scoring.calibration import fit_logistic
from tenshot.index.scoring.examples import Background, Examples
from tenshot.index.scoring.scorer import scorer_of
from tenshot.index.scoring.space import Space

OPEN = FORMS["independent"]
CLOSED = FORMS["exclusive and closed"]


def test_one_example_of_one_concept_is_recognised_and_others_are_not() -> None:
    place = world(clusters=6, noise=0.4)
    key = int(np.flatnonzero(place.truth == 0)[0])
    values = place.scorer({"c0": {key: True}}, "independent").predictor().values(place.vectors)[:, 0]
    assert values[key] > 0.5
    assert np.median(values[place.truth != 0]) < 0.1


def test_only_positives_and_no_background_is_low_confidence_but_ranks() -> None:
    place = world()
    same = np.flatnonzero(place.truth == 0)[:3]
    space = Space.fit(place.vectors, 0.5)
    nothing = Background(np.empty(0, dtype=np.int64), np.empty((0, place.vectors.shape[1]), dtype=np.float32))
    examples = Examples(space, nothing, lambda keys: place.vectors[keys])
    scorer = scorer_of(examples, ["c0"], {"c0": dict.fromkeys(same.tolist(), True)}, **OPEN)
    predictor = scorer.predictor()
    assert predictor.low_confidence.all()
    values = predictor.values(place.vectors)[:, 0]
    assert values[place.truth == 0].mean() > values[place.truth != 0].mean()


def test_where_every_input_has_a_label_the_noes_alone_are_compared_with() -> None:
    place = world(clusters=2, count=30)
    labels = {"c0": {key: bool(place.truth[key] == 0) for key in range(30)}}
    values = place.scorer(labels, "independent").predictor().values(place.vectors)[:, 0]
    assert values[place.truth == 0].min() > 0.5 > values[place.truth == 1].max()


def test_thousands_of_positives_and_nothing_else_are_low_confidence_too() -> None:
    place = world(count=1100)
    labels = {"c0": dict.fromkeys(range(1100), True)}
    predictor = place.scorer(labels, "independent").predictor()
    assert predictor.low_confidence.all()
    assert (predictor.values(place.vectors[:50]) > 0.5).all()


def test_identical_vectors_get_their_share_of_the_labels() -> None:
    vectors = np.tile(world().vectors[:1], (20, 1))
    place = World(vectors, np.zeros(20, dtype=np.int64), np.arange(20))
    labels = {"a": dict.fromkeys(range(5), True), "b": dict.fromkeys(range(5, 10), True)}
    values = place.scorer(labels, "exclusive and closed").predictor().values(vectors)
    np.testing.assert_allclose(values, 0.5, atol=0.02)


@pytest.mark.parametrize("form", FORMS)
def test_two_copies_of_one_image_with_opposite_labels_stay_between(form: str) -> None:
    place = world()
    vectors = np.concatenate([place.vectors, place.vectors[:1]])
    copied = World(vectors, np.append(place.truth, place.truth[0]), place.background[1:])
    labels = place.labels(6)
    labels["c0"][0], labels["c0"][200] = True, False
    value = copied.scorer(labels, form).predictor().values(vectors[:1])[0, 0]
    assert np.isfinite(value)
    assert 0.02 < value < 0.98


def test_a_closed_environment_of_one_concept_always_shows_it() -> None:
    place = world()
    values = place.scorer({"c0": {0: True}}, "exclusive and closed").predictor().values(place.vectors)
    np.testing.assert_allclose(values, 1)


@pytest.mark.parametrize("form", FORMS)
def test_a_concept_that_lost_its_last_positive_leaves_the_answer(form: str) -> None:
    place = world()
    scorer = place.scorer(place.labels(3), form)
    for key in place.labels(3)["c1"]:
        scorer.set(key, "c1", None)
    scorer.set(150, "c1", False)
    assert scorer.predictor().concept_ids == ("c0", "c2", "c3")


@pytest.mark.parametrize("form", FORMS)
def test_a_model_without_any_label_answers_nothing(form: str) -> None:
    place = world()
    predictor = place.scorer({"c0": {}, "c1": {}}, form).predictor()
    assert predictor.concept_ids == ()
    assert predictor.values(place.vectors).shape == (200, 0)


def test_in_a_closed_model_a_no_makes_the_other_concepts_likelier() -> None:
    place = world(noise=1.2)
    labels = place.labels(4)
    unlabelled = int(np.flatnonzero(place.truth == 0)[20])
    scorer = place.scorer(labels, "exclusive and closed")
    before = scorer.predictor().values(place.vectors[[unlabelled]])[0]
    scorer.set(unlabelled, "c0", False)
    after = scorer.predictor().values(place.vectors[[unlabelled]])[0]
    assert after[0] < before[0]
    assert after[1:].sum() > before[1:].sum()


def test_a_vector_equal_to_the_mean_is_judged_without_noise() -> None:
    space = Space(np.ones(4, dtype=np.float32) / 2, 1.0)
    np.testing.assert_array_equal(space.prepare(np.full((1, 4), 0.5, dtype=np.float32)), np.zeros((1, 4)))


def test_fifty_against_one_keeps_every_image() -> None:
    place = world()
    labels = place.labels(1)
    labels["c0"] = dict.fromkeys(np.flatnonzero(place.truth == 0)[:40].tolist(), True)
    values = place.scorer(labels, "exclusive and closed").predictor().values(place.vectors)
    assert (values.argmax(axis=1) == place.truth)[place.truth != 0].mean() > 0.6


@pytest.mark.parametrize(("noes", "rate"), [(1, 0.5), (4, 0.2)])
def test_labels_that_contradict_each_other_give_their_base_rate(noes: int, rate: float) -> None:
    """Every picture is there several times, once with yes and else with no: its copies say the opposite of each."""
    once = world(count=40)
    vectors = np.repeat(once.vectors, 1 + noes, axis=0)
    place = World(vectors, np.repeat(once.truth, 1 + noes), np.arange(0, len(vectors), 3))
    labels = {"c0": {key: key % (1 + noes) == 0 for key in range(len(vectors))}}
    values = place.scorer(labels, "independent").predictor().values(vectors)[:, 0]
    np.testing.assert_allclose(values, rate, atol=0.05)


def test_a_background_that_surely_shows_the_concept_is_no_reason_to_fail() -> None:
    scores, background = np.linspace(0.9, 1.1, 200), np.full(30, 50.0)
    curve = fit_logistic(scores, np.empty(0), background)
    assert np.isfinite([curve.slope, curve.offset]).all()
