"""What was downloaded from the hub once: used without a network when it is whole, and only then."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
from PIL import Image
from safetensors.torch import save_file

from tenshot.embeddings.base.embedder import WorkflowError
from tenshot.embeddings.engines.engine import LEAST_COSINE
from tenshot.embeddings.models import downloads
from tenshot.embeddings.workflows import availability, open_embedder, recipe_of, workflow

TIMM, TIMM_REPO = "timm:test_vit", "timm/test_vit.r160_in1k"
CLIP_REPO = "nobody/tiny"
CLIP = f"open_clip:hf-hub:{CLIP_REPO}"
CONFIG = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


@pytest.fixture
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """The folder of a repository's files in an empty cache of the hub's."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TENSHOT_CACHE", str(tmp_path / "compiled"))

    def folder(repo: str) -> Path:
        place = tmp_path / f"models--{repo.replace('/', '--')}"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text("0" * 40)
        (files := place / "snapshots" / ("0" * 40)).mkdir(parents=True)
        return files

    return folder


def test_weights_of_timm(downloaded: Callable[[str], Path], pictures: list[Image.Image]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model("test_vit").eval()
    save_file(model.state_dict(), downloaded(TIMM_REPO) / "model.safetensors")
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    model.reset_classifier(0)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(model(torch.stack([transform(one) for one in pictures]))).numpy()
    embedder = open_embedder(recipe_of(TIMM))
    assert (embedder.embed_images(pictures) * expected).sum(axis=1).min() > LEAST_COSINE
    embedder.close()


def test_weights_of_open_clip(downloaded: Callable[[str], Path], pictures: list[Image.Image]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.CLIP(**CONFIG).eval()
    folder = downloaded(CLIP_REPO)
    about = {"mean": [0.5] * 3, "std": [0.25] * 3, "size": [64, 64]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": about}))
    save_file(model.state_dict(), folder / HF_SAFE_WEIGHTS_NAME)
    embedder = open_embedder(recipe_of(CLIP))
    with torch.no_grad():
        words = model.encode_text(open_clip.tokenize(["a robin"]), normalize=True).numpy()
    np.testing.assert_allclose(embedder.embed_texts(["a robin"]), words, atol=1e-5)
    assert embedder.embed_images(pictures).shape == (len(pictures), 64)
    embedder.close()


def test_a_download_that_was_broken_off_is_none(
    downloaded: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    """What comes before the weights lies there, and of the weights a part that has no name yet."""
    clip = workflow("clip")
    assert clip.source
    files = downloaded(clip.source)
    (files / "open_clip_config.json").write_text("{}")
    (blobs := files.parents[1] / "blobs").mkdir()
    (blobs / f"{'1' * 64}.incomplete").write_bytes(b"half")
    assert not downloads.is_cached(clip.source)
    assert availability(clip).note == "downloads about 605 MB on first use"
    started = time.monotonic()
    with pytest.raises(WorkflowError, match="the hub can't be reached"):
        open_embedder(recipe_of("clip"))
    assert time.monotonic() - started < 5
    assert capfd.readouterr() == ("", "")
    (files / HF_WEIGHTS_NAME).write_bytes(b"all of it")
    assert availability(clip).note == "works offline here, downloaded"


def test_of_a_repository_with_several_models_the_one_that_is_meant_counts(downloaded: Callable[[str], Path]) -> None:
    files = downloaded("chendelong/RemoteCLIP")
    (files / "RemoteCLIP-RN50.pt").write_bytes(b"another")
    assert not availability(workflow("satellite")).ready
    (files / "RemoteCLIP-ViT-L-14.pt").write_bytes(b"it")
    assert availability(workflow("satellite")).ready
