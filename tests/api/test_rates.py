"""Each key may ask so often and no more, where the settings say so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from vectors import vector_input

from tenshot.api.auth.keys import RateLimiter, Throttled, new_key
from tenshot.api.settings import Settings


def test_a_key_that_asks_too_often_is_told_when_to_come_again_and_others_are_not(
    serving: Callable[..., Any], tmp_path: Path
) -> None:
    with serving(Settings(data=tmp_path, rate_limit="5/hour")) as server:
        app = server.store.create_app("v", "vectors", dim=8).id
        hasty, calm = (new_key(server.store.catalog, app).secret for _ in range(2))
        with server.client(hasty) as client:
            answers = [client.get("/v2/inputs") for _ in range(7)]
            assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
            assert [answer.headers["ratelimit-remaining"] for answer in answers[:5]] == list("43210")
            assert answers[0].headers["ratelimit-limit"] == "5"
            refused = answers[-1]
            assert refused.json()["status"]["code"] == 11005
            assert "5 per 1 hour" in refused.json()["status"]["details"]
            assert 1 <= int(refused.headers["retry-after"]) <= 3600
            # What is refused does nothing, whatever it is.
            assert client.post("/v2/concepts", json={"concepts": [{"id": "new"}]}).status_code == 429
            assert client.get("/healthz").status_code == 200
        with server.client(calm) as client:
            assert client.get("/v2/concepts").json()["concepts"] == []
        with server.client(server.admin) as client:
            assert client.get("/v2/users/me/apps").headers["ratelimit-remaining"] == "4"


def test_without_a_limit_nothing_is_counted_or_told(taught: Any) -> None:
    assert not [name for name in taught.client.get("/v2/inputs").headers if name.startswith("ratelimit")]


def test_the_limit_that_is_nearest_is_told() -> None:
    rates = RateLimiter("100/second;3/day")
    assert [rate.remaining for rate in (rates.count("a"), rates.count("a"), rates.count("a")) if rate] == [2, 1, 0]
    with pytest.raises(Throttled, match="3 per 1 day") as raised:
        rates.count("a")
    assert raised.value.seconds > 3600


def test_a_request_counts_once_whatever_its_arguments_are(serving: Callable[..., Any], tmp_path: Path) -> None:
    with serving(Settings(data=tmp_path, rate_limit="100/hour")) as server:
        app = server.store.create_app("v", "vectors", dim=8).id
        with server.client(new_key(server.store.catalog, app).secret) as client:
            asked = [
                ("GET", "/v2/inputs/status", None),
                ("GET", "/v2/inputs?page=1", None),
                ("POST", "/v2/inputs?wait=0", {"inputs": [vector_input(0)]}),
                ("POST", "/v2/models/searches?page=1", {"model_query": {"name": "*"}}),
                ("POST", "/v2/inputs?wait=none", {"inputs": [vector_input(0)]}),
                ("POST", "/v2/inputs?wait=0", {"inputs": 1}),
                ("PATCH", "/v2/inputs", {"inputs": []}),
            ]
            answers = [client.request(method, path, json=body) for method, path, body in asked]
            assert [answer.headers["ratelimit-remaining"] for answer in answers] == [
                str(99 - i) for i in range(len(asked))
            ], [answer.text for answer in answers]


def test_what_is_refused_counts_in_no_window() -> None:
    rates = RateLimiter("2/hour;4/day")
    for _ in range(2):
        rates.count("a")
    for _ in range(10):
        with pytest.raises(Throttled, match="2 per 1 hour") as raised:
            rates.count("a")
        assert raised.value.seconds <= 3600


def test_a_limit_that_is_none_is_refused_when_the_service_starts() -> None:
    for wrong in ("often", "5", "5/moon", "-1/second"):
        with pytest.raises(ValidationError):
            Settings(rate_limit=wrong)
