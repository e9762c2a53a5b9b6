"""What the wire says of a URL: an input that failed for its reason, an output with its status, a refused search."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hostile_web import PICTURE, hostile_web

from tenshot.api.auth.keys import new_key
from tenshot.api.fetching.fetch import Fetcher
from tenshot.api.settings import Settings

PUBLIC = "127.0.0.2"
REASONS = {
    "http://{web}/picture": 30000,
    "http://{web}/called-html": 30000,
    "http://{web}/html-called-png": 30101,
    "http://{web}/picture-bomb": 30105,
    "http://{web}/gone": 30002,
    "http://{web}/loop": 30002,
    "http://{web}/empty": 30300,
    "http://{web}/away?http://127.0.0.1/": 30106,
    "http://127.0.0.1/picture": 30106,
    "http://169.254.169.254/latest/meta-data": 30106,
    "file:///etc/passwd": 30106,
    "http://user:secret@{web}/picture": 30106,
}


@dataclass(frozen=True)
class Seeing:
    """A service that takes 127.0.0.2 for the public internet."""

    client: httpx.Client
    cases: dict[str, int]


@pytest.fixture(scope="module")
def seeing(serving: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeing]:
    settings = Settings(data=Path(tmp_path_factory.mktemp("seeing")), wait_seconds=30)
    fetcher = Fetcher(is_public=lambda address: str(address) == PUBLIC, most_bytes=1 << 20, seconds=5)
    with hostile_web(PUBLIC) as (port, _), serving(settings, fetcher) as server:
        key = new_key(server.store.catalog, server.store.create_app("by-url", "general-fast").id).secret
        with server.client(key) as client:
            yield Seeing(client, {case.format(web=f"{PUBLIC}:{port}"): code for case, code in REASONS.items()})


def test_each_added_url_becomes_ready_or_failed_for_its_own_reason(seeing: Seeing) -> None:
    inputs = [{"id": str(i), "data": {"image": {"url": url}}} for i, url in enumerate(seeing.cases)]
    answer = seeing.client.post("/v2/inputs", json={"inputs": inputs})
    assert answer.status_code == 200
    found = {one["data"]["image"]["url"]: one["status"]["code"] for one in answer.json()["inputs"]}
    assert found == seeing.cases
    again = seeing.client.get("/v2/inputs").json()["inputs"]
    assert [one["status"]["code"] for one in again] == list(seeing.cases.values())
    failed = [one["status"]["details"] for one in again if one["status"]["code"] != 30000]
    assert all(failed)
    assert "secret" not in "".join(failed)


def test_each_output_has_its_own_reason(seeing: Seeing) -> None:
    inputs = [{"data": {"image": {"url": url}}} for url in seeing.cases]
    answer = seeing.client.post("/v2/models/color/outputs", json={"inputs": inputs})
    assert answer.status_code == 207
    codes = [one["status"]["code"] for one in answer.json()["outputs"]]
    assert codes == [10000 if code == 30000 else code for code in seeing.cases.values()]


@pytest.mark.parametrize("place", range(len(REASONS)))
def test_a_search_by_a_url_that_gives_no_picture_is_refused(seeing: Seeing, place: int) -> None:
    url, code = list(seeing.cases.items())[place]
    query = {"query": {"ands": [{"output": {"input": {"data": {"image": {"url": url}}}}}]}}
    answer = seeing.client.post("/v2/searches", json=query)
    assert answer.status_code == (200 if code == 30000 else 400), answer.text
    assert answer.json()["status"]["code"] == (10000 if code == 30000 else 40002)
    assert code == 30000 or answer.json()["status"]["details"]


def test_the_pictures_of_one_request_have_a_limit_of_time_and_of_bytes_together(
    tmp_path: Path, serving: Callable[..., Any]
) -> None:
    settings = Settings(data=tmp_path, fetch_seconds_per_request=1, max_body_bytes=3 * len(PICTURE))
    with hostile_web(PUBLIC) as (port, _), serving(settings, Fetcher(allow_private=True)) as server:
        key = new_key(server.store.catalog, server.store.create_app("v", "vectors", dim=4).id).secret

        def codes(client: httpx.Client, path: str, count: int) -> list[int]:
            inputs = [{"data": {"image": {"url": f"http://{PUBLIC}:{port}{path}"}}}] * count
            answer = client.post("/v2/models/color/outputs", json={"inputs": inputs})
            return sorted(one["status"]["code"] for one in answer.json()["outputs"])

        with server.client(key) as client:
            assert codes(client, "/picture", 5) == [10000] * 3 + [30105] * 2
            start = time.monotonic()
            assert codes(client, "/slow-body", 6) == [30002] * 6
            assert time.monotonic() - start < 5


def test_a_server_may_fetch_nothing_at_all(tmp_path: Path, serving: Callable[..., Any]) -> None:
    with serving(Settings(data=tmp_path, fetch_urls=False)) as server:
        key = new_key(server.store.catalog, server.store.create_app("v", "vectors", dim=4).id).secret
        with server.client(key) as client:
            body = {"inputs": [{"data": {"image": {"url": "http://pictures.example/"}}}]}
            answer = client.post("/v2/inputs", json=body).json()
            assert answer["inputs"][0]["status"]["code"] == 30104
            assert client.get("/v2/inputs").json()["inputs"] == []
