"""Naming pictures untaught, by any words: for models that hold pictures and words in one space."""

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
"""A name alone is rarely what a picture's caption was; the mean over several captions stands for the thing (Radford et
al. 2021, section 3.1.4)."""
NAMES_AT_ONCE = 32
"""More in one call would not fit into a batcher's queue beside others' pictures."""


class Reader(Protocol):
    """The part of an `Embedder` or a `Batcher` that reads."""

    @property
    def classes(self) -> Sequence[str]: ...

    @property
    def text_scale(self) -> float | None: ...

    def embed_texts(self, texts: Sequence[str]) -> FloatArray: ...


def embed_names(reader: Reader, names: Sequence[str]) -> FloatArray:
    """(n, dim) float32, unit length: what stands for things of these names among pictures. WorkflowError without words.

    A model that reads by its own classes takes the names as they are.
    """
    prompts = ("{}",) if reader.classes else PROMPTS
    steps = [names[start : start + NAMES_AT_ONCE] for start in range(0, len(names), NAMES_AT_ONCE)] or [names]
    means = np.concatenate([_means(reader, some, prompts) for some in steps])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def _means(reader: Reader, names: Sequence[str], prompts: Sequence[str]) -> FloatArray:
    vectors = reader.embed_texts([prompt.format(name) for name in names for prompt in prompts])
    return np.asarray(vectors.reshape(len(names), len(prompts), vectors.shape[1]).mean(axis=1), dtype=np.float32)


def zero_shot(reader: Reader, vectors: FloatArray, names: Sequence[str]) -> FloatArray:
    """(n, C) probabilities that pictures of these vectors (n, dim) show one of C names rather than the others."""
    if reader.text_scale is None:
        raise WorkflowError("this base workflow understands no words")
    logits = reader.text_scale * (vectors @ embed_names(reader, names).T)
    values = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(values / values.sum(axis=1, keepdims=True), dtype=np.float32)
