"""Contract of every scorer: exact under changes, whatever their order; reading changes nothing; saved equals before."""

import numpy as np
import pytest
from worlds import FORMS, World, world

from tenshot.index.scoring.predictor import Predictor
from tenshot.index.scoring.scorer import Scorer, scorer_of
from tenshot.index.scoring.space import unit
from tenshot.index.scoring.terms import KernelVotes

TOLERANCE = 1e-4


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _values(scorer: Scorer, place: World) -> np.ndarray:
    return scorer.predictor().values(place.vectors)


def test_a_thousand_random_changes_taken_back_leave_no_trace(form: str) -> None:
    place = world()
    scorer = place.scorer(place.labels(10), form)
    before = _values(scorer, place)
    rng = np.random.default_rng(1)
    labels = place.labels(10)
    for step in range(1000):
        key, concept = int(rng.integers(len(place.vectors))), f"c{rng.integers(4)}"
        original = labels[concept].get(key)
        scorer.set(key, concept, [True, False, None][rng.integers(3)])
        if step % 5 == 0:
            scorer.predictor()
        scorer.set(key, concept, original)
        if step % 7 == 0:
            scorer.predictor()
    np.testing.assert_allclose(_values(scorer, place), before, atol=TOLERANCE)


def test_following_changes_equals_being_taught_their_result(form: str) -> None:
    place = world()
    labels = place.labels(8)
    scorer = place.scorer(labels, form)
    rng = np.random.default_rng(2)
    for step in range(400):
        key, concept = int(rng.integers(len(place.vectors))), f"c{rng.integers(4)}"
        value = [True, False, None][rng.integers(3)]
        scorer.set(key, concept, value)
        labels[concept].pop(key, None)
        if value is not None:
            labels[concept][key] = value
        if step % 3 == 0:
            scorer.predictor()
    np.testing.assert_allclose(_values(scorer, place), _values(place.scorer(labels, form), place), atol=TOLERANCE)


def test_the_order_of_labels_does_not_matter(form: str) -> None:
    place = world()
    labels = place.labels(10)
    backwards = {concept: dict(reversed(given.items())) for concept, given in labels.items()}
    one_by_one = place.scorer({concept: {} for concept in labels}, form)
    for concept, given in backwards.items():
        for key, value in given.items():
            one_by_one.set(key, concept, value)
            one_by_one.predictor()
    wanted = _values(place.scorer(labels, form), place)
    np.testing.assert_allclose(_values(place.scorer(backwards, form), place), wanted, atol=1e-7)
    np.testing.assert_allclose(_values(one_by_one, place), wanted, atol=TOLERANCE)


def test_a_vector_alone_is_judged_the_same_to_the_bit_wherever_the_rows_that_vote_lie(form: str) -> None:
    """Among none but them, behind a few others, or among many."""
    place = world(dim=256)
    labels, queries = place.labels(10), place.vectors[150:170, None]
    labels["c3"].popitem()
    keys = sorted({key for given in labels.values() for key in given})
    each = []
    for first in (keys, [*range(150, 163), *keys[::-1]], range(len(place.vectors))[::-1]):
        examples = place.examples()
        examples.rows(first)
        predictor = scorer_of(examples, list(labels), labels, **FORMS[form]).predictor()
        each.append(np.concatenate([predictor.scores(predictor.space.prepare(query)) for query in queries]))
    np.testing.assert_array_equal(each[1], each[0])
    np.testing.assert_array_equal(each[2], each[0])


def test_predicting_changes_nothing_and_many_equal_one_by_one(form: str) -> None:
    place = world()
    predictor = place.scorer(place.labels(10), form).predictor()
    together = predictor.values(place.vectors)
    alone = np.concatenate([predictor.values(vector[None]) for vector in place.vectors])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_array_equal(predictor.values(place.vectors), together)
    assert predictor.values(place.vectors[:0]).shape == (0, 4)


