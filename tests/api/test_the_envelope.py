"""Whatever is asked, the answer is an object with a status; never a 5xx for a client's mistake, never a half write."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vectors import vector_input

from tenshot.api.auth.keys import new_key

ROUTES = [
    ("POST", "/v2/inputs"),
    ("PATCH", "/v2/inputs"),
    ("DELETE", "/v2/inputs"),
    ("POST", "/v2/concepts"),
    ("PATCH", "/v2/concepts"),
    ("POST", "/v2/concepts/searches"),
    ("POST", "/v2/models"),
    ("PATCH", "/v2/models"),
    ("DELETE", "/v2/models"),
    ("POST", "/v2/models/searches"),
    ("POST", "/v2/models/abc/outputs"),
    ("POST", "/v2/models/abc/versions/none/outputs"),
    ("POST", "/v2/searches"),
]
READS = [
    "/v2/inputs",
    "/v2/inputs/status",
    "/v2/inputs/x0",
    "/v2/concepts",
    "/v2/concepts/a",
    "/v2/models",
    "/v2/models/abc",
    "/v2/models/abc/output_info",
    "/v2/models/abc/versions",
    "/v2/models/abc/inputs",
]


def _check(answer: httpx.Response) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    status = document["status"]
    assert answer.status_code < 500, document
    assert status["code"] != 0
    assert status["description"]
    assert isinstance(status.get("details", ""), str)
    return document


KEYS = """inputs id data image base64 url crop concepts value metadata geo geo_point geo_box model models query ands
    output input output_info output_config min_value max_concepts name action ids embeddings vector"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4),
    max_leaves=12,
)


@settings(
    deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(ROUTES), JSON)
def test_no_json_whatever_gives_a_server_error(taught: Any, route: tuple[str, str], body: Any) -> None:
    import json

    _check(taught.client.request(*route, content=json.dumps(body).encode()))


def test_unknown_paths_wrong_methods_and_odd_pages(taught: Any) -> None:
    taught.call("GET", "/v2/nothing/here", expect=(404, 11101))
    taught.call("PUT", "/v2/inputs", {}, expect=(405, 11103))
    for query in ("page=0", "page=-1", "per_page=0", "page=x"):
        taught.call("GET", f"/v2/inputs?{query}", expect=(400, 11100))
    taught.call("POST", "/v2/inputs", {"inputs": "no list"}, expect=(400, 11100))
    answer = _check(taught.client.post("/v2/inputs", content=b"{broken"))
    assert answer["status"]["code"] == 11100
    assert answer["status"]["req_id"]


def test_trailing_and_double_slashes_are_the_same_path_without_a_redirect(server: Any, taught: Any) -> None:
    for path in ("/v2/inputs/", "//v2/inputs", "/v2//inputs"):
        assert len(taught.call("GET", server.url + path)["inputs"]) == 30


def test_the_app_alias_serves_the_key_s_app_only(taught: Any) -> None:
    assert len(taught.call("GET", f"/v2/users/me/apps/{taught.id}/inputs")["inputs"]) == 30
    taught.call("GET", "/v2/users/me/apps/another/inputs", expect=(404, 11101))


def test_a_body_that_is_too_large_is_refused(taught: Any) -> None:
    huge = {"inputs": [vector_input(0)], "padding": "x" * 2_100_000}
    taught.call("POST", "/v2/inputs", huge, (413, 40033))


@pytest.mark.parametrize("path", READS)
def test_keys_that_are_missing_malformed_unknown_or_revoked_open_nothing(server: Any, taught: Any, path: str) -> None:
    spare = new_key(server.store.catalog, taught.id)
    server.store.catalog.api_keys.revoke(spare.record.id)
    for header, code in (
        ("", 11009),
        ("Key", 11008),
        (taught.key, 11008),
        ("Key nobody", 11009),
        (f"Key {spare.secret}", 11009),
    ):
        answer = httpx.get(server.url + path, headers={"Authorization": header} if header else {})
        assert (answer.status_code, _check(answer)["status"]["code"]) == (401, code)
    assert httpx.get(server.url + path, headers={"Authorization": f"Bearer {taught.key}"}).status_code == 200


