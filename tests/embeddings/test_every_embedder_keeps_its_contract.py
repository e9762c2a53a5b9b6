import numpy as np
import pytest
from PIL import Image

from tenshot.embeddings.base.embedder import Embedder, WorkflowError


def test_vectors_are_float32_of_the_recipes_dim_and_of_length_1(
    embedder: Embedder, pictures: list[Image.Image]
) -> None:
    vectors = embedder.embed_images(pictures)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(pictures), embedder.recipe.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_different_pictures_give_different_vectors(embedder: Embedder, pictures: list[Image.Image]) -> None:
    vectors = embedder.embed_images(pictures)
    cosines = vectors @ vectors.T
    assert cosines[~np.eye(len(pictures), dtype=bool)].max() < 0.9999


def test_one_by_one_equals_all_at_once(embedder: Embedder, pictures: list[Image.Image]) -> None:
    together = embedder.embed_images(pictures)
    alone = np.concatenate([embedder.embed_images([picture]) for picture in pictures])
    assert (together * alone).sum(axis=1).min() > 1 - 1e-5


def test_order_does_not_matter(embedder: Embedder, pictures: list[Image.Image]) -> None:
    forwards = embedder.embed_images(pictures)
    backwards = embedder.embed_images(pictures[::-1])[::-1]
    assert (forwards * backwards).sum(axis=1).min() > 1 - 1e-5


def test_the_same_pictures_give_the_same_vectors(embedder: Embedder, pictures: list[Image.Image]) -> None:
    np.testing.assert_array_equal(embedder.embed_images(pictures[:3]), embedder.embed_images(pictures[:3]))


def test_no_pictures_give_no_rows(embedder: Embedder) -> None:
    assert embedder.embed_images([]).shape == (0, embedder.recipe.dim)


def test_pictures_are_left_as_they_were(embedder: Embedder, pictures: list[Image.Image]) -> None:
    before = [picture.tobytes() for picture in pictures]
    embedder.embed_images(pictures)
    assert [picture.tobytes() for picture in pictures] == before


def test_a_picture_of_one_pixel_and_a_very_long_one_are_embedded(embedder: Embedder) -> None:
    vectors = embedder.embed_images([Image.new("RGB", (1, 1), "red"), Image.new("RGB", (2000, 3), "blue")])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_words_are_embedded_or_refused(embedder: Embedder) -> None:
    if not embedder.has_text:
        with pytest.raises(WorkflowError, match="images only"):
            embedder.embed_texts(["a robin"])
        return
    vectors = embedder.embed_texts(["a robin", "an owl at night", "a robin"])
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, embedder.recipe.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] < 0.9999 < vectors[0] @ vectors[2]
    assert embedder.embed_texts([]).shape == (0, embedder.recipe.dim)


def test_features_are_never_negative_where_the_recipe_says_so(embedder: Embedder, pictures: list[Image.Image]) -> None:
    assert (embedder.embed_images(pictures).min() >= 0) == embedder.recipe.nonnegative


def test_unloaded_it_loads_again_when_it_is_asked(general_fast: Embedder, pictures: list[Image.Image]) -> None:
    before = general_fast.embed_images(pictures)
    general_fast.unload()
    np.testing.assert_allclose(general_fast.embed_images(pictures), before, atol=1e-5)


def test_pixels_that_were_prepared_before_are_the_same_as_pictures(
    embedder: Embedder, pictures: list[Image.Image]
) -> None:
    prepared = [embedder.prepare(picture) for picture in pictures]
    np.testing.assert_allclose(embedder.embed_pixels(prepared), embedder.embed_images(pictures), atol=1e-5)
