"""open_clip models from a local file: loaded, recognised again, never replaced by random weights."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from tenshot.embeddings.base.embedder import Embedder, WorkflowError
from tenshot.embeddings.engines.engine import LEAST_COSINE
from tenshot.embeddings.models.openclip import _published_preprocessing
from tenshot.embeddings.workflows import open_embedder, recipe_of

ARCH = "ViT-S-32-alt"


def test_vectors_are_the_checkpoints(clip: Embedder, clip_checkpoint: Path, pictures: list[Image.Image]) -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(ARCH, pretrained=str(clip_checkpoint))
    with torch.no_grad():
        expected = model.eval().encode_image(torch.stack([preprocess(p) for p in pictures]), normalize=True).numpy()
        words = model.encode_text(open_clip.get_tokenizer(ARCH)(["a robin"]), normalize=True).numpy()
    # Pictures may be computed in a shorter number format, within what `engine.LEAST_COSINE` promises.
    assert (clip.embed_images(pictures) * expected).sum(axis=1).min() > LEAST_COSINE
    assert float(clip.embed_texts(["a robin"])[0] @ words[0]) > 1 - 1e-5


def test_the_recipe_names_the_file_and_its_sha256(clip: Embedder, clip_checkpoint: Path) -> None:
    path, digest = clip.recipe.weights.split("#sha256=")
    assert path == f"file:{clip_checkpoint}"
    assert len(digest) == 64
    assert clip.recipe.dim == 256


def test_a_path_may_contain_a_colon(tmp_path: Path) -> None:
    checkpoint = tmp_path / "epoch:3.pt"
    checkpoint.write_bytes(b"x")
    assert "epoch:3.pt#sha256=" in recipe_of(f"open_clip:{ARCH}:{checkpoint}").weights


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "weights.pt"
    checkpoint.write_bytes(b"one")
    recipe = recipe_of(f"open_clip:{ARCH}:{checkpoint}")
    checkpoint.write_bytes(b"two")
    with pytest.raises(WorkflowError, match="not the checkpoint it was created with"):
        open_embedder(recipe)


def test_a_lost_file_is_named(tmp_path: Path) -> None:
    checkpoint = tmp_path / "weights.pt"
    checkpoint.write_bytes(b"one")
    recipe = recipe_of(f"open_clip:{ARCH}:{checkpoint}")
    checkpoint.unlink()
    with pytest.raises(WorkflowError, match=r"weights\.pt is missing"):
        open_embedder(recipe)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "weights.pt"
    checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(WorkflowError, match=r"needs .*weights\.pt, which could not be loaded"):
        open_embedder(recipe_of(f"open_clip:{ARCH}:{checkpoint}"))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "weights.pt"
    torch.save({"state_dict": Path("anything")}, checkpoint)  # any object that only an unsafe load accepts
    with pytest.raises(WorkflowError, match="could not be loaded"):
        open_embedder(recipe_of(f"open_clip:{ARCH}:{checkpoint}"))


def test_unknown_weights_are_refused_instead_of_random_ones() -> None:
    with pytest.raises(WorkflowError, match=r"'nope' is neither a checkpoint file nor published.*openai"):
        recipe_of("open_clip:ViT-B-32:nope")
    with pytest.raises(WorkflowError, match="neither a checkpoint file nor published"):
        recipe_of("open_clip:ViT-B-32")


def test_an_unknown_architecture_names_close_ones() -> None:
    with pytest.raises(WorkflowError, match=r"no architecture 'ViT-B-33'; close: .*ViT-B-32"):
        recipe_of("open_clip:ViT-B-33:openai")


def test_a_file_is_preprocessed_as_the_architectures_published_weights() -> None:
    """PE-Core's mean is 0.5, open_clip's default is not, and the file itself doesn't say."""
    assert _published_preprocessing("PE-Core-T-16-384")["mean"] == (0.5, 0.5, 0.5)
    assert _published_preprocessing(ARCH) == {}
    assert np.isclose(_published_preprocessing("ViT-B-32")["mean"][0], 0.48145466)
