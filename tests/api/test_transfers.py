"""An app out as a tar, for its own key alone; and in again, as a new app, for an admin key."""

import io
import tarfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from vectors import vector_input

from tenshot import Store
from tenshot.api.auth.keys import new_key
from tenshot.api.service import create_service
from tenshot.api.settings import Settings
from tenshot.api.work.thread_shares import EXPORTS_AT_ONCE, EXPORTS_FOR_AN_APP


def test_the_tar_makes_the_same_app_elsewhere(taught: Any, tmp_path: Path) -> None:
    said = taught.client.get("/v2/export")
    assert said.headers["content-type"] == "application/x-tar"
    assert "-folder.tar" in said.headers["content-disposition"]
    (tmp_path / "out.tar").write_bytes(said.content)
    with Store.open(tmp_path / "new") as new:
        assert new.import_app(tmp_path / "out.tar", "again").added == 30
        app = new.app("again")
        values = app.predict_input("x5", "abc")
        assert values == taught.app.predict_input("x5", "abc")
        assert app.input("x7").metadata == {"row": 7, "odd": True}


@pytest.mark.parametrize("format", ["coco", "imagefolder", "csv"])
def test_other_formats_are_tars_too(taught: Any, format: str) -> None:
    said = taught.client.get("/v2/export", params={"format": format})
    with tarfile.open(fileobj=io.BytesIO(said.content)) as tar:
        names = tar.getnames()
    # There are no pictures in this app.
    assert names == {"coco": ["annotations.json"], "imagefolder": [], "csv": ["labels.csv"]}[format]


def test_a_key_that_may_only_read_is_enough_and_none_is_refused(server: Any, tenant_of: Callable[..., Any]) -> None:
    assert tenant_of(scopes=("Read",)).client.get("/v2/export").status_code == 200
    with server.client(None) as client:
        assert client.get("/v2/export").status_code == 401
    with server.client(server.admin) as client:
        assert client.get("/v2/export").status_code == 403


def test_an_unknown_format_is_a_bad_request(tenant: Any) -> None:
    tenant.call("GET", "/v2/export?format=zip", expect=(400, 11100))


def test_writes_go_on_while_an_export_is_read_and_are_not_in_it(tenant: Any, tmp_path: Path) -> None:
    tenant.call("POST", "/v2/inputs", {"inputs": [vector_input(0, id="before")]})
    with tenant.client.stream("GET", "/v2/export") as said:
        blocks = said.iter_raw()
        content = [next(blocks)]
        tenant.app.add_vectors([[0, 1, 0, 0, 0, 0, 0, 0]], ["during"])
        tenant.app.delete("before")
        content += blocks
    (tmp_path / "out.tar").write_bytes(b"".join(content))
    with Store.open(tmp_path / "new") as new:
        new.import_app(tmp_path / "out.tar", "again")
        assert [one.id for one in new.app("again").inputs()] == ["before"]


def test_too_many_at_once_are_told_to_wait_and_turns_come_back(tmp_path: Path) -> None:
    with Store.open(tmp_path / "data") as store:
        apps = [store.create_app(str(number), "vectors", dim=4) for number in range(EXPORTS_AT_ONCE)]
        first, last = ({"Authorization": f"Key {new_key(store.catalog, app.id).secret}"} for app in (apps[0], apps[-1]))
        service = create_service(Settings(), store)
        with TestClient(service) as client:
            for _ in range(EXPORTS_AT_ONCE + 2):
                assert client.get("/v2/export", headers=first).status_code == 200
            with ExitStack() as places:
                for _ in range(EXPORTS_FOR_AN_APP):
                    places.enter_context(service.state.context.exports.slot(apps[0].id))
                said = client.get("/v2/export", headers=first)
                assert (said.status_code, said.headers["retry-after"]) == (429, "1")
                assert "of this app" in said.json()["status"]["details"]
                # One app never takes the others' places.
                assert client.get("/v2/export", headers=last).status_code == 200
                for app in apps[1 : EXPORTS_AT_ONCE - EXPORTS_FOR_AN_APP + 1]:
                    places.enter_context(service.state.context.exports.slot(app.id))
                said = client.get("/v2/export", headers=last)
                assert (said.status_code, said.headers["retry-after"]) == (429, "1")
            assert client.get("/v2/export", headers=first).status_code == 200


def test_an_admin_puts_a_tar_into_a_running_server_as_a_new_app(server: Any, taught: Any) -> None:
    tar = taught.client.get("/v2/export").content
    with server.client(server.admin) as client:
        said = client.post("/v2/users/me/import", params={"name": "put in"}, content=tar)
        assert said.status_code == 200, said.text
        [app] = said.json()["apps"]
        assert app["name"] == "put in"
        again = client.post("/v2/users/me/import", params={"name": "put in"}, content=tar)
        assert (again.status_code, again.json()["status"]["code"]) == (400, 40010)
        key = client.post("/v2/users/me/keys", json={"keys": [{"scopes": ["All"], "apps": [{"id": app["id"]}]}]})
    body = {"inputs": [{"id": "x5"}]}
    expected = taught.call("POST", "/v2/models/abc/outputs", body)["outputs"][0]["data"]["concepts"]
    with server.client(key.json()["keys"][0]["id"]) as client:
        found = client.post("/v2/models/abc/outputs", json=body).json()["outputs"][0]["data"]["concepts"]
    assert [(one["id"], one["value"]) for one in found] == [(one["id"], one["value"]) for one in expected]


@pytest.mark.parametrize("content", [b"", b"{}", b"PK", bytes(1024), bytes(10_000)])
def test_what_is_no_export_is_a_bad_request_and_makes_nothing(server: Any, content: bytes) -> None:
    before = server.store.apps()
    with server.client(server.admin) as client:
        said = client.post("/v2/users/me/import", content=content)
    assert (said.status_code, said.json()["status"]["code"]) == (400, 40001)
    assert server.store.apps() == before


def test_a_cut_tar_makes_nothing_and_too_large_a_one_is_refused(server: Any, taught: Any) -> None:
    tar = taught.client.get("/v2/export").content
    before = server.store.apps()
    with server.client(server.admin) as client:
        for length in (len(tar) // 2, len(tar) // 2 + 7, 600):
            assert client.post("/v2/users/me/import", content=tar[:length]).status_code == 400
        assert client.post("/v2/users/me/import", content=bytes(2_000_001)).status_code == 413
    assert server.store.apps() == before


def test_a_key_of_an_app_may_not_put_apps_in(taught: Any) -> None:
    taught.call("POST", "/v2/users/me/import", {}, expect=(403, 11007))
