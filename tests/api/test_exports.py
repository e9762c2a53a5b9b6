"""`GET /v2/export`: an app as a tar, for its own key alone."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from vectors import vector_input

from tenshot import Store
from tenshot.api.exports import AT_ONCE
from tenshot.api.keys import new_key
from tenshot.api.service import create_service
from tenshot.api.settings import Settings


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
        app = store.create_app("a", "vectors", dim=4)
        headers = {"Authorization": f"Key {new_key(store.catalog, app.id).secret}"}
        service = create_service(Settings(), store)
        with TestClient(service) as client:
            for _ in range(AT_ONCE + 2):
                assert client.get("/v2/export", headers=headers).status_code == 200
            turns = service.state.exports
            for _ in range(AT_ONCE):
                assert turns.acquire(blocking=False)
            said = client.get("/v2/export", headers=headers)
            assert (said.status_code, said.headers["retry-after"]) == (429, "1")
