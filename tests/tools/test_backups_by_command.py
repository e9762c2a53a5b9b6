"""`tenshot backup` beside a running server, `tenshot restore`, `tenshot doctor --repair`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from serving import serving

from tenshot import Store
from tenshot.index.blobs import Blobs


def test_a_running_server_is_backed_up_and_its_keys_work_in_the_restored_one(
    tenshot: Callable[..., Any], launched: Callable[..., Any], tmp_path: Path
) -> None:
    made = tenshot("apps", "create", "v", "--workflow", "vectors", "--dim", 4, "--json").json
    headers = {"Authorization": f"Key {made['api_key']}"}
    body = {"inputs": [{"id": "x", "data": {"embeddings": [{"vector": [1, 0, 0, 0]}], "concepts": [{"id": "c"}]}}]}
    with serving(launched) as (_, url, _said):
        assert httpx.post(f"{url}/v2/inputs", json=body, headers=headers).status_code == 200
        said = tenshot("backup", tmp_path / "backup", "--json").json
        assert (said["apps"], said["lost"]) == (1, [])
        assert "in use" in tenshot("doctor", "--repair", expect=1).out
    assert "not empty" in tenshot("restore", tmp_path / "backup", expect=1).err
    tenshot("restore", tmp_path / "backup", "--data", tmp_path / "again")
    with serving(lambda *arguments: launched("--data", tmp_path / "again", *arguments)) as (_, url, _said):
        assert httpx.get(f"{url}/v2/inputs/x", headers=headers).json()["input"]["data"]["concepts"][0]["id"] == "c"


def test_a_backup_of_nothing_is_one_line(tenshot: Callable[..., Any], tmp_path: Path) -> None:
    assert "no data folder" in tenshot("backup", tmp_path / "backup", expect=1).err
    assert not (tmp_path / "backup").exists()
    assert "no whole backup" in tenshot("restore", tmp_path, expect=1).err


def test_doctor_tells_what_is_wrong_and_repairs_it(tenshot: Callable[..., Any], tmp_path: Path) -> None:
    with Store.open(tmp_path / "data") as store:
        app = store.create_app("v", "vectors", dim=4)
        app.add_vectors([[1, 0, 0, 0], [0, 1, 0, 0]], concepts=[{"x": True}, {"x": False}])
        app.create_model("m", ["x"])
        named = str(app.create_version("m").predictor_sha256)
    orphan = Blobs(tmp_path / "data" / "blobs").put(b"nobody's")
    assert tenshot("doctor", "--json").json["folder"].startswith("1 orphan")
    tenshot("doctor", "--repair")
    assert orphan not in Blobs(tmp_path / "data" / "blobs")
    assert tenshot("doctor", "--json").json["folder"].startswith("0 orphan")
    next((tmp_path / "data" / "blobs").rglob(named)).unlink()
    assert "lost" in tenshot("doctor", expect=1).out
