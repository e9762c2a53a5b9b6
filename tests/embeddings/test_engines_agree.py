"""Whatever computes a model: the vectors are those of float32 torch, and the compiled form is kept on the disk."""

import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tenshot.embeddings.base.embedder import FloatArray, Pixels
from tenshot.embeddings.engines import openvino
from tenshot.embeddings.engines.calibration_images import calibration_images
from tenshot.embeddings.engines.engine import (
    LEAST_COSINE,
    Engine,
    NormalizedModel,
    TorchEngine,
    least_cosine,
    on_gpu,
    open_engine,
)
from tenshot.embeddings.engines.preprocessing import Preprocessing
from tenshot.tools.demo.samples import photographs

SIDE = 32
PREPROCESSING = Preprocessing(lambda image: image.resize((SIDE, SIDE)), (SIDE, SIDE), 80, (0.5,) * 3, (0.25,) * 3)

pytestmark = pytest.mark.skipif(not openvino.installed(), reason="the extra `cpu` is not installed")


class Small(nn.Module):
    """Unit vectors of 16 numbers, and three probabilities."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.look = nn.Conv2d(3, 16, 8, stride=4)
            self.name = nn.Linear(16, 3)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.look(images).relu().mean(dim=(2, 3))
        return nn.functional.normalize(features), self.name(features).softmax(dim=1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TENSHOT_CACHE", str(tmp_path / "compiled"))
    return tmp_path / "compiled"


@pytest.fixture(scope="module")
def seen() -> list[Pixels]:
    return [PREPROCESSING(photograph) for photograph in photographs()]


def reference(pixels: Sequence[Pixels]) -> list[FloatArray]:
    return TorchEngine(NormalizedModel(Small(), PREPROCESSING).eval(), torch.device("cpu"), batch=4).run(pixels)


def same(engine: Engine, pixels: Sequence[Pixels]) -> bool:
    vectors, values = engine.run(pixels)
    expected, expected_values = reference(pixels)
    return least_cosine(vectors, expected) > LEAST_COSINE and bool(np.abs(values - expected_values).max() < 0.01)


def test_the_compiled_form_computes_the_same(seen: list[Pixels]) -> None:
    engine = open_engine("small", Small, PREPROCESSING)
    assert engine.name.startswith("OpenVINO")
    assert same(engine, seen)


def test_it_is_read_from_the_disk_without_loading_the_model(cache: Path, seen: list[Pixels]) -> None:
    first = open_engine("small", Small, PREPROCESSING).run(seen)

    def load() -> nn.Module:
        raise AssertionError("the model was loaded")

    again = open_engine("small", load, PREPROCESSING).run(seen)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    with pytest.raises(AssertionError):
        open_engine("other weights", load, PREPROCESSING)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("suffix", ["blob", "json"])
def test_a_spoiled_file_is_made_again(cache: Path, seen: list[Pixels], suffix: str) -> None:
    open_engine("small", Small, PREPROCESSING)
    [file] = cache.glob(f"*.{suffix}")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert same(open_engine("small", Small, PREPROCESSING), seen)
    # The compiler notes times, whose length differs.
    assert len(file.read_bytes()) > 0.9 * len(whole)


class Untraceable(Small):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return super().forward(torch.from_numpy(images.numpy()))  # leaves what a tracer can follow


class Unconvertible(Small):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # An operator that OpenVINO lacks.
        return super().forward(nn.functional.interpolate(images, SIDE, mode="bicubic", antialias=True))


@pytest.mark.parametrize("odd", [Untraceable, Unconvertible])
def test_a_model_that_can_not_be_compiled_is_computed_by_torch_and_the_log_says_so(
    odd: type[Small], seen: list[Pixels], caplog: pytest.LogCaptureFixture
) -> None:
    level = logging.getLogger().level
    engine = open_engine(odd.__name__, odd, PREPROCESSING)
    assert engine.name == "torch on cpu, float32"
    assert same(engine, seen)
    assert "computing with torch" in caplog.text
    assert logging.getLogger().level == level


def test_a_shorter_format_is_taken_only_where_pictures_show_that_the_vectors_bear_it(seen: list[Pixels]) -> None:
    def opened(key: str, tried: list[Pixels], least: float) -> openvino.Form:
        load = lambda: NormalizedModel(Small(), PREPROCESSING).eval()  # noqa: E731
        return openvino.open_engine(key, load, (SIDE, SIDE), lambda: tried, least).form

    assert opened("a bar that nothing passes", seen, 1.1).precision == "f32"
    lax = opened("a lax bar", seen, 0.9)
    assert lax.precision == "f32" or (lax.precision == "bf16" and lax.cosine is not None and lax.cosine > 0.9)


def test_alone_or_together_in_any_order_a_picture_has_one_vector(seen: list[Pixels]) -> None:
    engine = open_engine("small", Small, PREPROCESSING)
    together = engine.run(seen)[0]
    alone = np.concatenate([engine.run([one])[0] for one in seen])
    backwards = engine.run(seen[::-1])[0][::-1]
    assert least_cosine(together, alone) > 1 - 1e-3
    assert least_cosine(together, backwards) > 1 - 1e-3


def test_nothing_is_told_to_the_makers_of_openvino(tmp_path: Path) -> None:
    """In a fresh process with a fresh home: no telemetry is loaded, no socket is opened, no identity is written."""
    script = """
