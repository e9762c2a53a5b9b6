"""Naming pictures by any words, on a real checkpoint with random weights, and on classes."""

import numpy as np
import pytest
from PIL import Image

from tenshot.embeddings.base.embedder import Embedder, WorkflowError
from tenshot.embeddings.models import words
from tenshot.embeddings.models.zero_shot import PROMPTS, embed_names, zero_shot
from tenshot.embeddings.workflows import open_embedder, recipe_of
from tenshot.tools.demo.samples import photographs

NAMES = ["robin", "espresso", "motorbike"]


def test_a_name_is_the_mean_of_its_prompts(clip: Embedder) -> None:
    [found] = embed_names(clip, ["robin"])
    mean = clip.embed_texts([prompt.format("robin") for prompt in PROMPTS]).mean(axis=0)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-5)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_probabilities_are_the_models_own_softmax(clip: Embedder, pictures: list[Image.Image]) -> None:
    vectors = clip.embed_images(pictures)
    values = zero_shot(clip, vectors, NAMES)
    assert values.shape == (len(pictures), 3)
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-5)
    assert clip.text_scale == pytest.approx(1 / 0.07, rel=1e-3)  # what CLIP's logit scale starts from
    logits = (clip.text_scale or 0) * vectors @ embed_names(clip, NAMES).T
    np.testing.assert_allclose(np.log(values[:, 0] / values[:, 1]), logits[:, 0] - logits[:, 1], atol=1e-3)


def test_order_of_names_does_not_matter(clip: Embedder, pictures: list[Image.Image]) -> None:
    vectors = clip.embed_images(pictures)
    forwards, backwards = zero_shot(clip, vectors, NAMES), zero_shot(clip, vectors, NAMES[::-1])
    np.testing.assert_allclose(forwards, backwards[:, ::-1], atol=1e-5)


@pytest.mark.skipif(not words.installed(), reason="the extra `words` is not installed")
def test_photographs_are_named_by_words_that_are_no_classes(general: Embedder) -> None:
    vectors = general.embed_images(photographs()[1:5])  # cat, coffee, rocket, motorcycle
    names = ["a kitten", "a hot drink", "a launch into space", "two wheels and an engine"]
    assert zero_shot(general, vectors, names).argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_without_words_it_says_so() -> None:
    with pytest.raises(WorkflowError, match="no words"):
        zero_shot(open_embedder(recipe_of("vectors", dim=4)), np.eye(4, dtype=np.float32), NAMES)