def test_a_predictor_stays_as_it_was_while_its_scorer_goes_on(form: str) -> None:
    place = world()
    scorer = place.scorer(place.labels(5), form)
    early = scorer.predictor()
    before = early.values(place.vectors)
    for key in range(100, 160):
        scorer.set(key, f"c{place.truth[key]}", True)
        scorer.predictor()
    np.testing.assert_array_equal(early.values(place.vectors), before)
    assert not np.array_equal(_values(scorer, place), before)


def test_a_saved_predictor_is_the_same_to_the_bit(form: str) -> None:
    place = world()
    predictor = place.scorer(place.labels(10), form).predictor()
    again = Predictor.from_bytes(predictor.to_bytes())
    np.testing.assert_array_equal(again.values(place.vectors), predictor.values(place.vectors))


def test_values_are_probabilities_and_exclusive_ones_never_sum_to_more_than_one(form: str) -> None:
    place = world()
    values = _values(place.scorer(place.labels(10), form), place)
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert values.max() <= 1
    if form != "independent":
        assert values.sum(axis=1).max() <= 1 + 1e-5
    if form == "exclusive and closed":
        np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-5)


def test_it_learns(form: str) -> None:
    place = world(noise=0.4)
    values = _values(place.scorer(place.labels(10), form), place)
    assert (values.argmax(axis=1) == place.truth).mean() > 0.9


def test_leave_one_out_is_what_a_scorer_without_that_input_says(form: str) -> None:
    """Up to what is chosen with one score less, the calibration and the fit: compared closely, not to the digit."""
    place = world(count=120)
    labels = place.labels(8)
    keys = np.array(sorted({key for given in labels.values() for key in given}))
    scorer = place.scorer(labels, form)
    compared = 0
    for key, got in list(zip(keys.tolist(), scorer.leave_one_out(keys)(), strict=True))[::3]:
        fewer = {c: {k: v for k, v in given.items() if k != key} for c, given in labels.items()}
        # The input may be in the background too, where it must not count against itself either.
        elsewhere = World(place.vectors, place.truth, place.background[place.background != key])
        predictor = elsewhere.scorer(fewer, form).predictor()
        if _fit(predictor) == _fit(scorer.predictor()):
            compared += 1
            np.testing.assert_allclose(predictor.values(place.vectors)[key], got, atol=0.15)
    assert compared >= 5


def _fit(predictor: Predictor) -> tuple[bool, float]:
    votes = predictor.term(KernelVotes)
    assert votes
    return predictor.space.smoothing is None, votes.sharpness


def test_an_exclusive_model_chooses_the_fit_that_suits_its_labels() -> None:
    """Smoothing over a sample that has nothing to do with the concepts is left out once labels show that."""
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 4, 160)
    signal = 0.5 * np.eye(4)[truth] + 0.1 * rng.normal(size=(160, 4))
    style = 3 * np.eye(8)[rng.integers(0, 8, 160)] + 0.3 * rng.normal(size=(160, 8))
    vectors = unit(np.abs(np.concatenate([signal, style], axis=1)).astype(np.float32))
    place = World(vectors, truth, np.arange(0, 160, 3))
    labels = place.labels(15)
    predictor = place.scorer(labels, "exclusive and closed").predictor()
    assert predictor.space.smoothing is None
    held_out = np.setdiff1d(np.arange(160), [key for given in labels.values() for key in given])
    assert (predictor.values(vectors[held_out]).argmax(axis=1) == truth[held_out]).mean() > 0.9


def test_the_parts_of_a_score_add_up(form: str) -> None:
    place = world()
    predictor = place.scorer(place.labels(10), form).predictor()
    prepared = predictor.space.prepare(place.vectors)
    parts = predictor.parts(prepared)
    np.testing.assert_allclose(
        parts.prototype + parts.neighbours + parts.background, predictor.scores(prepared), atol=1e-9
    )


