"""With very many labels a prediction looks at a bounded part of them, and says what it would have said of all."""

from dataclasses import replace

import numpy as np
import pytest
from worlds import World, world

from tenshot.index.scoring.landmarks import LANDMARKS
from tenshot.index.scoring.predictor import Predictor
from tenshot.index.scoring.terms import KernelVotes, Summary

FORMS = ["independent", "exclusive and closed"]


@pytest.fixture(scope="module")
def place() -> World:
    return world(clusters=30, count=5000, dim=24)


def labels_of(place: World, count: int) -> dict[str, dict[int, bool]]:
    """The first so many inputs, each labelled with its cluster."""
    return {f"c{c}": dict.fromkeys(np.flatnonzero(place.truth[:count] == c).tolist(), True) for c in range(30)}


def summary_of(predictor: Predictor) -> Summary | None:
    votes = predictor.term(KernelVotes)
    assert votes
    return votes.summary


def with_summary(predictor: Predictor, summary: Summary | None) -> Predictor:
    return replace(
        predictor,
        terms=tuple(
            replace(term, summary=summary) if isinstance(term, KernelVotes) else term for term in predictor.terms
        ),
    )


def test_summed_up_votes_score_as_all_of_them_do(place: World) -> None:
    predictor = place.scorer(labels_of(place, 4700), "independent").predictor()
    summary = summary_of(predictor)
    assert summary
    prepared = predictor.space.prepare(place.vectors[4700:])
    parts = predictor.parts(prepared)
    np.testing.assert_allclose(
        parts.prototype + parts.neighbours + parts.background, predictor.scores(prepared), atol=1e-9
    )
    alone = with_summary(predictor, replace(summary, share=np.ones(30)))
    summed, exact = alone.scores(prepared), with_summary(predictor, None).scores(prepared)
    assert np.sqrt(np.mean((summed - exact) ** 2)) < 0.1 * exact.std()
    assert (summed.argmax(axis=1) == exact.argmax(axis=1)).mean() > 0.95


def test_few_labels_are_not_summed_up_and_the_first_that_are_change_little(place: World) -> None:
    assert summary_of(place.scorer(labels_of(place, 4096), "independent").predictor()) is None
    first = place.scorer(labels_of(place, 4097), "independent").predictor()
    assert summary_of(first)
    values = first.values(place.vectors[4700:])
    np.testing.assert_allclose(values, with_summary(first, None).values(place.vectors[4700:]), atol=1e-3)


def test_very_many_labels_of_few_images_are_not_summed_up(place: World) -> None:
    labels = {f"c{c}": {key: bool(place.truth[key] == c) for key in range(500)} for c in range(30)}
    assert summary_of(place.scorer(labels, "independent").predictor()) is None


def test_no_more_vote_than_must(place: World) -> None:
    predictor = place.scorer(labels_of(place, 2600), "exclusive and closed").predictor()
    assert len(predictor.voters) == LANDMARKS
    held_out = place.vectors[2600:]
    assert (predictor.values(held_out).argmax(axis=1) == place.truth[2600:]).mean() > 0.6


@pytest.mark.parametrize("form", FORMS)
def test_changes_leave_what_their_result_would_give(place: World, form: str) -> None:
    rng = np.random.default_rng(0)
    labels = labels_of(place, 2500)
    scorer = place.scorer(labels, form)
    scorer.predictor()
    for key in [*rng.choice(2500, 60, replace=False).tolist(), *range(2500, 2580)]:
        concept, value = f"c{place.truth[key]}", None if key < 2500 else True
        scorer.set(key, concept, value)
        labels[concept].pop(key, None)
        if value:
            labels[concept][key] = value
        if key % 7 == 0:
            scorer.predictor()
    found, fresh = scorer.predictor(), place.scorer(labels, form).predictor()
    np.testing.assert_allclose(found.values(place.vectors), fresh.values(place.vectors), atol=1e-4)
    keys = np.array(sorted(key for given in labels.values() for key in given))[::10]
    np.testing.assert_allclose(
        scorer.leave_one_out(keys)(), place.scorer(labels, form).leave_one_out(keys)(), atol=1e-4
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_frozen_one_predicts_the_same(place: World, form: str) -> None:
    predictor = place.scorer(labels_of(place, 2600), form).predictor()
    again = Predictor.from_bytes(predictor.to_bytes())
    np.testing.assert_array_equal(again.values(place.vectors), predictor.values(place.vectors))
