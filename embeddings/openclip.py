"""CLIP-like models of open_clip as embedders: pictures and words in one space."""

import difflib
import hashlib
import os.path
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL.Image import Image

from . import hub
from .base import FloatArray, Recipe, WorkflowError
from .device import device

PREFIX = "open_clip:"
_HUB_PREFIX = "hf-hub:"
_TAG_PREFIX = "tag:"
_FILE_PREFIX = "file:"
_DIGEST = "#sha256="


def describe(name: str) -> Recipe:
    """The recipe of `open_clip:ARCH:PRETRAINED` or `open_clip:hf-hub:ORG/NAME`.

    Only the latter asks the hub, for the model's configuration. PRETRAINED is a published tag or a checkpoint's path.
    """
    workflow = PREFIX + name
    if name.startswith(_HUB_PREFIX):
        repo = name.removeprefix(_HUB_PREFIX)
        config = _guarded(workflow, repo, lambda: open_clip.get_model_config(name), repo)
        return Recipe(workflow, workflow, name, config["embed_dim"], nonnegative=False)
    arch, _, pretrained = name.partition(":")
    config = open_clip.get_model_config(arch)
    if config is None:
        close = difflib.get_close_matches(arch, open_clip.list_models(), n=5, cutoff=0.4)
        hint = f"; close: {', '.join(close)}" if close else ""
        raise WorkflowError(f"open_clip has no architecture {arch!r}{hint}")
    if open_clip.get_pretrained_cfg(arch, pretrained):
        weights = _TAG_PREFIX + pretrained
    elif os.path.isfile(pretrained):
        weights = f"{_FILE_PREFIX}{os.path.abspath(pretrained)}{_DIGEST}{_sha256(pretrained)}"
    else:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(arch)) or "none"
        raise WorkflowError(
            f"workflow {workflow!r}: {pretrained!r} is neither a checkpoint file nor published weights of {arch}; "
            f"published: {tags}"
        )
    return Recipe(workflow, PREFIX + arch, weights, config["embed_dim"], nonnegative=False)


class OpenClipEmbedder:
    """The two towers of an open_clip model."""

    has_text = True
    classes = ()

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        model, self._tokenize = _load(recipe)
        self._transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
        self._device = device()
        self._batch = 64 if self._device.type == "cuda" else 16
        self._model = model.to(self._device)

    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        return self._embed(images, self._model.encode_image, self._pixels)

    def classify_images(self, images: Sequence[Image]) -> NoReturn:
        raise WorkflowError(f"workflow {self.recipe.workflow!r} has no classes of its own; it compares with any words")

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        return self._embed(texts, self._model.encode_text, self._tokenize)

    def close(self) -> None:
        del self._model

    def _pixels(self, images: Sequence[Image]) -> torch.Tensor:
        return torch.stack([self._transform(image) for image in images])

    @torch.inference_mode()
    def _embed(self, items: Sequence[Any], encode: Callable[..., torch.Tensor], prepare: Any) -> FloatArray:
        vectors = np.empty((len(items), self.recipe.dim), dtype=np.float32)
        for start in range(0, len(items), self._batch):
            batch = list(items[start : start + self._batch])
            try:
                encoded = encode(prepare(batch).to(self._device), normalize=True)
            except torch.OutOfMemoryError as error:
                raise MemoryError(str(error)) from error
            vectors[start : start + len(batch)] = encoded.float().cpu().numpy()
        return vectors


def _load(recipe: Recipe) -> tuple[Any, Callable[[list[str]], torch.Tensor]]:
    arch, weights = recipe.model.removeprefix(PREFIX), recipe.weights
    repo = None
    options: dict[str, Any] = {}
    if weights.startswith(_HUB_PREFIX):
        what = repo = weights.removeprefix(_HUB_PREFIX)
    elif weights.startswith(_TAG_PREFIX):
        tag = weights.removeprefix(_TAG_PREFIX)
        published = open_clip.get_pretrained_cfg(arch, tag)
        # A tag knows its activation; without this the library warns and computes with another one.
        options = {"pretrained": tag, "force_quick_gelu": published.get("quick_gelu", False)}
        repo = os.path.dirname(published.get("hf_hub", "")) or None
        what = repo or f"{arch}:{tag}"
    else:
        what = _unchanged_file(recipe)
        options = {"pretrained": what, "force_preprocess_cfg": _published_preprocessing(arch)}

    def load() -> tuple[Any, Any]:
        tokenize = open_clip.get_tokenizer(arch)  # first, since it may lack a package, and weights are a long download
        return open_clip.create_model(arch, require_pretrained=True, **options).eval(), tokenize

    loaded: tuple[Any, Any] = _guarded(recipe.workflow, what, load, repo)
    return loaded


def _guarded(workflow: str, what: str, load: Callable[[], Any], repo: str | None) -> Any:
    if repo is not None:
        hub.require(workflow, repo)
    try:
        return load()
    except ModuleNotFoundError as error:
        raise WorkflowError(f"workflow {workflow!r} needs a package: pip install {error.name}") from error
    except Exception as error:  # what a download, a cache or a checkpoint can do wrong has no common type
        raise hub.missing(workflow, what, error) from error


def _published_preprocessing(arch: str) -> dict[str, Any]:
    """What the published weights of the architecture agree on: a checkpoint file says nothing of its preprocessing."""
    tags = open_clip.list_pretrained_tags_by_model(arch)
    configs = [open_clip.get_pretrained_cfg(arch, tag) for tag in tags]
    return {
        key: configs[0][key]
        for key in ("mean", "std", "interpolation", "resize_mode")
        if configs and all(config.get(key) == configs[0].get(key) is not None for config in configs)
    }


def _unchanged_file(recipe: Recipe) -> str:
    path, _, digest = recipe.weights.removeprefix(_FILE_PREFIX).rpartition(_DIGEST)
    if not os.path.isfile(path):
        raise WorkflowError(f"workflow {recipe.workflow!r}: its checkpoint {path} is missing; put the file back")
    if _sha256(path) != digest:
        raise WorkflowError(
            f"workflow {recipe.workflow!r}: {path} is not the checkpoint it was created with (its SHA-256 differs); "
            f"vectors of two models can't be compared, so put the file back or create a new app"
        )
    return path


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
