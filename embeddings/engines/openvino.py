"""The OpenVINO engine for CPUs, several times faster than torch. Optional: where it fails, torch computes.

OpenVINO comes with a telemetry package that reports every import and every conversion, unless the user has opted out by
a file in the home folder. Here that package can't be imported, so OpenVINO uses its own empty replacement.
"""

import hashlib
import importlib
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...runtime.compiled import cache_folder, keep
from ..base.embedder import FloatArray, Pixels

_TELEMETRY = "openvino_telemetry"
_BATCH = 8
"""Most images that one stream computes at once, where batching helps."""
_FORM = 2
"""To be increased when models are compiled in another way than before."""
_SAME = 0.9999
"""Least cosine to torch's vectors in the same number format."""


class CompilationError(Exception):
    """A model can't be compiled."""


@dataclass(frozen=True)
class Form:
    """How a model was compiled."""

    precision: str
    """OpenVINO's name of a number format: f32 or bf16."""
    cosine: float | None
    """The least cosine to float32 on the calibration images; None for float32 itself."""
    together: bool
    """Whether a stream computes several images at once, which helps transformers."""
    sha256: str = ""
    """Of the compiled model's file: a damaged one would compute other vectors, silently."""


def installed() -> bool:
    return find_spec("openvino") is not None


def open_engine(
    key: str,
    load: Callable[[], nn.Module],
    size: tuple[int, int],
    samples: Callable[[], Sequence[Pixels]],
    least_cosine: float,
) -> "OpenVinoEngine":
    """The compiled form of a module of (n, 3, *size) bytes whose first output is unit vectors. Raises CompilationError.

    samples: pictures on which a shorter number format must reach least_cosine. A model that was compiled before on
    this machine is read from the cache folder.
    """
    try:
        library = _library()
        core = library.Core()
        stem = cache_folder() / _digest(key, size, library, core)
        if (cached := _read(core, stem)) is not None:
            return OpenVinoEngine(library, *cached)
        module = load()
        model, together = _converted(library, module, size)
        compiled, form = _fastest(core, model, module, together, samples(), least_cosine)
        _keep(compiled, form, stem)
        return OpenVinoEngine(library, compiled, form)
    except CompilationError:
        raise
    except Exception as error:  # an unknown operator, a full disk or an odd processor may raise anything
        raise CompilationError(str(error) or type(error).__name__) from error


