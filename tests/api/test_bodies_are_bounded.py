"""No body, however it is made, costs more than a small multiple of its size, or keeps the server from others."""

import gzip
import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from annotated_types import MaxLen
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from vectors import vector_input

from tenshot.api.service import create_service
from tenshot.api.settings import Settings
from tenshot.api.wire.body import MOST_ESCAPES, MOST_PARTS, MOST_VALUES, Body, body_of, memory_of
from tenshot.api.wire.requests import InputsIn, SearchIn, WorkflowsIn
from tenshot.api.wire.status import WireError

SERVICE = create_service(Settings(data=Path("nowhere")))
SCHEMAS = SERVICE.openapi()["components"]["schemas"]
UNBOUNDED = {("ImageIn", "base64")}
"""As long as a body may be."""


def _models(kind: type[BaseModel] = Body) -> Iterator[type[BaseModel]]:
    for model in kind.__subclasses__():
        yield model
        yield from _models(model)


def _loose(annotation: Any, metadata: Any = ()) -> Iterator[Any]:
    """Lists, mappings and texts inside a type that have no greatest length."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        extra = [inner for item in annotation.__metadata__ for inner in getattr(item, "metadata", [item])]
        yield from _loose(arguments[0], [*metadata, *extra])
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for argument in arguments:
            yield from _loose(argument, metadata)
    elif annotation is str or typing.get_origin(annotation) in (list, dict):
        bounds = [item for item in metadata if isinstance(item, MaxLen) or "_bounded" in repr(item)]
        if not bounds:
            yield annotation
        if typing.get_origin(annotation) is list:
            yield from _loose(arguments[0])


def test_every_list_mapping_and_text_of_a_body_has_a_greatest_length() -> None:
    models = set(_models())
    assert len(models) > 50
    loose = {
        (model.__name__, name)
        for model in models
        for name, field in model.model_fields.items()
        for _ in _loose(field.annotation, field.metadata)
    }
    assert loose == UNBOUNDED


def _of_requests(schema: Any, seen: set[str]) -> Iterator[tuple[str, Any]]:
    """Each property, by the names of its schema and of itself, of all that a schema leads to."""
    name = schema["$ref"].rsplit("/", 1)[1] if "$ref" in schema else None
    if name is None or name in seen:
        return
    seen.add(name)
    for key, property in SCHEMAS[name].get("properties", {}).items():
        for kind in property.get("anyOf", [property]):
            yield f"{name}.{key}", kind
            yield from _of_requests(kind, seen)
            yield from _of_requests(kind.get("items", {}), seen)


def test_the_openapi_document_tells_these_lengths() -> None:
    seen: set[str] = set()
    properties = []
    for operations in SERVICE.openapi()["paths"].values():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content:
                properties += _of_requests(content["schema"], seen)
    assert len(properties) > 100
    limits = {"string": ("maxLength", "enum"), "array": ("maxItems",), "object": ("maxProperties",)}
    loose = {
        name
        for name, schema in properties
        if schema.get("type") in limits and not any(limit in schema for limit in limits[schema["type"]])
    }
    assert loose == {f"{model}.{name}" for model, name in UNBOUNDED}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (SearchIn, {"query": {"ands": [0] * 100}}),
        (InputsIn, {"inputs": [0] * 100}),
        (InputsIn, {"inputs": [{"data": {"concepts": [0] * 5000, "regions": [0] * 900}}] * 100}),
        (InputsIn, {"inputs": [{"data": {"embeddings": [{"vector": ["x"] * 10_000}]}}] * 10}),
    ],
)
def test_what_comes_behind_the_first_wrong_item_of_a_list_is_not_looked_at(kind: Any, body: Any) -> None:
    """Each wrong item was an error of 1.3 kB, made in the event loop."""
    with pytest.raises(RequestValidationError) as raised:
        body_of(kind, json.dumps(body).encode())
    assert isinstance(raised.value.__cause__, ValidationError)
    assert raised.value.__cause__.error_count() <= 2


@pytest.mark.parametrize(
    ("kind", "body", "details"),
    [
        (InputsIn, {"inputs": [{}] * 129}, "a request has at most 128 inputs, not 129"),
        (SearchIn, {"query": {"ands": [{}] * 129}}, "query has at most 128 ands, not 129"),
        (
            WorkflowsIn,
            {"workflows": [{"id": "w", "nodes": [{"model": {"id": "m"}}] * 6}]},
            "workflows.0 has at most 5 nodes, not 6",
        ),
    ],
)
def test_a_list_of_the_wire_that_is_too_long_has_a_status_of_its_own(kind: Any, body: Any, details: str) -> None:
    with pytest.raises(WireError, match=details):
        body_of(kind, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'{"odd": [' + b"0," * (MOST_VALUES + 1) + b"0]}", "values"),
        (b'{"odd": [' + b"{}," * (MOST_PARTS + 1) + b"0]}", "keys, objects and lists"),
        (b'{"odd": [' + b"[]," * (MOST_PARTS + 1) + b"0]}", "keys, objects and lists"),
        (b'{"odd": {' + b'"":0,' * (MOST_PARTS + 1) + b'"":0}}', "keys, objects and lists"),
        (b'{"odd": ' + b'{"":' * (MOST_PARTS + 1), "keys, objects and lists"),
        (b'{"odd": "' + b"\\/" * (MOST_ESCAPES + 1) + b'"}', "escaped characters"),
    ],
    ids=["numbers", "objects", "lists", "keys", "depth", "escapes"],
)
def test_a_body_of_more_parts_than_any_request_needs_is_refused_before_it_is_parsed(content: bytes, what: str) -> None:
    with pytest.raises(HTTPException, match=f"a request may have .* {what}") as raised:
        memory_of(content)
    assert raised.value.status_code == 413


def test_the_largest_request_that_means_something_is_parsed() -> None:
    """128 vectors of 4,096 numbers; 128 inputs with 10 concepts and 20 keys of metadata each."""
    vector = {"data": {"embeddings": [{"vector": [0.25] * 4096}]}}
    concepts, metadata = [{"id": f"c{i}"} for i in range(10)], {f"key {i}": i for i in range(20)}
    for one in (vector, {"data": {"concepts": concepts, "metadata": metadata}}):
        content = json.dumps({"inputs": [one] * 128}).encode()
        assert memory_of(content) > 0
        assert len(body_of(InputsIn, content).inputs) == 128


def test_a_body_of_too_many_parts_is_refused_by_every_route_that_takes_one(tenant: Any) -> None:
    content = b'{"odd": [' + b"[]," * (MOST_PARTS + 1) + b"0]}"
    for method, path in (("POST", "/v2/inputs"), ("POST", "/v2/searches"), ("DELETE", "/v2/models")):
        answer = tenant.client.request(method, path, content=content)
        assert (answer.status_code, answer.json()["status"]["code"]) == (413, 40033)
        assert "100000 keys, objects and lists" in answer.json()["status"]["details"]


@pytest.mark.parametrize(
    "free",
    [
        {"list": [0] * 10_000},
        {str(key): 0 for key in range(10_000)},
        {"text": "x" * 1_000_001},
        {"x" * 1_000_001: 0},
        {"deep": json.loads("[" * 40 + "]" * 40)},
    ],
    ids=["values", "keys", "text", "key", "depth"],
)
def test_free_json_is_bounded_everywhere(taught: Any, free: Any) -> None:
    for data in (
        {"metadata": free},
        {"regions": [{"region_info": {"bounding_box": {}}, "data": free}]},
        {"video": free},
    ):
        said = taught.call("PATCH", "/v2/inputs", {"inputs": [{"id": "x0", "data": data}]}, (400, 11100))
        assert "free JSON has at most" in said["status"]["details"]
    config = {"output_info": {"output_config": {"hyper_params": free}}}
    taught.call("PATCH", "/v2/models", {"models": [{"id": "abc", **config}]}, (400, 11100))
    taught.call("POST", "/v2/models/abc/feedback", {"input": {"id": "x0", "data": {"metadata": free}}}, (400, 11100))
    taught.call("POST", "/v2/searches", {"query": {"ands": [{"input": {"data": {"metadata": free}}}]}}, (400, 11100))


def test_free_json_within_its_bounds_is_kept(taught: Any) -> None:
    metadata = {"many": [0] * 9_000, "deep": json.loads("[" * 20 + "]" * 20), "text": "x" * 100_000}
    body = {"inputs": [{"id": "x0", "data": {"metadata": metadata}}], "action": "overwrite"}
    kept = taught.call("PATCH", "/v2/inputs", body)["inputs"][0]["data"]["metadata"]
    assert kept["text"] == metadata["text"]
    assert kept["deep"] == metadata["deep"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/inputs", {"inputs": [{"id": "x" * 1_000_000}]}),
        ("/v2/inputs", {"inputs": [], "action": "x" * 9_000}),
        ("/v2/inputs", {"inputs": "x" * 1_000_000}),
        ("/v2/inputs", {"inputs": [{"id": "x" * 9_000}]}),
    ],
)
def test_an_error_does_not_bring_the_request_back(taught: Any, path: str, body: Any) -> None:
    answer = taught.client.patch(path, json=body)
    assert answer.status_code in (400, 404)
    assert len(answer.content) < 3_000


def test_a_compressed_body_is_refused_with_words_and_what_is_not_compressed_is_read(tenant: Any) -> None:
    body = json.dumps({"inputs": [vector_input(0)]}).encode()
    for encoding, content in (("gzip", gzip.compress(body)), ("br", body), ("gzip, identity", gzip.compress(body))):
        answer = tenant.client.post("/v2/inputs", content=content, headers={"Content-Encoding": encoding})
        assert (answer.status_code, answer.json()["status"]["code"]) == (415, 11100)
        assert "Content-Encoding" in answer.json()["status"]["details"]
    assert tenant.app.inputs() == []
    assert tenant.client.post("/v2/inputs", content=body, headers={"Content-Encoding": "identity"}).status_code == 200


def test_a_form_is_told_that_a_body_is_json(tenant: Any) -> None:
    for form in ({"files": {"file": b"x"}}, {"data": {"inputs": "x"}}):
        details = tenant.client.post("/v2/inputs", **form).json()["status"]["details"]
        assert "a body is JSON, not" in details


def test_a_body_of_another_charset_is_told_so(tenant: Any) -> None:
    body = json.dumps({"inputs": [vector_input(0, id="é")]}, ensure_ascii=False)
    headers = {"Content-Type": "application/json; charset=latin-1"}
    answer = tenant.client.post("/v2/inputs", content=body.encode("latin-1"), headers=headers)
    assert (answer.status_code, answer.json()["status"]["code"]) == (400, 11100)
    assert "UTF-8" in answer.json()["status"]["details"]
    assert tenant.client.post("/v2/inputs", content=body.encode(), headers=headers).status_code == 200
