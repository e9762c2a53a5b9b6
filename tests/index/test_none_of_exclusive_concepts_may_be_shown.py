"""Exclusive concepts in an open environment: what nobody labelled is recognised as none of them."""

import numpy as np
import pytest
from worlds import World, world

FORM = "exclusive and open"
UNKNOWN = 4
"""The cluster that no concept stands for."""


@pytest.fixture(scope="module")
def place() -> World:
    return world(clusters=5, count=300, noise=0.4)


def known_labels(place: World, shots: int) -> dict[str, dict[int, bool]]:
    return {concept: given for concept, given in place.labels(shots).items() if concept != f"c{UNKNOWN}"}


def any_shown(place: World, labels: dict[str, dict[int, bool]], keys: np.ndarray) -> float:
    """On average."""
    return float(place.scorer(labels, FORM).predictor().values(place.vectors[keys]).sum(axis=1).mean())


def held_out(place: World, cluster: int) -> np.ndarray:
    return np.flatnonzero(place.truth == cluster)[20:]


def held_out_of_known(place: World) -> np.ndarray:
    return np.concatenate([held_out(place, cluster) for cluster in range(UNKNOWN)])


@pytest.mark.parametrize("shots", [1, 2, 8, 20])
def test_pictures_of_a_thing_without_labels_show_none_of_them(place: World, shots: int) -> None:
    labels, known = known_labels(place, shots), held_out_of_known(place)
    assert any_shown(place, labels, held_out(place, UNKNOWN)) < 0.7 * any_shown(place, labels, known)
    assert any_shown(place, labels, known) > 0.4
    predictor = place.scorer(labels, FORM).predictor()
    right = predictor.values(place.vectors[known]).argmax(axis=1) == place.truth[known]
    assert right.mean() > 0.9


def test_a_no_for_every_concept_teaches_what_none_of_them_looks_like(place: World) -> None:
    labels, known, unknown = known_labels(place, 8), held_out_of_known(place), held_out(place, UNKNOWN)
    noes = dict.fromkeys(np.flatnonzero(place.truth == UNKNOWN)[:10].tolist(), False)
    taught = {concept: given | noes for concept, given in labels.items()}
    assert any_shown(place, taught, unknown) < any_shown(place, labels, unknown)
    assert any_shown(place, taught, known) > any_shown(place, labels, known)


def test_a_no_for_one_concept_leaves_open_whether_another_is_shown(place: World) -> None:
    scorer = place.scorer(known_labels(place, 5), FORM)
    asked = int(held_out(place, 0)[0])
    before = scorer.predictor()
    scorer.set(asked, "c0", False)
    after = scorer.predictor()
    np.testing.assert_array_equal(after.any_shown(place.vectors), before.any_shown(place.vectors))
    assert after.values(place.vectors[[asked]])[0, 0] < before.values(place.vectors[[asked]])[0, 0]


def test_without_anything_to_compare_with_all_is_taken_for_one_of_them(place: World) -> None:
    """An app in which every input has a label: far from all of them the values are still low."""
    small = World(place.vectors[:40], place.truth[:40], np.arange(0))
    labels = small.labels(40)
    predictor = small.scorer(labels, FORM).predictor()
    assert predictor.any_shown(small.vectors).min() > 0.5
    assert predictor.any_shown(-small.vectors).max() < 0.1
