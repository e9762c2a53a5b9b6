"""Every file of the cache folder: damaged by a bit, emptied or cut off it is noticed, and made anew."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tenshot.embeddings.engines import openvino
from tenshot.embeddings.models import words
from tenshot.runtime.compiled import compiled

Damage = Callable[[bytes], bytes]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :]


def zeroed(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(min(65_536, len(content) - middle)) + content[middle + 65_536 :]


def emptied(_: bytes) -> bytes:
    return b""


def cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.fixture(params=[flipped, zeroed, emptied, cut_off])
def damage(request: pytest.FixtureRequest) -> Damage:
    chosen: Damage = request.param
    return chosen


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TENSHOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Tiny(nn.Module):
    """Unit vectors of 16 numbers of a picture of 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 36, 16))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor]:
        return (nn.functional.normalize(self.layers(pixels.float() / 255)),)


@pytest.mark.skipif(not openvino.installed(), reason="OpenVINO is optional")
def test_a_damaged_compiled_model_is_compiled_again(folder: Path, damage: Damage) -> None:
    loaded = []
    pixels = list(np.random.default_rng(0).integers(0, 255, (3, 3, 8, 8), dtype=np.uint8))

    def load() -> nn.Module:
        loaded.append(1)
        return Tiny().eval()

    def vectors() -> np.ndarray:
        return openvino.open_engine("tiny", load, (8, 8), lambda: pixels, 0.999).run(pixels)[0]

    expected = vectors()
    np.testing.assert_array_equal(vectors(), expected)
    assert len(loaded) == 1
    [blob] = folder.glob("*.blob")
    blob.write_bytes(damage(blob.read_bytes()))
    np.testing.assert_allclose(vectors(), expected, atol=1e-6)
    assert len(loaded) == 2
    vectors()
    assert len(loaded) == 2


def test_damaged_vectors_of_words_are_made_again(folder: Path, damage: Damage) -> None:
    asked = []

    def encode(texts: Any) -> np.ndarray:
        asked.append(len(texts))
        return np.random.default_rng(0).normal(size=(len(texts), 4)).astype(np.float32)

    expected = words._class_vectors(encode)
    np.testing.assert_array_equal(words._class_vectors(encode), expected)
    assert len(asked) == 1
    [file] = [path for path in folder.iterdir() if path.is_file()]
    file.write_bytes(damage(file.read_bytes()))
    np.testing.assert_array_equal(words._class_vectors(encode), expected)
    assert len(asked) == 2
    words._class_vectors(encode)
    assert len(asked) == 2


def _twice(value: int) -> int:
    return 2 * value


def _fits(path: Path) -> bool:
    return path.suffix in (".nbi", ".nbc")


def test_damaged_machine_code_is_made_again(folder: Path, damage: Damage) -> None:
    pytest.importorskip("numba")

    def fast() -> Any:
        return compiled(_twice, lambda numba: numba.int64(numba.int64))

    assert fast()(21) == 42
    files = [path for path in folder.rglob("*") if _fits(path)]
    assert len(files) == 2
    for path in files:
        before = path.read_bytes()
        path.write_bytes(damage(before))
        assert fast()(21) == 42
        assert path.read_bytes() != damage(before)
        assert sum(fast().stats.cache_hits.values()) == 1
    assert not [name for _, _, names in os.walk(folder) for name in names if name.endswith(".new")]
