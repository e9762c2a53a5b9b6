"""What computes a model: torch, or a compiled form of it. As exact as needed, as fast as that allows."""

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from ..base.embedder import FloatArray, Pixels
from . import openvino
from .calibration_images import calibration_images
from .device import device
from .preprocessing import Preprocessing

LEAST_COSINE = 0.999
"""Of vectors in a shorter number format to those in float32, on every calibration image; else float32 it is."""

_log = logging.getLogger("tenshot.embeddings")


class Engine(Protocol):
    """A model that is ready to compute. One thread at a time."""

    @property
    def name(self) -> str:
        """For people, such as `OpenVINO, float32`."""
        ...

    def run(self, pixels: Sequence[Pixels]) -> list[FloatArray]:
        """What the model gives out for n pictures, each (n, ...). MemoryError where they are too many at once."""
        ...


class NormalizedModel(nn.Module):
    """A model from bytes on: normalises them as its weights want, then computes (n, ...) outputs in float32."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, -1, 1, 1))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.model((pixels.to(self.mean.dtype) / 255 - self.mean) / self.std)
        return tuple(output.float() for output in outputs)


@dataclass(frozen=True)
class TorchEngine:
    """The reference, and the engine of a GPU."""

    module: nn.Module
    where: torch.device
    batch: int

    @property
    def name(self) -> str:
        return f"torch on {self.where.type}, {str(next(self.module.parameters()).dtype).removeprefix('torch.')}"

    @torch.inference_mode()
    def run(self, pixels: Sequence[Pixels]) -> list[FloatArray]:
        parts = [self._outputs(pixels[start : start + self.batch]) for start in range(0, len(pixels), self.batch)]
        # Copied to the host last: until then the GPU computes while the next batch is on its way.
        return [torch.cat(columns).cpu().numpy() for columns in zip(*parts, strict=True)]

    def _outputs(self, pixels: Sequence[Pixels]) -> tuple[torch.Tensor, ...]:
        batch = torch.from_numpy(np.stack(pixels))
        if self.where.type == "cuda":
            batch = batch.pin_memory()  # else the copy below would wait for the GPU
        try:
            outputs: tuple[torch.Tensor, ...] = self.module(batch.to(self.where, non_blocking=True))
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error
        return outputs


def open_engine(key: str, load: Callable[[], nn.Module], preprocessing: Preprocessing) -> Engine:
    """The fastest engine here for a model of unit vectors (its first output), and of other outputs behind them.

    key names the weights and what reads them: an engine that was compiled for the same key is taken from the disk,
    without loading the model.
    """
    where = device()
    if where.type == "cuda":
        return on_gpu(NormalizedModel(load(), preprocessing).eval(), where, preprocessing)
    loaded: list[nn.Module] = []

    def looking() -> nn.Module:
        loaded.append(NormalizedModel(load(), preprocessing).eval())
        return loaded[0]

    if openvino.installed():
        try:
            return openvino.open_engine(key, looking, preprocessing.size, lambda: _tried(preprocessing), LEAST_COSINE)
        except openvino.CompilationError as error:
            _log.warning("computing with torch, since OpenVINO can't: %s", " ".join(str(error).split())[:300])
    module = loaded[0] if loaded else looking()
    return torch_engine(module)


def torch_engine(module: nn.Module) -> TorchEngine:
    """Torch on the CPU, in float32."""
    # On two CPU cores 4 at a time gave EfficientNet-Lite2 41 images/s, 1 gave 30, 16 gave 25: the caches decide.
    return TorchEngine(module.to(memory_format=torch.channels_last), torch.device("cpu"), batch=4)


def least_cosine(vectors: FloatArray, reference: FloatArray) -> float:
    """Of n pairs of unit vectors (n, dim); 1 for none."""
    return float((vectors * reference).sum(axis=1).min(initial=1))


def on_gpu(module: nn.Module, where: torch.device, preprocessing: Preprocessing) -> TorchEngine:
    """Torch in the shortest number format in which the calibration images keep their vectors."""
    exact = TorchEngine(module.to(where).to(memory_format=torch.channels_last), where, batch=64)
    tried = _tried(preprocessing)
    reference = exact.run(tried)[0]
    for kind in (torch.float16, torch.bfloat16):
        short = TorchEngine(copy.deepcopy(module).to(where, kind), where, batch=64)
        if least_cosine(short.run(tried)[0], reference) >= LEAST_COSINE:  # a NaN is not
            return short
    return exact


def _tried(preprocessing: Preprocessing) -> list[Pixels]:
    return [preprocessing(image) for image in calibration_images()]