import socket, sys
def refuse(*_): raise AssertionError("a connection")
socket.socket.connect = refuse
from torch import nn
from tenshot.embeddings.engines.openvino import _library
library = _library()
from openvino.tools.ovc import telemetry_utils
assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
import torch
library.convert_model(nn.Linear(2, 2), example_input=torch.zeros(1, 2))
assert sys.modules["openvino_telemetry"] is None
"""
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], env={"HOME": str(home)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert list(home.iterdir()) == []


def test_where_its_telemetry_is_loaded_already_openvino_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino_telemetry", sys)
    assert open_engine("small", Small, PREPROCESSING).name.startswith("torch")


def test_torch_takes_batches_and_says_when_memory_is_short(seen: list[Pixels]) -> None:
    class Greedy(Small):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            if len(images) > 2:
                raise torch.OutOfMemoryError("too many")
            return super().forward(images)

    module = NormalizedModel(Greedy(), PREPROCESSING).eval()
    with pytest.raises(MemoryError, match="too many"):
        TorchEngine(module, torch.device("cpu"), batch=3).run(seen)
    assert same(TorchEngine(module, torch.device("cpu"), batch=2), seen)


def test_a_gpus_engine_takes_the_shortest_format_that_the_vectors_bear(seen: list[Pixels]) -> None:
    """The same steps on the CPU, which computes in float16 as well."""
    engine = on_gpu(NormalizedModel(Small(), PREPROCESSING).eval(), torch.device("cpu"), PREPROCESSING)
    assert engine.name == "torch on cpu, float16"
    assert same(engine, seen)

    class Loud(Small):
        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return super().forward(images * 1e6)  # more than float16 can hold, so that it gives no numbers

    loud = on_gpu(NormalizedModel(Loud(), PREPROCESSING).eval(), torch.device("cpu"), PREPROCESSING)
    assert loud.name in ("torch on cpu, bfloat16", "torch on cpu, float32")
    assert np.isfinite(loud.run(seen)[0]).all()


def test_the_pictures_that_decide_are_the_same_everywhere_and_of_many_kinds() -> None:
    drawn, again = calibration_images(), calibration_images()
    assert [image.tobytes() for image in drawn] == [image.tobytes() for image in again]
    assert {image.mode for image in drawn} == {"RGB"}
    means = [np.asarray(image).mean() for image in drawn]
    contrasts = [np.asarray(image).std() for image in drawn]
    assert max(means) > 1.5 * min(means)
    assert max(contrasts) > 2 * min(contrasts)
