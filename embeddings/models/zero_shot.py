"""Zero-shot classification by any words, for models with pictures and words in one space."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..base.embedder import FloatArray, WorkflowError

PROMPTS = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a close-up of a {}.",
    "a drawing of a {}.",
    "a small picture of a {}.",
    "a {}.",
)
"""Captions are rarely a single name, so a concept is the mean over several captions (Radford et al. 2021, section
3.1.4)."""
NAMES_AT_ONCE = 32
"""More names per call would not fit into a batcher's queue beside the pictures of others."""


class TextEmbedder(Protocol):
    """The part of an `Embedder` or a `Batcher` that embeds texts."""

    @property
    def classes(self) -> Sequence[str]: ...

    @property
    def text_scale(self) -> float | None: ...

    def embed_texts(self, texts: Sequence[str]) -> FloatArray: ...


def embed_names(embedder: TextEmbedder, names: Sequence[str]) -> FloatArray:
    """(n, dim) float32, unit length: the vectors of names in the space of pictures. WorkflowError without words.

    A model whose words come from its own classes takes the names without captions.
    """
    prompts = ("{}",) if embedder.classes else PROMPTS
    steps = [names[start : start + NAMES_AT_ONCE] for start in range(0, len(names), NAMES_AT_ONCE)] or [names]
    means = np.concatenate([_means(embedder, chunk, prompts) for chunk in steps])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def _means(embedder: TextEmbedder, names: Sequence[str], prompts: Sequence[str]) -> FloatArray:
    vectors = embedder.embed_texts([prompt.format(name) for name in names for prompt in prompts])
    return np.asarray(vectors.reshape(len(names), len(prompts), vectors.shape[1]).mean(axis=1), dtype=np.float32)


def zero_shot(embedder: TextEmbedder, vectors: FloatArray, names: Sequence[str]) -> FloatArray:
    """(n, C) probabilities that pictures of these vectors (n, dim) show one of C names rather than the others."""
    if embedder.text_scale is None:
        raise WorkflowError("this base workflow understands no words")
    logits = embedder.text_scale * (vectors @ embed_names(embedder, names).T)
    values = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(values / values.sum(axis=1, keepdims=True), dtype=np.float32)
