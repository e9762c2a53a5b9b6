"""Every number in a query or a page that a client gives is bounded: no answer is a 5xx, none is slow."""

from collections.abc import Callable
from typing import Any

import pytest

ABSURD = ("1000000000", "1" + "0" * 30, "-1", "0", "1.5", "NaN", "1e400", "true", "9" * 5000)
LONG = 60_000


def _numbers(document: dict[str, Any]) -> list[tuple[str, str]]:
    """(path, parameter) of every number in a query of a GET that the OpenAPI document names."""
    return [
        (path, parameter["name"])
        for path, methods in document["paths"].items()
        for parameter in methods.get("get", {}).get("parameters", ())
        if parameter["in"] == "query" and {"integer", "number"} & _kinds(parameter["schema"])
    ]


def _kinds(schema: dict[str, Any]) -> set[str]:
    return {schema.get("type", "")} | {one.get("type", "") for one in schema.get("anyOf", ())}


def test_every_number_of_a_query_is_taken_or_refused(taught: Any) -> None:
    document = taught.client.get("/openapi.json").json()
    head = taught.call("GET", "/v2/models/abc")["model"]["model_version"]["id"]
    asked = set()
    for path, name in _numbers(document):
        filled = path.replace("{version_id}", head).replace("{user}", "me")
        filled = filled.replace("{id}", "abc" if "/models/" in path else "x0")
        for number in ABSURD:
            answer = taught.client.get(filled, params={name: number})
            assert answer.status_code < 500, (filled, name, number, answer.text)
            assert len(answer.text) < 100_000
        asked.add(name)
    assert asked >= {"page", "per_page", "draws", "n", "precision", "limit"}


@pytest.mark.parametrize("pagination", [{"page": 10**9}, {"per_page": 10**9}, {"page": 10**30, "per_page": 10**30}])
def test_a_page_of_a_search_is_bounded(taught: Any, pagination: dict[str, int]) -> None:
    for resource, query in (
        ("searches", {"query": {"ands": [{"output": {"input": {"id": "x0", "data": {"image": {"crop": None}}}}}]}}),
        ("searches", {"query": {"ands": [{"output": {"data": {"concepts": [{"id": "a"}]}}}]}}),
        ("concepts/searches", {"concept_query": {"name": "*"}}),
        ("models/searches", {"model_query": {"name": "*"}}),
    ):
        taught.call("POST", f"/v2/{resource}", {**query, "pagination": pagination})


BODIES: dict[str, Callable[[str], dict[str, Any]]] = {
    "/v2/concepts/searches": lambda text: {"concept_query": {"name": text}},
    "/v2/models/searches": lambda text: {"model_query": {"name": text, "type": text}},
    "/v2/searches": lambda text: {"query": {"ands": [{"output": {"data": {"concepts": [{"name": text}]}}}]}},
    "/v2/searches ": lambda text: {"query": {"ands": [{"output": {"input": {"data": {"text": {"raw": text}}}}}]}},
    "/v2/searches  ": lambda text: {"query": {"ands": [{"input": {"data": {"concepts": [{"id": text}]}}}]}},
    "/v2/models/abc/outputs": lambda text: {
        "inputs": [{"id": "x0"}],
        "model": {"output_info": {"output_config": {"select_concepts": [{"name": text}]}}},
    },
    "/v2/concepts": lambda text: {"concepts": [{"id": text}]},
    "/v2/models": lambda text: {"model": {"id": text}},
}
LONG_TEXTS = [
    (f"{text[0]} in {path}", path, body(text))
    for text in ("x" * LONG, "*" * LONG, "%" * LONG)
    for path, body in BODIES.items()
]


@pytest.mark.parametrize(("path", "body"), [case[1:] for case in LONG_TEXTS], ids=[case[0] for case in LONG_TEXTS])
def test_a_long_text_is_refused_in_one_line(taught: Any, path: str, body: dict[str, Any]) -> None:
    answer = taught.client.post(path.strip(), json=body)
    assert answer.status_code == 400, answer.text
    assert len(answer.text) < 1000
