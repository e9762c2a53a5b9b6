"""Crossing a border of size changes no value by much, whichever form is used on either side, and costs no stall."""

import numpy as np
import pytest
from worlds import FORMS, World, world

from tenshot.index.scoring.exclusive import ExclusiveScorer
from tenshot.index.scoring.independent import IndependentScorer, predictor_of
from tenshot.index.scoring.landmark_concept import LandmarkConceptScorer
from tenshot.index.scoring.landmarks import FEW_LEFT, LANDMARKS
from tenshot.index.scoring.open_set import OpenSetScorer
from tenshot.index.scoring.scorer import Scorer
from tenshot.index.scoring.space import unit


@pytest.fixture(scope="module")
def place() -> World:
    return world(clusters=3, count=1500, dim=24)


def labels_of(place: World, count: int, form: str) -> dict[str, dict[int, bool]]:
    """The first so many inputs; of independent concepts one is taught with yes and no."""
    if form == "independent":
        return {"c0": {key: bool(place.truth[key] == 0) for key in range(count)}}
    return {f"c{c}": dict.fromkeys(np.flatnonzero(place.truth[:count] == c).tolist(), True) for c in range(3)}


def teach(scorer: Scorer, place: World, keys: range, form: str, *, forget: bool = False) -> None:
    for key in keys:
        concept, value = (
            ("c0", bool(place.truth[key] == 0)) if form == "independent" else (f"c{place.truth[key]}", True)
        )
        scorer.set(key, concept, None if forget else value)


def parts_of(scorer: Scorer) -> list[object]:
    """What would be built anew if the form changed."""
    if isinstance(scorer, IndependentScorer):
        return list(scorer._concepts.values())
    if isinstance(scorer, OpenSetScorer):
        return [scorer._any, *parts_of(scorer._which)]
    assert isinstance(scorer, ExclusiveScorer)
    return [whole.kernel for whole in scorer._wholes]


@pytest.mark.parametrize("form", FORMS)
def test_both_forms_say_the_same_at_the_border_and_labels_that_come_and_go_there_change_none(
    form: str, place: World
) -> None:
    scorer = place.scorer(labels_of(place, LANDMARKS + 1, form), form)
    scorer.predictor()
    parts = parts_of(scorer)
    teach(scorer, place, range(LANDMARKS, LANDMARKS + 1), form, forget=True)
    large, small = scorer.predictor(), place.scorer(labels_of(place, LANDMARKS, form), form)
    assert len(small.predictor().voters) == LANDMARKS
    np.testing.assert_allclose(large.values(place.vectors), small.predictor().values(place.vectors), atol=0.02)
    keys = np.arange(0, LANDMARKS, 5)
    np.testing.assert_allclose(scorer.leave_one_out(keys)(), small.leave_one_out(keys)(), atol=0.02)
    teach(scorer, place, range(LANDMARKS, LANDMARKS + 3), form)
    scorer.predictor()
    assert all(part is kept for part, kept in zip(parts_of(scorer), parts, strict=False))
    teach(scorer, place, range(FEW_LEFT - 1, LANDMARKS + 3), form, forget=True)
    np.testing.assert_allclose(
        scorer.predictor().values(place.vectors),
        place.scorer(labels_of(place, FEW_LEFT - 1, form), form).predictor().values(place.vectors),
        atol=1e-4,
    )


@pytest.mark.parametrize("form", FORMS)
def test_very_many_labels_do_not_vote_down_what_is_not_labelled(form: str, place: World) -> None:
    """A third of the app is its background, so of what is not labelled yet too."""
    found = []
    for count in (LANDMARKS, LANDMARKS + 1, 1300):
        values = place.scorer(labels_of(place, count, form), form).predictor().values(place.vectors[1300:])
        right = place.truth[1300:] == 0
        found.append((values[right, 0].mean(), (values[right, 0] > 0.5).mean(), values[~right, 0].mean()))
    before, just_after, after = found
    np.testing.assert_allclose(just_after, before, atol=0.03)
    assert after[0] > before[0] - 0.03
    assert after[1] > before[1] - 0.03


@pytest.mark.parametrize("form", FORMS)
def test_leave_one_out_tells_the_truth_beyond_the_border(form: str, place: World) -> None:
    """As often right, and as sure, as on inputs that were never labelled."""
    scorer = place.scorer(labels_of(place, 1300, form), form)
    unseen, keys = scorer.predictor().values(place.vectors[1300:]), np.arange(1300)
    left_out = scorer.leave_one_out(keys)()
    if form == "independent":
        right = [
            (values[:, 0] > 0.5) == (place.truth[of] == 0)
            for values, of in ((unseen, range(1300, 1500)), (left_out, keys))
        ]
    else:
        right = [
            values.argmax(axis=1) == place.truth[of] for values, of in ((unseen, range(1300, 1500)), (left_out, keys))
        ]
    assert abs(right[0].mean() - right[1].mean()) < 0.05
    assert abs(unseen.max(axis=1).mean() - left_out.max(axis=1).mean()) < 0.05


def test_images_that_are_landmarks_score_without_their_own_label_as_new_images_do() -> None:
    """Where images of a kind are hardly alike: every yes is a landmark here, and most noes aren't."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 30, 2000)
    vectors = rng.normal(size=(30, 128))[truth] + 2.2 * rng.normal(size=(2000, 128))
    noisy, shown = World(unit(vectors.astype(np.float32)), truth, np.arange(0, 2000, 5)), truth % 10 == 0
    scorer = LandmarkConceptScorer(noisy.examples(), {key: bool(shown[key]) for key in range(1600)})
    predictor = predictor_of(scorer._examples, {"c0": scorer.votes()})
    unseen = predictor.scores(predictor.space.prepare(noisy.vectors[1600:]))[:, 0][shown[1600:]]
    left_out = [score for key, score in scorer.leave_one_out()().items() if shown[key]]
    judged = scorer._fit.left_out([key for key in scorer._fit.subset if shown[key]])
    np.testing.assert_allclose([np.mean(left_out), judged.mean()], unseen.mean(), atol=0.05)


def test_beyond_the_border_every_yes_and_every_no_is_known(place: World) -> None:
    labels = labels_of(place, 1100, "exclusive and closed")
    labels["c0"] |= dict.fromkeys(range(1100, 1110), False)
    labels["c1"] |= dict.fromkeys(list(labels["c0"])[:5], True)
    predictor = place.scorer(labels, "exclusive and closed").predictor()
    assert len(predictor.voters) == LANDMARKS
    for column, concept in enumerate(predictor.concept_ids):
        signs = predictor.signs_of(column)
        for value, sign in ((True, 1), (False, -1)):
            said = {key for key, given in labels[concept].items() if given is value}
            assert set(predictor.keys[signs == sign].tolist()) == said
