"""What can be made can be read and deleted, whatever its name; and whatever can be read answers HEAD too."""

from typing import Any

import pytest


@pytest.mark.parametrize("name", ["feedback", "status", "searches"])
def test_an_app_and_a_workflow_may_have_the_name_of_a_path(server: Any, taught: Any, name: str) -> None:
    with server.client(server.admin) as admin:
        apps = "/v2/users/me/apps"
        body = {"apps": [{"name": name, "default_workflow_id": "vectors", "dim": 4}]}
        assert admin.post(apps, json=body).status_code == 200
        assert admin.get(f"{apps}/{name}").json()["app"]["name"] == name
        assert admin.delete(f"{apps}/{name}").status_code == 200
        assert admin.get(f"{apps}/{name}").status_code == 404
    taught.call("POST", "/v2/workflows", {"workflows": [{"id": name, "nodes": [{"model": {"id": "abc"}}]}]})
    assert taught.call("GET", f"/v2/workflows/{name}")["workflow"]["id"] == name
    taught.call("DELETE", f"/v2/workflows/{name}")


def test_a_model_may_have_the_name_of_another_resource_s_path(taught: Any) -> None:
    concepts = [{"id": "a"}, {"id": "b"}]
    for name in ("feedback", "status"):
        taught.call("POST", "/v2/models", {"model": {"id": name, "output_info": {"data": {"concepts": concepts}}}})
        assert taught.call("GET", f"/v2/models/{name}")["model"]["id"] == name
        taught.call("DELETE", f"/v2/models/{name}")


@pytest.mark.parametrize(
    "path", ["/v2/inputs", "/v2/inputs/x1", "/v2/inputs/status", "/v2/models/abc", "/healthz", "/"]
)
def test_what_can_be_read_answers_head_as_get_without_a_body(taught: Any, path: str) -> None:
    read, head = taught.client.get(path), taught.client.head(path)
    assert (head.status_code, head.content) == (read.status_code, b"") == (200, b"")
    assert head.headers["content-type"] == read.headers["content-type"]
    # The next answer on the same connection is whole.
    assert taught.client.get("/v2/inputs/x1").json()["input"]["id"] == "x1"


def test_head_of_what_is_not_there_is_404_and_of_what_can_only_be_written_405(taught: Any) -> None:
    assert taught.client.head("/v2/inputs/nobody").status_code == 404
    refused = taught.client.head("/v2/models/searches")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert taught.client.put("/v2/inputs/x1").headers["allow"] == "DELETE, GET, HEAD"