@pytest.fixture
def large() -> World:
    """A world with labels enough for the large form."""
    return world(clusters=3, count=1400, dim=24)


@pytest.mark.parametrize("form", FORMS)
def test_the_large_form_is_exact_too(form: str, large: World) -> None:
    labels = {"c0": {}, "c1": {}} if form == "independent" else {"c0": {}, "c1": {}, "c2": {}}
    for key in range(1200):
        if form == "independent":
            labels["c0"][key] = bool(large.truth[key] == 0)
        else:
            labels[f"c{large.truth[key]}"][key] = True
    labels["c1"][3] = True
    scorer = large.scorer(labels, form)
    assert len(scorer.predictor().voters) < 1200
    for key in [*range(1200, 1300), *range(40)]:
        value = None if key < 40 else True if form != "independent" else bool(large.truth[key] == 0)
        concept = "c0" if form == "independent" else f"c{large.truth[key]}"
        scorer.set(key, concept, value)
        labels[concept].pop(key, None)
        if value is not None:
            labels[concept][key] = value
        scorer.predictor()
    fresh = large.scorer(labels, form)
    np.testing.assert_allclose(_values(scorer, large), _values(fresh, large), atol=TOLERANCE)
    kept = scorer.predictor()
    np.testing.assert_array_equal(
        Predictor.from_bytes(kept.to_bytes()).values(large.vectors), kept.values(large.vectors)
    )
    parts = kept.parts(kept.space.prepare(large.vectors[:50]))
    np.testing.assert_allclose(
        parts.prototype + parts.neighbours + parts.background,
        kept.scores(kept.space.prepare(large.vectors[:50])),
        atol=1e-9,
    )
    held_out = np.arange(1300, 1400)
    values = kept.values(large.vectors[held_out])
    right = (values[:, 0] > 0.5) == (large.truth[held_out] == 0)
    if form != "independent":
        right = values.argmax(axis=1) == large.truth[held_out]
    assert right.mean() > 0.9


@pytest.mark.parametrize("form", FORMS)
def test_a_predictor_takes_over_the_rows_of_the_one_before_only_while_the_same_ones_vote(
    form: str, large: World
) -> None:
    labels = {"c0": {key: bool(large.truth[key] == 0) for key in range(1100)}, "c1": dict.fromkeys(range(3, 30), True)}
    scorer, query, shared = large.scorer(labels, form), large.vectors[[1399]], set()
    last = scorer.predictor()
    for key in range(1100, 1140):
        last.values(query)
        scorer.set(key, "c0", bool(large.truth[key] == 0))
        predictor = scorer.predictor().after(last)
        shared.add(np.array_equal(predictor.voters, last.voters))
        np.testing.assert_array_equal(predictor.values(query), scorer.predictor().values(query))
        last = predictor
    assert shared == {True, False}


def test_a_few_yes_labels_among_very_many_noes_are_believed() -> None:
    place = world(clusters=40, count=2000, dim=24)
    shown = np.flatnonzero(place.truth == 0)
    labels = {"c0": dict.fromkeys(np.flatnonzero(place.truth != 0)[:1100].tolist(), False)}
    labels["c0"] |= dict.fromkeys(shown[:8].tolist(), True)
    predictor = place.scorer(labels, "independent").predictor()
    assert len(predictor.voters) < len(labels["c0"])
    assert np.median(predictor.values(place.vectors[shown[8:]])) > 0.55
    assert np.median(predictor.values(place.vectors[place.truth == 1])) < 0.1


def test_very_many_noes_alone_teach_an_exclusive_model_of_two(large: World) -> None:
    labels = {"c0": dict.fromkeys(range(1100), False), "c1": {}}
    scorer = large.scorer(labels, "exclusive and closed")
    assert scorer.predictor().concept_ids == ()
    scorer.set(1100, "c0", True)
    scorer.set(1101, "c1", True)
    assert scorer.predictor().values(large.vectors[[1100]]).argmax() == 0
