"""CLIP-like models of open_clip as embedders: pictures and words in one space."""

import difflib
import hashlib
import os.path
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import huggingface_hub
import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL.Image import Image
from torch import nn

from ..base.embedder import BaseEmbedder, FloatArray, Pixels, Recipe, WorkflowError
from ..engines.device import device
from ..engines.engine import Engine, open_engine
from ..engines.preprocessing import Preprocessing
from . import downloads

PREFIX = "open_clip:"
_HUB_PREFIX = "hf-hub:"
_HUB_FILE_PREFIX = "hub-file:"
_TAG_PREFIX = "tag:"
_FILE_PREFIX = "file:"
_DIGEST = "#sha256="
_TEXTS = 64


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


@dataclass(frozen=True)
class _Towers:
    """What is in memory of a model: an engine that sees, and what reads."""

    engine: Engine
    model: Any
    tokenize: Callable[[list[str]], torch.Tensor]


class OpenClipEmbedder(BaseEmbedder):
    """The two towers of an open_clip model."""

    has_text = True

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        model, tokenize = _load(recipe)
        self.text_scale = float(model.logit_scale.detach().exp())
        transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
        self._preprocessing = Preprocessing.of(transform)
        self.least_side = self._preprocessing.least_side
        self.shrink = self._preprocessing.resize
        self._towers: _Towers | None = self._raise(model, tokenize)

    @property
    def engine(self) -> str:
        """What computes pictures, for people."""
        return self._loaded().engine.name

    def prepare(self, image: Image) -> Pixels:
        return self._preprocessing(image)

    def embed_pixels(self, pixels: Sequence[Pixels]) -> FloatArray:
        return self._loaded().engine.run(pixels)[0] if len(pixels) else np.empty((0, self.recipe.dim), dtype=np.float32)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        vectors = np.empty((len(texts), self.recipe.dim), dtype=np.float32)
        towers = self._loaded()
        for start in range(0, len(texts), _TEXTS):
            tokens = towers.tokenize(list(texts[start : start + _TEXTS])).to(device())
            try:
                encoded = towers.model.encode_text(tokens, normalize=True)
            except torch.OutOfMemoryError as error:
                raise MemoryError(str(error)) from error
            vectors[start : start + len(tokens)] = encoded.float().cpu().numpy()
        return vectors

    def unload(self) -> None:
        self._towers = None

    def _loaded(self) -> _Towers:
        if self._towers is None:
            self._towers = self._raise(*_load(self.recipe))
        return self._towers

    def _raise(self, model: Any, tokenize: Callable[[list[str]], torch.Tensor]) -> _Towers:
        # Of a checkpoint file the content counts, wherever it lies.
        key = f"{self.recipe.model} {self.recipe.weights.rpartition(_DIGEST)[2]}"
        engine = open_engine(key, lambda: _Sight(model.visual), self._preprocessing)
        # From here on the engine has the tower that sees; the one that reads stays with torch.
        model.visual = None
        return _Towers(engine, model.to(device()), tokenize)


class _Sight(nn.Module):
    """Unit vectors of the tower that sees."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        seen = self.visual(images)
        # Some give the tokens too.
        vectors = seen[0] if isinstance(seen, tuple) else seen
        return (nn.functional.normalize(vectors.float()),)


def plain(recipe: Recipe) -> tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[Image], torch.Tensor]]:
    """The model's features (n, dim) of a batch, and the library's transform of a picture: nothing of ours between."""
    model, _ = _load(recipe)
    return model.encode_image, image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)


def _load(recipe: Recipe) -> tuple[Any, Callable[[list[str]], torch.Tensor]]:
    arch, weights = recipe.model.removeprefix(PREFIX), recipe.weights
    source = None
    options: dict[str, Any] = {}
    if weights.startswith(_HUB_PREFIX):
        what = source = weights.removeprefix(_HUB_PREFIX)
    elif weights.startswith(_HUB_FILE_PREFIX):
        what = source = weights.removeprefix(_HUB_FILE_PREFIX)
    elif weights.startswith(_TAG_PREFIX):
        tag = weights.removeprefix(_TAG_PREFIX)
        published = open_clip.get_pretrained_cfg(arch, tag)
        # A tag knows its activation; without this the library warns and computes with another one.
        options = {"pretrained": tag, "force_quick_gelu": published.get("quick_gelu", False)}
        source = os.path.dirname(published.get("hf_hub", "")) or None
        what = source or f"{arch}:{tag}"
    else:
        what = _unchanged_file(recipe)
        options = {"pretrained": what, "force_preprocess_cfg": _published_preprocessing(arch)}

    def load() -> tuple[Any, Any]:
        if weights.startswith(_HUB_FILE_PREFIX):
            options["pretrained"] = huggingface_hub.hf_hub_download(*what.rsplit("/", 1))
        tokenize = open_clip.get_tokenizer(arch)  # first, since it may lack a package, and weights are a long download
        return open_clip.create_model(arch, require_pretrained=True, **options).eval(), tokenize

    loaded: tuple[Any, Any] = _guarded(recipe.workflow, what, load, source)
    return loaded


def _guarded(workflow: str, what: str, load: Callable[[], Any], source: str | None) -> Any:
    if source is not None:
        downloads.require(workflow, source)
    try:
        return load()
    except ModuleNotFoundError as error:
        raise WorkflowError(f"workflow {workflow!r} needs a package: pip install {error.name}") from error
    except Exception as error:  # what a download, a cache or a checkpoint can do wrong has no common type
        raise downloads.missing(workflow, what, error) from error


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
