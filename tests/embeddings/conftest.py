"""Pictures drawn here, models opened once, and no way out to the network."""

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image, ImageDraw

from tenshot.embeddings.base.embedder import Embedder
from tenshot.embeddings.workflows import open_embedder, recipe_of

CLIP_ARCH = "ViT-S-32-alt"  # the smallest that open_clip knows: 43 million parameters


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """The hub is asked through a proxy that nobody runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
            patch.setenv(name, "http://127.0.0.1:9")
        huggingface_hub.close_session()
        yield
    huggingface_hub.close_session()


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Five different drawings of different sizes: more than a CPU takes in one batch."""
    rng = np.random.default_rng(7)
    drawn = []
    for i in range(5):
        width, height = 120 + 40 * i, 300 - 25 * i
        noise = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
        image = Image.fromarray(noise + np.uint8(25 * i))
        draw = ImageDraw.Draw(image)
        draw.ellipse((20, 20, 60 + 10 * i, 90), fill=(250 - 30 * i, 30 * i, 120))
        draw.rectangle((10, 80, 70, 80 + 9 * i), fill=(40 * i, 200, 255 - 20 * i))
        drawn.append(image)
    return drawn


@pytest.fixture(scope="session")
def clip_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the random weights of a small CLIP."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.create_model(CLIP_ARCH)
    path = tmp_path_factory.mktemp("clip") / "small.pt"
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def general() -> Iterator[Embedder]:
    yield from _opened("general")


@pytest.fixture(scope="session")
def general_fast() -> Iterator[Embedder]:
    yield from _opened("general-fast")


@pytest.fixture(scope="session")
def clip(clip_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENSHOT_CACHE", str(tmp_path_factory.mktemp("compiled")))
        embedder = open_embedder(recipe_of(f"open_clip:{CLIP_ARCH}:{clip_checkpoint}"))
    yield embedder
    embedder.close()


@pytest.fixture(scope="session", params=["general", "general_fast", "clip"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    """Every embedder that can be opened without a network, one after the other."""
    opened: Embedder = request.getfixturevalue(request.param)
    return opened


def _opened(workflow_id: str) -> Iterator[Embedder]:
    embedder = open_embedder(recipe_of(workflow_id))
    yield embedder
    embedder.close()
