"""Every route of the OpenAPI document, asked wrongly: the table's code in the envelope, and nothing is written."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from vectors import vector_input

from tenshot.api.service import create_service
from tenshot.api.settings import Settings

DOCUMENT = create_service(Settings(data=Path("nowhere"))).openapi()


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    operation: Any = field(repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def body(self) -> Any:
        """The schema of its body, or None."""
        content = self.operation.get("requestBody", {}).get("content", {})
        return _resolved(content["application/json"]["schema"]) if "application/json" in content else None

    @property
    def queries(self) -> set[str]:
        return {one["name"] for one in self.operation.get("parameters", ()) if one["in"] == "query"}

    @property
    def required_queries(self) -> set[str]:
        return {one["name"] for one in self.operation.get("parameters", ()) if one["in"] == "query" and one["required"]}

    @property
    def keyed(self) -> bool:
        return bool(self.operation.get("security"))


def _resolved(schema: Any) -> Any:
    return DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


ROUTES = [
    Route(method.upper(), path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
# What stands in a path where everything is known, and what answers where it isn't.
KNOWN = {
    "/v2/inputs/{id}": "x0",
    "/v2/models/{id}": "abc",
    "/v2/concepts/{id}": "a",
    "/v2/workflows/{id}": "both",
    "/v2/users/{user}/apps/{id}": "another",
    "/v2/users/{user}/keys/{id}": "another",
}
UNKNOWN = {
    "/v2/inputs": 30102,
    "/v2/models": 21200,
    "/v2/concepts": 11101,
    "/v2/workflows": 22102,
    "/v2/users": 11101,
    "/images": 11101,
    "/thumbnails": 11101,
}
# What every key may ask.
ANY_KEY = ("/v2/session", "/v2/base_workflows")
# The least that a body must have for the path to matter.
LEAST: dict[str, Any] = {
    "outputs": {"inputs": [vector_input(0)]},
    "results": {"inputs": [vector_input(0)]},
    "thresholds": {"precision": 0.9},
    "feedback": {"input": {"id": "x0"}},
}
KINDS = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data", None)
NOT_JSON = ["{", "{]", "inputs=1", '{"a": NaN}', '{"a": "\\ud800"}', "[" * 10_000, "\xff\xfe"]
NOT_OBJECTS = ["[]", "7", '"text"', "true", "null"]
WRONG = (7, "text", [[]], {"a": "b"}, True)


def _of(routes: list[Route]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("route", routes, ids=str)


@pytest.fixture(scope="module")
def asked(server: Any, unchanged: Any) -> Iterator["Asked"]:
    with server.client(server.admin) as admin:
        yield _asked(unchanged, admin)


@pytest.fixture
def changed(server: Any, taught: Any) -> Iterator["Asked"]:
    """For a test that may change something."""
    with server.client(server.admin) as admin:
        yield _asked(taught, admin)


def _asked(tenant: Any, admin: httpx.Client) -> "Asked":
    nodes = [{"id": "one", "model": {"id": "abc"}}, {"id": "two", "model": {"id": "abc"}}]
    tenant.call("POST", "/v2/workflows", {"workflows": [{"id": "both", "nodes": nodes}]})
    return Asked(tenant, admin)


@dataclass(frozen=True)
class Asked:
    tenant: Any
    admin: httpx.Client

    def send(self, route: Route, path: str | None = None, method: str | None = None, **request: Any) -> httpx.Response:
        client = self.admin if route.path.startswith("/v2/users") else self.tenant.client
        return client.request(method or route.method, path or self.known(route.path), **request)

    def known(self, path: str) -> str:
        """The path with ids of what there is."""
        head = self.tenant.call("GET", "/v2/models/abc")["model"]["model_version"]["id"]
        id = next((value for start, value in KNOWN.items() if path.startswith(start)), "none")
        filled = {"id": id, "version_id": head, "user": "me", "app_id": self.tenant.id, "sha256": "0" * 64}
        return re.sub(r"\{(\w+)\}", lambda name: filled[name[1]], path)

    def refused(self, answer: httpx.Response, http: int, code: int | None = None) -> None:
        """An envelope with this code."""
        status = answer.json()["status"]
        assert answer.status_code == http, answer.text
        assert code in (None, status["code"]), status
        assert status["code"]
        assert status["description"]
        assert isinstance(status.get("details", ""), str)

    def state(self) -> Any:
        paths = ("inputs?per_page=1000", "concepts", "models", "workflows", "models/abc/versions")
        apps = self.admin.get("/v2/users/me/apps").json()["apps"], self.admin.get("/v2/users/me/keys").json()["keys"]
        return [self.tenant.call("GET", f"/v2/{path}") for path in paths], apps


WITH_BODY = [route for route in ROUTES if route.body]


@_of(WITH_BODY)
def test_what_is_no_json_object_is_refused_under_every_content_type(asked: Asked, route: Route) -> None:
    before = asked.state()
    for content in NOT_JSON + NOT_OBJECTS:
        for kind in KINDS:
            headers = {"Content-Type": kind} if kind else {}
            asked.refused(asked.send(route, content=content.encode("latin-1"), headers=headers), 400, 11100)
    assert asked.state() == before


@_of(WITH_BODY)
def test_a_key_of_a_wrong_type_is_refused(asked: Asked, route: Route) -> None:
    before = asked.state()
    for key, schema in route.body["properties"].items():
        kinds = {one.get("type", "object") for one in schema.get("anyOf", [schema])}
        for wrong in WRONG:
            fits = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}[type(wrong)]
            if fits in kinds or (fits == "integer" and kinds & {"number", "boolean"}) or "boolean" in kinds:
                continue
            asked.refused(asked.send(route, json={key: wrong}), 400, 11100)
    assert asked.state() == before


@_of([route for route in WITH_BODY if route.body.get("required")])
def test_a_missing_key_is_named(asked: Asked, route: Route) -> None:
    answer = asked.send(route, json={})
    asked.refused(answer, 400, 11100)
    assert route.body["required"][0] in answer.json()["status"]["details"]


@_of(WITH_BODY)
def test_an_empty_body_is_an_empty_object(changed: Asked, route: Route) -> None:
    """The answer is the same, whatever it is."""

    def status(answer: httpx.Response) -> Any:
        found = answer.json()["status"]
        return answer.status_code, found["code"], found.get("details")

    if route.path.endswith("/versions"):
        pytest.skip("an empty body freezes a version, each time another one")
    assert status(changed.send(route, content=b"")) == status(changed.send(route, json={}))


@_of([route for route in ROUTES if "{" in route.path])
def test_an_unknown_id_is_not_found(asked: Asked, route: Route) -> None:
    if route.path in ("/v2/users/{user}/apps", "/v2/users/{user}/keys", "/v2/users/{user}/import"):
        pytest.skip("the user of a path is whoever has the key")
    before = asked.state()
    body = {"json": LEAST.get(route.path.rsplit("/", 1)[1], {})} if route.body else {}
    body["params"] = dict.fromkeys(route.required_queries, "none")
    code = next(code for start, code in UNKNOWN.items() if route.path.startswith(start))
    for unknown in ("nobody", "no%2Fbody", "%E6%88%91", "a" * 3000, "%00", "%25"):
        path = asked.known(route.path.replace("{version_id}", unknown)) if "version_id" in route.path else None
        asked.refused(asked.send(route, path or _unknown(route.path, unknown), **body), 404, code)
    assert asked.state() == before


def _unknown(path: str, id: str) -> str:
    return path.format(id=id, user="me", app_id=id, sha256="0" * 64)


@_of([route for route in ROUTES if {"page", "per_page"} <= route.queries])
def test_a_page_far_past_the_end_is_empty_and_a_page_that_is_none_is_refused(asked: Asked, route: Route) -> None:
    path = asked.known(route.path)
    for huge in ("999999999", "9" * 30):
        answer = asked.send(route, f"{path}?page={huge}&per_page={huge}")
        assert answer.status_code == 200
        # The catalogue of base workflows stands beside the workflows, and has no pages.
        [items] = [
            value for name, value in answer.json().items() if isinstance(value, list) and name != "base_workflows"
        ]
        assert items == []
    for query in ("page=0", "page=-1", "per_page=0", "page=x", "per_page=1.5", "page=" + "9" * 5000):
        asked.refused(asked.send(route, f"{path}?{query}"), 400, 11100)


@_of(list({route.path: route for route in ROUTES}.values()))
def test_other_methods_are_not_allowed(asked: Asked, route: Route) -> None:
    before = asked.state()
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {one.upper() for one in DOCUMENT["paths"][route.path]}:
        for body in (b"", b"{}", b"{"):
            answer = asked.send(route, method=method, content=body)
            asked.refused(answer, 405, 11103)
            assert route.method in answer.headers["allow"]
    assert asked.state() == before


@_of([route for route in ROUTES if route.keyed])
def test_without_a_key_or_with_another_kind_of_key_nothing_is_said(server: Any, asked: Asked, route: Route) -> None:
    path = asked.known(route.path)
    with server.client(None) as nobody:
        asked.refused(nobody.request(route.method, path), 401, 11009)
        # Not even whether something of this name exists, or whether the body would do.
        unknown = path.replace("abc", "nobody").replace("x0", "nobody")
        asked.refused(nobody.request(route.method, unknown, content=b"{"), 401, 11009)
    other = asked.tenant.client if route.path.startswith("/v2/users") else asked.admin
    if route.path not in ANY_KEY:
        asked.refused(other.request(route.method, path), 403, 11007)


def test_nearly_every_route_is_here() -> None:
    """A document that lost its routes would pass everything above."""
    assert len(ROUTES) >= 45
    assert len(WITH_BODY) >= 24
    assert json.dumps(DOCUMENT)
