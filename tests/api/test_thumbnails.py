"""Thumbnails: small, upright, of the crop if there is one, and gone with their picture."""

import base64
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from pictures import png
from PIL import Image


@pytest.fixture
def posted(tenant_of: Callable[..., Any]) -> Callable[..., Any]:
    tenant = tenant_of("general-fast", None)

    def post(data: bytes, **image: Any) -> Any:
        given = {"data": {"image": {"base64": base64.b64encode(data).decode(), **image}}}
        [one] = tenant.call("POST", "/v2/inputs", {"inputs": [given]})["inputs"]
        return one

    post.tenant = tenant  # type: ignore[attr-defined]
    return post


def _opened(answer: httpx.Response) -> Image.Image:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    return Image.open(io.BytesIO(answer.content))


def test_a_large_picture_has_a_small_one_that_may_be_kept_for_ever(posted: Callable[..., Any]) -> None:
    one = posted(png("stripes", 0, size=900))
    for _ in range(2):  # made, then as it was kept
        answer = httpx.get(one["data"]["image"]["thumbnail_url"])
        assert _opened(answer).size == (320, 320)
        assert "immutable" in answer.headers["cache-control"]


def test_it_is_turned_upright(posted: Callable[..., Any]) -> None:
    lying = Image.new("RGB", (400, 200), "white")
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    lying.save(file, "JPEG", exif=exif)
    answer = httpx.get(posted(file.getvalue())["data"]["image"]["thumbnail_url"])
    assert _opened(answer).size == (160, 320)


def test_a_crop_shows_what_the_model_sees(posted: Callable[..., Any]) -> None:
    halves = Image.new("RGB", (200, 100), "red")
    halves.paste("blue", (100, 0, 200, 100))
    file = io.BytesIO()
    halves.save(file, "PNG")
    one = posted(file.getvalue(), crop=[0, 0.5, 1, 1])
    seen = np.asarray(_opened(httpx.get(one["data"]["image"]["thumbnail_url"])).convert("RGB"))
    assert seen[..., 2].min() > 200
    assert seen[..., 0].max() < 50
    whole = _opened(httpx.get(urlsplit(one["data"]["image"]["thumbnail_url"])._replace(query="").geturl()))
    assert whole.size == (200, 100)


@pytest.mark.parametrize("crop", ["", "0,0,1", "a,b,c,d", "0,0,2,1", "nan,0,1,1"])
def test_a_crop_that_is_none_is_refused(posted: Callable[..., Any], crop: str) -> None:
    url = posted(png("discs", 1))["data"]["image"]["thumbnail_url"]
    answer = httpx.get(url, params={"crop": crop})
    assert (answer.status_code, answer.json()["status"]["code"]) == (400, 30104)


def test_it_goes_with_its_picture(posted: Callable[..., Any], server: Any) -> None:
    one = posted(png("checks", 7))
    url = one["data"]["image"]["thumbnail_url"]
    assert httpx.get(url).status_code == 200
    [kept] = server.store.path.glob(f"blobs/thumbnails/*/*/{url.rpartition('/')[2]}")
    posted.tenant.call("DELETE", f"/v2/inputs/{one['id']}")  # type: ignore[attr-defined]
    assert not kept.exists()
    assert httpx.get(url).status_code == 404


def test_a_vector_has_none(tenant: Any) -> None:
    given = {"data": {"embeddings": [{"vector": [1] * 8}]}}
    [one] = tenant.call("POST", "/v2/inputs", {"inputs": [given]})["inputs"]
    assert "thumbnail_url" not in one["data"]["image"]
