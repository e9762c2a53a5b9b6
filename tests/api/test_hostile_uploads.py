"""What is uploaded with bad intent harms neither the service nor who looks at it later."""

import base64
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from decoding import children
from hostile_pictures import HARMLESS, REFUSED
from pictures import png

from tenshot.api.auth.keys import new_key
from tenshot.api.settings import Settings

FORMATS = {"image/jpeg", "image/png", "image/gif", "image/webp", "image/tiff", "image/bmp"}
BAD = {30101, 30105, 30300}


def upload(content: bytes) -> dict[str, Any]:
    return {"data": {"image": {"base64": base64.b64encode(content).decode()}}}


@pytest.fixture(scope="module")
def seeing(serving: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a server of its own, with an app that sees."""
    with serving(Settings(data=Path(tmp_path_factory.mktemp("seeing")), decoders=1)) as server:
        key = new_key(server.store.catalog, server.store.create_app("seeing", "general-fast").id).secret
        with server.client(key) as client:
            yield client


def test_a_polyglot_is_served_as_the_picture_that_it_is_and_runs_nowhere(seeing: Any) -> None:
    bodies = [upload(HARMLESS[name]()) for name in HARMLESS if " with a " in name and "EXIF" not in name]
    assert len(bodies) >= 4
    for one in seeing.post("/v2/inputs", json={"inputs": bodies}).json()["inputs"]:
        assert one["status"]["code"] == 30000
        served = seeing.get(one["data"]["image"]["url"], headers={"Authorization": ""})
        assert served.status_code == 200
        assert served.headers["content-type"] in FORMATS
        assert served.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in served.headers["content-security-policy"]


def test_what_is_no_picture_has_the_status_of_its_reason_and_stores_nothing(seeing: Any) -> None:
    before = seeing.get("/v2/inputs/status").json()["counts"]
    answer = seeing.post("/v2/inputs", json={"inputs": [upload(make()) for make in REFUSED.values()]})
    assert answer.status_code == 400
    assert {one["status"]["code"] for one in answer.json()["inputs"]} == BAD
    answer = seeing.post("/v2/models/color/outputs", json={"inputs": [upload(make()) for make in REFUSED.values()]})
    assert answer.status_code == 400
    assert {one["status"]["code"] for one in answer.json()["outputs"]} == BAD
    assert seeing.get("/v2/inputs/status").json()["counts"] == before


def test_a_crop_one_pixel_high_is_a_picture_like_others(seeing: Any) -> None:
    """Resized by its shorter side it would have gigabytes of pixels."""
    body = upload(HARMLESS["65,000 pixels in a row"]())
    sliver = upload(png("discs", 1))
    sliver["data"]["image"]["crop"] = [0.0, 0.0, 0.0001, 1.0]
    for model in ("color", "general-v1.3", "general"):
        answer = seeing.post(f"/v2/models/{model}/outputs", json={"inputs": [body, sliver]})
        assert answer.status_code == 200, answer.text


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks for processes in /proc")
def test_a_dying_decoder_costs_the_service_nothing(seeing: Any) -> None:
    for seed in range(10):
        assert seeing.post("/v2/inputs", json={"inputs": [upload(png("checks", 50 + seed))]}).status_code == 200
        for decoder in children():
            os.kill(decoder, signal.SIGSEGV)
            while decoder in children():
                time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks for processes in /proc")
def test_where_no_decoder_can_be_started_the_server_says_to_come_again(
    seeing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"inputs": [upload(png("discs", 90))]}
    before = seeing.get("/v2/inputs/status").json()["counts"]
    for decoder in children():
        os.kill(decoder, signal.SIGKILL)
        while decoder in children():
            time.sleep(0.01)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/nowhere/python")
        for path in ("/v2/inputs", "/v2/models/color/outputs"):
            refused = seeing.post(path, json=body)
            assert (refused.status_code, refused.headers.get("retry-after")) == (503, "1"), refused.text
            assert "no decoder for pictures can be started" in refused.json()["status"]["details"]
    assert seeing.get("/v2/inputs/status").json()["counts"] == before
    assert seeing.post("/v2/inputs", json=body).status_code == 200