def test_a_read_key_reads_and_predicts_but_writes_nothing(server: Any, taught: Any) -> None:
    reader = server.client(new_key(server.store.catalog, taught.id, scopes=["Read"]).secret)
    for path in READS:
        assert reader.get(path).status_code == 200
    assert reader.post("/v2/models/abc/outputs", json={"inputs": [vector_input(0)]}).status_code == 200
    for method, path in (("POST", "/v2/inputs"), ("PATCH", "/v2/inputs"), ("DELETE", "/v2/inputs/x0")):
        answer = reader.request(method, path, json={"inputs": [vector_input(0, id="no")]})
        assert (answer.status_code, _check(answer)["status"]["code"]) == (403, 11007)
    reader.close()


def test_one_app_s_key_sees_nothing_of_another(taught: Any, tenant_of: Callable[..., Any]) -> None:
    stranger = tenant_of()
    assert stranger.call("GET", "/v2/inputs")["inputs"] == []
    stranger.call("GET", "/v2/inputs/x0", expect=(404, 30102))
    stranger.call("GET", "/v2/models/abc", expect=(404, 21200))
    stranger.call("DELETE", "/v2/inputs/x0", expect=(404, 30102))
    stranger.call("DELETE", "/v2/inputs", {"ids": ["x0"]})
    assert taught.call("GET", "/v2/inputs/x0")["input"]["id"] == "x0"


def test_an_admin_key_makes_apps_and_keys_and_an_app_s_key_does_not(server: Any, tenant: Any) -> None:
    admin = server.client(server.admin)
    app = admin.post("/v2/users/me/apps", json={"apps": [{"name": "made", "default_workflow_id": "general"}]}).json()
    [made] = app["apps"]
    body = {"keys": [{"description": "k", "scopes": ["All"], "apps": [{"id": made["id"], "user_id": "me"}]}]}
    [key] = admin.post("/v2/users/me/keys", json=body).json()["keys"]
    client = server.client(key["id"])
    assert client.get("/v2/inputs").json()["inputs"] == []
    assert made["id"] in [one["id"] for one in admin.get("/v2/users/me/apps").json()["apps"]]
    assert admin.get("/v2/inputs").status_code == 403
    tenant.call("GET", "/v2/users/me/apps", expect=(403, 11007))
    assert admin.delete(f"/v2/users/me/keys/{key['key_id']}").status_code == 200
    assert client.get("/v2/inputs").status_code == 401
    client.close()
    assert admin.delete(f"/v2/users/me/apps/{made['id']}").status_code == 200
    assert admin.get(f"/v2/users/me/apps/{made['id']}").json()["status"]["code"] == 11101
    admin.close()


def test_points_in_time_are_as_the_clients_parse_them(taught: Any) -> None:
    version = taught.call("GET", "/v2/models/abc")["model"]["model_version"]
    one = taught.call("GET", "/v2/inputs/x0")["input"]
    [output] = taught.call("POST", "/v2/models/abc/outputs", {"inputs": [{"id": "x0"}]})["outputs"]
    for when in (version["created_at"], one["created_at"], one["modified_at"], output["created_at"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", when), when
        assert abs(datetime.fromisoformat(when) - datetime.now(UTC)) < timedelta(minutes=10)


def test_health_answers_without_a_key_and_the_openapi_page_lists_every_route(server: Any) -> None:
    assert _check(httpx.get(server.url + "/healthz"))["status"]["code"] == 10000
    assert _check(httpx.get(server.url + "/readyz"))["status"]["code"] == 10000
    paths = httpx.get(server.url + "/openapi.json").json()["paths"]
    assert {"/v2/inputs", "/v2/models/{id}/versions/{version_id}/outputs", "/v2/searches"} <= paths.keys()
