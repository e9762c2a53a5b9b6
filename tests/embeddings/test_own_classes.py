"""What a base workflow can name untaught: the classes of its own head."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage.data
from PIL import Image

from tenshot.embeddings.base.batcher import Batcher
from tenshot.embeddings.base.embedder import Embedder, FloatArray
from tenshot.embeddings.workflows import open_embedder, recipe_of


@pytest.fixture(scope="module")
def general_fast() -> Batcher:
    return Batcher(open_embedder(recipe_of("general-fast")))


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    return [Image.fromarray(picture()) for picture in (skimage.data.chelsea, skimage.data.coffee, skimage.data.rocket)]


def probabilities(embedder: Batcher, pictures: list[Image.Image]) -> FloatArray:
    """(n, 1000), seen together with the vectors, which must be those of `embed_pixels`."""
    pixels = [embedder.prepare(picture) for picture in pictures]
    seen = embedder.embed_with_classes(pixels)
    np.testing.assert_allclose(seen[:, : embedder.recipe.dim], embedder.embed_pixels(pixels), atol=1e-5)
    return seen[:, embedder.recipe.dim :]


def test_there_are_a_thousand_different_names(general_fast: Batcher) -> None:
    assert len(general_fast.classes) == len(set(general_fast.classes)) == 1000


def test_photographs_are_named_sensibly(general_fast: Batcher, photos: list[Image.Image]) -> None:
    values = probabilities(general_fast, photos)
    assert values.shape == (3, 1000)
    assert values.dtype == np.float32
    assert values.sum(axis=1) == pytest.approx(1, abs=1e-4)
    best = [[general_fast.classes[i] for i in np.argsort(-row)[:5]] for row in values]
    assert "cat" in " ".join(best[0]) or {"tabby", "tiger cat"} & set(best[0])
    assert {"espresso", "cup", "coffee mug", "eggnog"} & set(best[1])
    assert {"missile", "projectile", "space shuttle"} & set(best[2])


def test_values_are_the_same_alone_in_a_batch_and_from_many_threads(
    general_fast: Batcher, photos: list[Image.Image]
) -> None:
    together = probabilities(general_fast, photos)
    with ThreadPoolExecutor(3) as pool:
        alone = np.concatenate(list(pool.map(lambda photo: probabilities(general_fast, [photo]), photos)))
    assert alone == pytest.approx(together, abs=1e-3)


def test_none_are_beside_the_vectors_where_there_are_no_classes(clip: Embedder, photos: list[Image.Image]) -> None:
    pixels = [clip.prepare(photo) for photo in photos]
    np.testing.assert_allclose(clip.embed_with_classes(pixels), clip.embed_pixels(pixels), atol=1e-5)
