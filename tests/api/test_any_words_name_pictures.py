"""A CLIP workflow over HTTP: a real open_clip model, as small as can be, with random weights in a checkpoint."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from tenshot.api.resources.public_models import GENERAL
from tenshot.embeddings.models.zero_shot import zero_shot
from tenshot.tools.demo.samples import photographs

ARCHITECTURE = "tenshot-test-clip"
WORDS = ["robin", "espresso", "motorbike"]


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("clip")
    towers = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    (folder / f"{ARCHITECTURE}.json").write_text(json.dumps(towers))
    open_clip.add_model_config(folder / f"{ARCHITECTURE}.json")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(open_clip.create_model(ARCHITECTURE, load_weights=False).state_dict(), folder / "small.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENSHOT_CACHE", str(folder))
        yield f"open_clip:{ARCHITECTURE}:{folder / 'small.pt'}"


def picture(colour: str) -> dict[str, Any]:
    content = io.BytesIO()
    Image.new("RGB", (60, 40), colour).save(content, "PNG")
    return {"data": {"image": {"base64": base64.b64encode(content.getvalue()).decode()}}}


def asking(words: list[str]) -> dict[str, Any]:
    config = {"select_concepts": [{"name": word} for word in words]}
    return {"model": {"output_info": {"output_config": config}}}


def test_the_words_of_the_request_are_the_concepts(workflow: str, tenant_of: Callable[..., Any]) -> None:
    tenant = tenant_of(workflow, None)
    pictures = [picture("red"), picture("navy")]
    answer = tenant.call("POST", f"/v2/models/{GENERAL.id}/outputs", {"inputs": pictures, **asking(WORDS)})
    vectors = tenant.app.embed([base64.b64decode(one["data"]["image"]["base64"]) for one in pictures])
    values = zero_shot(tenant.app.base_workflow(), vectors, WORDS)
    for output, row in zip(answer["outputs"], values.tolist(), strict=True):
        found = {one["name"]: one["value"] for one in output["data"]["concepts"]}
        assert list(found.values()) == sorted(row, reverse=True)
        np.testing.assert_allclose([found[word] for word in WORDS], row, atol=1e-6)
    assert abs(values.sum(axis=1) - 1).max() < 1e-5
    assert not np.allclose(values[0], values[1])


def test_a_stored_input_and_a_bad_picture_have_their_own_answers(workflow: str, tenant_of: Callable[..., Any]) -> None:
    tenant = tenant_of(workflow, None)
    tenant.call("POST", "/v2/inputs", {"inputs": [{"id": "red", **picture("red")}]})
    broken = {"data": {"image": {"base64": base64.b64encode(b"no picture").decode()}}}
    body = {"inputs": [{"id": "red"}, broken, picture("red")], **asking(WORDS[:2])}
    stored, failed, sent = tenant.call("POST", f"/v2/models/{GENERAL.id}/outputs", body, (207, 10010))["outputs"]
    assert failed["status"]["code"] != 10000
    assert failed["data"] == {}
    assert stored["data"] == sent["data"]
    assert len(sent["data"]["concepts"]) == 2


def test_classes_of_a_part_are_the_same_sent_stored_or_stored_as_a_part(tenant_of: Callable[..., Any]) -> None:
    """By the own classes of the default base workflow: a photograph's left half, in four ways."""
    tenant = tenant_of("general-fast", None)
    content = io.BytesIO()
    photographs()[1].crop((0, 0, 400, 300)).save(content, "JPEG", quality=95)
    whole = {"base64": base64.b64encode(content.getvalue()).decode()}
    left, middle = {"crop": [0.0, 0.0, 1.0, 0.5]}, {"crop": [0.0, 0.0, 1.0, 0.75]}
    stored = [
        {"id": "whole", "data": {"image": whole}},
        {"id": "left", "data": {"image": whole | left}},
        {"id": "middle", "data": {"image": whole | middle}},
    ]
    tenant.call("POST", "/v2/inputs", {"inputs": stored})
    ways = [
        {"data": {"image": whole | left}},
        {"id": "whole", "data": {"image": left}},
        {"id": "left"},
        {"id": "middle", "data": {"image": {"crop": [0.0, 0.0, 1.0, 2 / 3]}}},
    ]
    outputs = tenant.call("POST", f"/v2/models/{GENERAL.id}/outputs", {"inputs": [*ways, {"id": "whole"}]})["outputs"]
    *parts, all_of_it = [{one["name"]: one["value"] for one in output["data"]["concepts"]} for output in outputs]
    for part in parts:
        assert list(part) == list(parts[0])
        np.testing.assert_allclose(list(part.values()), list(parts[0].values()), atol=1e-4)
    assert list(all_of_it.values()) != list(parts[0].values())