class OpenVinoEngine:
    """A compiled model; its streams compute in parallel, each on its own cores."""

    def __init__(self, library: Any, compiled: Any, form: Form) -> None:
        self.form = form
        self._lock = threading.Lock()
        self._streams = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._queue = library.AsyncInferQueue(compiled, self._streams)
        self._queue.set_callback(_collect)
        self._widths = [output.get_partial_shape()[1].get_length() for output in compiled.outputs]

    @property
    def name(self) -> str:
        return f"OpenVINO, {self.form.precision}"

    def run(self, pixels: Sequence[Pixels]) -> list[FloatArray]:
        outputs = [np.empty((len(pixels), width), dtype=np.float32) for width in self._widths]
        # One picture at a time keeps a convolution's maps in a core's cache; in a batch, a transformer's weights are
        # read once for several pictures.
        step = min(-(-len(pixels) // self._streams), _BATCH) if self.form.together else 1
        batches = [np.stack(pixels[start : start + step]) for start in range(0, len(pixels), step)]
        with self._lock:
            for number, batch in enumerate(batches):
                rows = slice(number * step, number * step + len(batch))
                # Shared, since OpenVINO 2026.4 overruns memory when it copies a batch that is larger than the last.
                self._queue.start_async([batch], (outputs, rows), share_inputs=True)
            self._queue.wait_all()
        # In bfloat16 lengths are only roughly 1.
        outputs[0] /= np.maximum(np.linalg.norm(outputs[0], axis=1, keepdims=True), 1e-12)
        return outputs


def _library() -> Any:
    """The module `openvino`, without its telemetry."""
    if sys.modules.get(_TELEMETRY) is not None:
        raise CompilationError(f"{_TELEMETRY} is loaded already, and would report to its makers")
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # as Python documents: importing it now fails
    return importlib.import_module("openvino")


def _digest(key: str, size: tuple[int, int], library: Any, core: Any) -> str:
    """A file name that depends on all that a compiled model depends on."""
    processor = core.get_property("CPU", "FULL_DEVICE_NAME"), core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    versions = [version(name) for name in ("torch", "timm", "open_clip_torch")]
    about = [key, size, library.__version__, versions, processor, os.cpu_count(), _FORM]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]


def _converted(library: Any, module: nn.Module, size: tuple[int, int]) -> tuple[Any, bool]:
    """OpenVINO's model, and whether it takes several images at once."""
    convolutions = sum(p.numel() for m in module.modules() if isinstance(m, nn.Conv2d) for p in m.parameters())
    together = 2 * convolutions < sum(p.numel() for p in module.parameters())
    # Torch's fused attention is an operator that OpenVINO doesn't have.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    # If OpenVINO can't convert, it leaves the logs of the whole process silenced below errors.
    logs = logging.getLogger()
    level, filters = logs.level, logs.filters.copy()
    try:
        example = torch.zeros(2 if together else 1, 3, *size, dtype=torch.uint8)
        shapes = ({0: torch.export.Dim("n", min=1, max=64)},) if together else None
        exported = torch.export.export(module, (example,), dynamic_shapes=shapes)
        model = library.convert_model(exported)
        model.reshape([-1 if together else 1, 3, *size])  # otherwise every dimension is dynamic, and slow
        return model, together
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        logs.setLevel(level)
        logs.filters = filters


def _fastest(
    core: Any, model: Any, module: nn.Module, together: bool, samples: Sequence[Pixels], least_cosine: float
) -> tuple[Any, Form]:
    """Compiles in bfloat16 if the processor has it and the vectors stay accurate, else in float32.

    Not in float16, which was slower than float32 (29 images/s instead of 48) on a processor that has it.
    """
    exact = core.compile_model(model, "CPU", _config("f32"))
    batches = [pixels[None] for pixels in samples]
    reference = np.concatenate([exact(batch)[0] for batch in batches])
    with torch.inference_mode():
        truth = np.concatenate([module(torch.from_numpy(batch))[0].numpy() for batch in batches[:2]])
    if _least(truth, reference[: len(truth)]) < _SAME:
        raise CompilationError("the compiled model computes something else")
    if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        short = core.compile_model(model, "CPU", _config("bf16"))
        cosine = _least(np.concatenate([short(batch)[0] for batch in batches]), reference)
        if cosine >= least_cosine:
            return short, Form("bf16", cosine, together)
    return exact, Form("f32", None, together)


def _least(vectors: FloatArray, reference: FloatArray) -> float:
    """The smallest cosine of n pairs of unit vectors (n, dim)."""
    return float((vectors * reference).sum(axis=1).min())


def _config(precision: str) -> dict[str, str]:
    return {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT"}


def _read(core: Any, stem: Path) -> tuple[Any, Form] | None:
    """The compiled model in the cache; None if there is none, or none that can be used."""
    try:
        form = Form(**json.loads(stem.with_suffix(".json").read_text()))
        blob = stem.with_suffix(".blob").read_bytes()
        if hashlib.sha256(blob).hexdigest() != form.sha256:
            return None
        return core.import_model(blob, "CPU", _config(form.precision)), form
    except (OSError, ValueError, TypeError, RuntimeError):
        return None


def _keep(compiled: Any, form: Form, stem: Path) -> None:
    """Writes the compiled model to the cache, if possible; the file with its hash comes last."""
    blob = compiled.export_model().getvalue()
    form = replace(form, sha256=hashlib.sha256(blob).hexdigest())
    keep(stem.with_suffix(".blob"), blob)
    keep(stem.with_suffix(".json"), json.dumps(vars(form)).encode())


def _collect(request: Any, target: tuple[list[FloatArray], slice]) -> None:
    outputs, rows = target
    for number, output in enumerate(outputs):
        output[rows] = request.get_output_tensor(number).data
