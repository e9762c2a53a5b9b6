"""The space of an app: what smoothing over a sample does to its vectors, and what it must never do."""

import numpy as np
import pytest
from worlds import world

from tenshot.index.scoring.space import Smoothing, Space

PLACE = world(clusters=5, count=120, noise=0.4)


@pytest.fixture
def space() -> Space:
    return Space.fit(PLACE.vectors, 0.5).smoothed(PLACE.vectors[:80])


def test_vectors_are_of_unit_length_alone_as_in_any_batch(space: Space) -> None:
    together = space.prepare(PLACE.vectors)
    alone = np.concatenate([space.prepare(vector[None]) for vector in PLACE.vectors])
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_an_image_is_drawn_to_its_nearest_in_the_sample(space: Space) -> None:
    smoothing = space.smoothing
    assert smoothing
    damped = smoothing.damp(space.plain.prepare(PLACE.vectors[80:]))
    smooth = space.prepare(PLACE.vectors[80:])
    nearest = np.argsort(-damped @ smoothing.neighbours.T, axis=1)[:, :5]
    there = smoothing.neighbours[nearest].mean(axis=1)
    assert (np.einsum("nd,nd->n", smooth, there) > np.einsum("nd,nd->n", damped, there)).all()


def test_what_varies_most_in_the_app_counts_for_less(space: Space) -> None:
    assert space.smoothing
    plain = space.plain.prepare(PLACE.vectors)
    before, after = np.linalg.eigvalsh(plain.T @ plain), np.linalg.eigvalsh(np.cov(space.smoothing.damp(plain).T))
    assert after[-1] / after.sum() < before[-1] / before.sum()


def test_an_image_is_not_its_own_neighbour_nor_is_a_copy(space: Space) -> None:
    smoothing = space.smoothing
    assert smoothing
    rows = space.plain.prepare(PLACE.vectors[:1])
    without = Smoothing(smoothing.directions, smoothing.gains, smoothing.neighbours[1:])
    np.testing.assert_allclose(smoothing.smooth(rows), without.smooth(rows), atol=1e-6)


def test_a_copy_of_the_mean_stays_without_direction(space: Space) -> None:
    zero = np.zeros((1, PLACE.vectors.shape[1]), dtype=np.float32)
    assert space.smoothing
    np.testing.assert_array_equal(space.smoothing.smooth(zero), zero)


def test_identical_images_are_a_sample_too() -> None:
    same = np.tile(PLACE.vectors[:1], (30, 1))
    prepared = Space.fit(same, 0.5).smoothed(same).prepare(PLACE.vectors)
    assert np.isfinite(prepared).all()


def test_an_app_of_few_images_is_not_smoothed() -> None:
    few = PLACE.vectors[:19]
    assert Space.fit(few, 0.5).smoothed(few).smoothing is None


def test_a_vector_asked_about_again_gives_the_same_row_which_nobody_can_change(space: Space) -> None:
    first = space.prepare(PLACE.vectors[:1])
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1
    np.testing.assert_array_equal(space.prepare(PLACE.vectors[:1].copy()), first)
    assert not np.array_equal(space.plain.prepare(PLACE.vectors[:1]), first)


@pytest.mark.parametrize("copies", [0, 3, 30])
def test_a_labelled_row_is_prepared_the_same_to_the_bit_alone_among_a_few_and_among_many(copies: int) -> None:
    """Copies of it in the sample, more than its neighbours are, count as itself."""
    vectors = np.random.default_rng(1).normal(size=(600, 256)).astype(np.float32)
    vectors[1 : 1 + copies] = vectors[400 : 400 + copies] = vectors[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    space = Space.fit(vectors, 1.0).smoothed(vectors[:400])
    together = space.prepare_alone(vectors)
    for size in (1, 7):
        parts = [space.prepare_alone(vectors[i : i + size]) for i in range(0, len(vectors), size)]
        np.testing.assert_array_equal(np.concatenate(parts), together)
    np.testing.assert_allclose(space.prepare(vectors), together, atol=1e-6)
