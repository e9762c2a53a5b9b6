"""Whatever a key asks, of whatever route, it sees and changes its own app and nothing else.

Two apps are alike but for marks that only one of them has: names, metadata, picture, addresses. Every route of the
OpenAPI document is asked with every kind of key, naming the ids of the marked app wherever a path, a query or a body
has room for an id. No answer to a key that is not the app's own may show a mark, and the app must be as it was.
"""

import base64
import random
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pictures import png

from tenshot.api.auth.keys import SESSION, new_key
from tenshot.api.service import create_service
from tenshot.api.settings import Settings

DOCUMENT = create_service(Settings(data=Path("nowhere"))).openapi()
ROUTES = [
    (method.upper(), path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
MARK = "marked7f3a"
PRIVATE = "http://pictures.example/marked7f3a.png"
MANAGING = "/v2/users"
OF_NO_APP = ("/v2/session", "/v2/base_workflows")
"""What the key itself may, and the catalogue: for any key."""


@dataclass(frozen=True)
class World:
    server: Any
    client: httpx.Client
    app_id: str
    ids: dict[str, list[str]]
    """Of the marked app, by what they name."""
    marks: list[str]
    """What only its own key may see: never sent by anybody else."""
    own: str
    keys: dict[str, str | bytes | None]
    """Kind -> Authorization header, or `session` and what stands in the header of sessions."""

    def ask(self, header: str | bytes | None, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        headers: dict[bytes, bytes] = {}
        if header is not None:
            value = header if isinstance(header, bytes) else header.encode()
            session = value.startswith(b"session ")
            headers[SESSION.encode() if session else b"Authorization"] = value.removeprefix(b"session ")
        return self.client.request(method, path, json=body, headers=headers, **more)

    def state(self) -> Any:
        paths = ("inputs?per_page=1000", "inputs/status", "concepts", "models", "workflows", "models/m/versions")
        found = [self.ask(self.own, "GET", f"/v2/{path}").json() for path in paths]
        for one in found:
            one["status"].pop("req_id", None)
        return found

    def shown(self, answer: httpx.Response) -> list[str]:
        """The marks that an answer shows, in its body or head."""
        text = answer.text + str(answer.headers)
        return [mark for mark in self.marks if mark in text]


@pytest.fixture(scope="module")
def world(serving: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        server = stack.enter_context(serving(Settings(data=Path(tmp_path_factory.mktemp("two")), wait_seconds=20)))
        catalog = server.store.catalog
        marked, other = (server.store.create_app(name, "general-fast").id for name in (f"app {MARK}", "other"))
        own = f"Key {new_key(catalog, marked).secret}"
        elsewhere = f"Key {new_key(catalog, other).secret}"

        client = stack.enter_context(httpx.Client(base_url=server.url, timeout=60))

        def call(header: str, method: str, path: str, body: Any) -> Any:
            answer = client.request(method, path, json=body, headers={"Authorization": header})
            assert answer.status_code == 200, answer.text
            return answer.json()

        hosted = []
        for header, seeds, name in ((own, range(4), MARK), (elsewhere, range(10, 14), "plain")):
            concepts = [{"id": "c", "name": f"c {name}"}, {"id": "d", "name": f"d {name}"}]
            call(header, "POST", "/v2/concepts", {"concepts": concepts})
            inputs = [
                {
                    "id": f"x{seed % 10}",
                    "data": {
                        "image": {"base64": base64.b64encode(png("discs", seed)).decode()},
                        "metadata": {"note": f"note {name}"},
                        "geo": {"geo_point": {"longitude": seed % 10, "latitude": 1}},
                        "concepts": [{"id": "cd"[seed % 2]}],
                    },
                }
                for seed in seeds
            ]
            hosted.append(call(header, "POST", "/v2/inputs", {"inputs": inputs})["inputs"][0]["data"]["image"]["url"])
            model = {"id": "m", "name": f"m {name}", "output_info": {"data": {"concepts": [{"id": "c"}, {"id": "d"}]}}}
            call(header, "POST", "/v2/models", {"model": model})
            version = call(header, "POST", "/v2/models/m/versions", {})["model"]["model_version"]["id"]
            nodes = [{"id": f"n {name}", "model": {"id": "m"}}]
            call(header, "POST", "/v2/workflows", {"workflows": [{"id": "w", "nodes": nodes}]})
            if header == own:
                failed = {"id": "failed", "data": {"image": {"url": PRIVATE.replace("pictures.example", "127.0.0.1")}}}
                call(header, "POST", "/v2/inputs", {"inputs": [failed]})
                only = call(header, "POST", "/v2/inputs", {"inputs": [_upload("only-here", 50)]})["inputs"][0]["id"]
                search = call(header, "POST", "/v2/searches", {"query": {"ands": []}})["id"]
                versions = [version]
        spare = new_key(catalog, marked)
        catalog.api_keys.revoke(spare.record.id)
        secret = own.removeprefix("Key ")
        keys = {
            "none": None,
            "empty": "",
            "without a kind": secret,
            "of another kind": f"Basic {base64.b64encode(f'x:{secret}'.encode()).decode()}",
            "without a secret": "Key",
            "unknown": f"Key {'0' * 32}",
            "nearly right": f"Key {secret[:-1]}{'0' if secret[-1] != '0' else '1'}",
            "its hash": f"Key {catalog.api_keys.list(marked)[0].hash}",
            "not text": b"Key \x80\xff",
            "revoked": f"Key {spare.secret}",
            "of another app": elsewhere,
            "of another app, read only": f"Key {new_key(catalog, other, scopes=['Read']).secret}",
            "session, unknown": f"session {'1' * 32}",
            "session of another app": elsewhere.replace("Key", "session"),
            "admin": f"Key {server.admin}",
            "read only": f"Key {new_key(catalog, marked, scopes=['Read']).secret}",
        }
        picture = hosted[0].rsplit("/", 1)[1]
        ids = {
            "inputs": ["x0", "x1", "x2", "x3", "failed", only],
            "models": ["m"],
            "versions": versions,
            "concepts": ["c", "d"],
            "workflows": ["w"],
            "apps": [marked],
            "keys": [key.id for key in catalog.api_keys.list(marked)],
            "searches": [search],
        }
        yield World(server, client, marked, ids, [MARK, picture], own, keys)


def _upload(id: str, seed: int) -> dict[str, Any]:
    return {"id": id, "data": {"image": {"base64": base64.b64encode(png("checks", seed)).decode()}}}


def _path(world: World, path: str, draw: random.Random) -> str:
    names = {"version_id": "versions", "app_id": "apps", "user": "apps"}
    resource = path.split("/")[2] if path.startswith("/v2/") else "inputs"
    resource = path.split("/")[4] if path.startswith(MANAGING) else resource
    pool = world.ids.get(resource, world.ids["inputs"])

    def fill(place: re.Match[str]) -> str:
        if place[1] == "sha256":
            return "0" * 64
        return draw.choice(world.ids[names[place[1]]] if place[1] in names else pool)

    filled = re.sub(r"\{(\w+)\}", fill, path)
    if filled.startswith("/v2/") and not filled.startswith(MANAGING) and draw.random() < 0.2:
        filled = f"/v2/users/me/apps/{world.app_id}" + filled.removeprefix("/v2")
    return filled


def _body(world: World, schema: Any, draw: random.Random, depth: int = 0) -> Any:
    """A body that the schema allows, with ids of the marked app wherever there may be a text."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        schema = draw.choice([one for one in schema["anyOf"] if one.get("type") != "null"] or [{"type": "null"}])
        return _body(world, schema, draw, depth)
    if "enum" in schema:
        return draw.choice(schema["enum"])
    match schema.get("type"):
        case "object":
            required = set(schema.get("required", ()))
            return {
                key: _body(world, one, draw, depth + 1)
                for key, one in schema.get("properties", {}).items()
                if key in required or (depth < 6 and draw.random() < 0.6)
            }
        case "array":
            inner = schema.get("items", {"type": "number"})
            return [_body(world, inner, draw, depth + 1) for _ in range(draw.randint(1, 2))]
        case "string":
            return draw.choice(draw.choice(list(world.ids.values())))
        case "integer" | "number":
            return 1
        case "boolean":
            return draw.random() < 0.5
    return {}


def _query(world: World, operation: Any, draw: random.Random) -> dict[str, Any]:
    asked = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
    return {
        one["name"]: draw.choice(draw.choice(list(world.ids.values())))
        for one in asked
        if one.get("required") or (one["name"] not in ("page", "per_page", "wait") and draw.random() < 0.5)
    }


def _request(world: World, route: tuple[str, str, Any], draw: random.Random) -> dict[str, Any]:
    method, path, operation = route
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    body = _body(world, content["schema"], draw) if content and draw.random() < 0.9 else None
    return {
        "method": method,
        "path": _path(world, path, draw),
        "body": body,
        "params": _query(world, operation, draw),
    }


def _allowed(kind: str, path: str, operation: Any, method: str) -> set[int] | None:
    """The statuses that this kind of key may get; None: any of a request that is understood."""
    keyed = bool(operation.get("security"))
    if not keyed:
        return None
    managing = path.startswith(MANAGING)
    match kind:
        case "admin":
            return None if managing or path in OF_NO_APP else {403}
        case "of another app" | "of another app, read only" | "session of another app" | "read only":
            return {403} if managing else None
    return {401}


def test_no_key_sees_or_changes_another_app_on_any_route(world: World, long: bool) -> None:
    draw = random.Random(7)
    before = world.state()
    asked = 0
    for _ in range(20 if long else 2):
        for route in ROUTES:
            method, path, operation = route
            for kind, header in world.keys.items():
                if kind == "read only":
                    continue
                request = _request(world, route, draw)
                if kind == "admin" and request["path"].startswith("/v2/users/"):
                    continue  # it manages all apps, and opens the one that a path names; below
                answer = world.ask(header, **request)
                asked += 1
                said = f"{kind}: {request} -> {answer.status_code} {answer.text[:500]}"
                assert answer.status_code < 500, said
                assert world.shown(answer) == [], said
                allowed = _allowed(kind, path, operation, method)
                assert allowed is None or answer.status_code in allowed, said
        assert world.state() == before
    assert asked >= 2 * len(ROUTES) * 12


def test_a_read_only_key_changes_nothing_on_any_route(world: World, long: bool) -> None:
    draw = random.Random(8)
    before = world.state()
    forbidden = 0
    for _ in range(20 if long else 2):
        for route in ROUTES:
            answer = world.ask(world.keys["read only"], **_request(world, route, draw))
            assert answer.status_code < 500, answer.text
            forbidden += answer.status_code == 403
        assert world.state() == before
    assert forbidden > 20


def test_an_admin_key_sees_no_inputs_labels_or_pictures_unless_the_path_names_the_app(world: World) -> None:
    """Of other apps it sees the names and the keys, never what is in them."""
    draw = random.Random(9)
    for route in ROUTES:
        if route[0] != "GET":
            continue
        request = _request(world, route, draw)
        if request["path"].startswith("/v2/users/") and not route[1].startswith(MANAGING):
            continue
        answer = world.ask(world.keys["admin"], **request)
        assert answer.text.count(MARK) == answer.text.count(f"app {MARK}"), answer.text


def test_the_app_s_own_key_does_see_the_marks(world: World) -> None:
    """Else none of the above would mean anything."""
    draw = random.Random(10)
    seeing = set()
    for route in ROUTES:
        if route[0] == "GET" or route[1].endswith(("/outputs", "/searches", "/results")):
            for _ in range(6):
                if world.shown(world.ask(world.own, **_request(world, route, draw))):
                    seeing.add(route[1])
    assert len(seeing) >= 10, seeing


def test_the_address_of_a_hosted_picture_is_of_no_use_in_another_app(world: World) -> None:
    picture = world.marks[1]
    assert world.ask(None, "GET", f"/images/{world.app_id}/{picture}").status_code == 200
    other = world.server.store.app("other").id
    own = world.server.store.catalog.apps.get(world.app_id).name
    for path in (
        f"/images/{other}/{picture}",
        f"/images/other/{picture}",
        # A name can be guessed.
        f"/images/{own}/{picture}",
        f"/thumbnails/{own}/{picture}",
        f"/images/{world.app_id}/{'0' * 64}",
    ):
        assert world.ask(None, "GET", path).status_code == 404
