import numpy as np
import open_clip
import pytest
import timm
import timm.data
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torchvision.transforms import Compose

from tenshot.embeddings.engines.preprocessing import Preprocessing
from tenshot.embeddings.engines.resizing import is_possible, resize_and_crop


def of_timm(name: str) -> Compose:
    config = timm.get_pretrained_cfg(name).to_dict()
    return timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=config), is_training=False)


def of_open_clip(architecture: str, tag: str) -> Compose:
    published = open_clip.get_pretrained_cfg(architecture, tag)
    given = {key: published[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in published}
    size = open_clip.get_model_config(architecture)["vision_cfg"]["image_size"]
    return image_transform_v2(PreprocessCfg(size=size, **given), is_train=False)


TRANSFORMS = {
    "general": of_timm("tf_efficientnet_lite2"),
    "general-fast": of_timm("tf_efficientnet_lite0"),
    "a timm transformer": of_timm("vit_base_patch16_224.augreg2_in21k_ft_in1k"),
    "clip": of_open_clip("ViT-B-32", "datacomp_xl_s13b_b90k"),
    "squashed": of_open_clip("ViT-B-16-SigLIP2-256", "webli"),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("size", [(300, 400), (640, 480), (120, 300), (50, 60), (1000, 33), (292, 292)])
def test_normalised_pixels_differ_by_less_than_1e_5(name: str, size: tuple[int, int]) -> None:
    transform = TRANSFORMS[name]
    ours = Preprocessing.from_transform(transform)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    pixels = ours(image)
    assert pixels.dtype == np.uint8
    assert pixels.shape[1:] == ours.size
    normalised = (pixels / 255 - np.reshape(ours.mean, (3, 1, 1))) / np.reshape(ours.std, (3, 1, 1))
    np.testing.assert_allclose(normalised, transform(image).numpy(), atol=1e-5)
    assert min(ours.size) < ours.least_side < 4 * max(ours.size)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("turned", [False, True])
def test_of_a_line_only_what_is_seen_is_resized(name: str, turned: bool) -> None:
    """30,000 pixels by one: resized whole, the library's way, it takes gigabytes."""
    ours = Preprocessing.from_transform(TRANSFORMS[name])
    line = np.full((1, 30_000, 3), 255, dtype=np.uint8)
    line[:, 14_900:15_100] = 7
    pixels = ours(Image.fromarray(line.swapaxes(0, 1) if turned else line))
    assert pixels.shape[1:] == ours.size
    if ours.crops_center:
        assert (pixels == 7).all()


def test_resizing_in_few_steps_is_pillows_to_the_bit() -> None:
    """Pictures and sizes of all kinds, larger and smaller, tall and wide: where it is possible nothing differs."""
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    tried = 0
    for width, height, new_width, new_height in rng.integers(2, 300, (40, 4)).tolist():
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        if not is_possible(image, (new_height, new_width)):
            continue
        tried += 1
        whole = np.asarray(image.resize((new_width, new_height), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
        seen = (new_height - new_height // 3, new_width - new_width // 5)
        top, left = (round((all - part) / 2) for all, part in zip((new_height, new_width), seen, strict=True))
        np.testing.assert_array_equal(
            resize_and_crop(image, (new_height, new_width), seen),
            whole[:, top : top + seen[0], left : left + seen[1]],
        )
    assert tried > 20
