"""Embedders for open_clip's models: pictures and words in one space."""

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
    """A loaded model: the engine of its image tower, and its text tower."""

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
        self._preprocessing = Preprocessing.from_transform(transform)
        self.least_side = self._preprocessing.least_side
        self.shrink = self._preprocessing.resize
        self._towers: _Towers | None = self._raise(model, tokenize)

    @property
    def engine(self) -> str:
        """The engine of the image tower, for people."""
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
        # A checkpoint file is known by its content, wherever it is.
        key = f"{self.recipe.model} {self.recipe.weights.rpartition(_DIGEST)[2]}"
        engine = open_engine(key, lambda: _VisualTower(model.visual), self._preprocessing)
        # From here on the engine has the image tower; the text tower stays with torch.
        model.visual = None
        return _Towers(engine, model.to(device()), tokenize)


class _VisualTower(nn.Module):
    """The image tower, which returns unit vectors."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        outputs = self.visual(images)
        # Some models return the tokens too.
        vectors = outputs[0] if isinstance(outputs, tuple) else outputs
        return (nn.functional.normalize(vectors.float()),)


def reference_model(recipe: Recipe) -> tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[Image], torch.Tensor]]:
    """The library's own model, from a batch to features (n, dim), and its own transform of a picture."""
    model, _ = _load(recipe)
    return model.encode_image, image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)


def _load(recipe: Recipe) -> tuple[Any, Callable[[list[str]], torch.Tensor]]:
    arch, weights = recipe.model.removeprefix(PREFIX), recipe.weights
    source = None
    options: dict[str, Any] = {}
    if weights.startswith(_HUB_PREFIX):
        name = source = weights.removeprefix(_HUB_PREFIX)
    elif weights.startswith(_HUB_FILE_PREFIX):
        name = source = weights.removeprefix(_HUB_FILE_PREFIX)
    elif weights.startswith(_TAG_PREFIX):
        tag = weights.removeprefix(_TAG_PREFIX)
        published = open_clip.get_pretrained_cfg(arch, tag)
        # A tag has its own activation; without this option the library warns and uses another one.
        options = {"pretrained": tag, "force_quick_gelu": published.get("quick_gelu", False)}
        source = os.path.dirname(published.get("hf_hub", "")) or None
        name = source or f"{arch}:{tag}"
    else:
        name = _unchanged_file(recipe)
        options = {"pretrained": name, "force_preprocess_cfg": _published_preprocessing(arch)}

    def load() -> tuple[Any, Any]:
        if weights.startswith(_HUB_FILE_PREFIX):
            options["pretrained"] = huggingface_hub.hf_hub_download(*name.rsplit("/", 1))
        tokenize = open_clip.get_tokenizer(arch)  # first, since it may lack a package, and weights are a long download
        return open_clip.create_model(arch, require_pretrained=True, **options).eval(), tokenize

    loaded: tuple[Any, Any] = _guarded(recipe.workflow, name, load, source)
    return loaded


def _guarded(workflow: str, name: str, load: Callable[[], Any], source: str | None) -> Any:
    if source is not None:
        downloads.require(workflow, source)
    try:
        return load()
    except ModuleNotFoundError as error:
        raise WorkflowError(f"workflow {workflow!r} needs a package: pip install {error.name}") from error
    except Exception as error:  # faults of downloads, caches and checkpoints have no common type
        raise downloads.missing(workflow, name, error) from error


def _published_preprocessing(arch: str) -> dict[str, Any]:
    """The preprocessing that an architecture's published weights agree on; a checkpoint file doesn't contain any."""
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
