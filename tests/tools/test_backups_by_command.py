"""`tenshot backup` beside a running server, `tenshot restore`, `tenshot doctor --repair`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from pictures import png
from serving import serving

from tenshot import Store
from tenshot.index.storage.blobs import Blobs


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


def test_a_repair_that_would_delete_most_pictures_must_be_insisted_on(
    tenshot: Callable[..., Any], tmp_path: Path
) -> None:
    tenshot("apps", "create", "v", "--workflow", "vectors", "--dim", 4)
    orphan = Blobs(tmp_path / "data" / "blobs").put(b"whose?")
    said = tenshot("doctor", "--repair", expect=1)
    assert "--database-url" in said.err
    assert "--force" in said.err
    assert orphan in Blobs(tmp_path / "data" / "blobs")
    tenshot("doctor", "--repair", "--force")
    assert orphan not in Blobs(tmp_path / "data" / "blobs")


def test_a_moved_database_is_missed_by_every_command(tenshot: Callable[..., Any], tmp_path: Path) -> None:
    tenshot("apps", "create", "v", "--workflow", "vectors", "--dim", 4)
    sha256 = Blobs(tmp_path / "data" / "blobs").put(b"v's")
    (tmp_path / "data" / "tenshot.db").rename(tmp_path / "moved.db")
    commands = [["apps", "list"], ["doctor"], ["doctor", "--repair", "--force"], ["backup", str(tmp_path / "backup")]]
    for command in commands:
        assert "put its file back" in tenshot(*command, expect=1).err
    assert sha256 in Blobs(tmp_path / "data" / "blobs")
    assert not (tmp_path / "data" / "tenshot.db").exists()
    assert (
        tenshot("--database-url", f"sqlite:///{tmp_path / 'moved.db'}", "apps", "list", "--json").json[0]["name"] == "v"
    )


def test_a_lost_picture_that_has_a_thumbnail_is_found_and_adding_it_again_mends_it(
    tenshot: Callable[..., Any], tmp_path: Path
) -> None:
    with Store.open(tmp_path / "data") as store:
        apps = [store.create_app(name, "general-fast") for name in ("cats", "dogs")]
        for app in apps:
            sha256 = str(app.add(png("discs", 1), "x").sha256)
        apps[0].thumbnail(sha256)
    [path] = [path for path in (tmp_path / "data" / "blobs").rglob(sha256) if "thumbnails" not in path.parts]
    path.unlink()
    for command in (["doctor"], ["doctor", "--repair"]):
        [problem] = json.loads(tenshot(*command, "--json", expect=1).out)["problems"]
        assert "2 inputs or versions are lost: input 'x' of app 'cats', input 'x' of app 'dogs';" in problem
    path.write_bytes(png("discs", 2))
    [problem] = json.loads(tenshot("doctor", "--repair", "--json", expect=1).out)["problems"]
    assert "damaged" in problem
    with Store.open(tmp_path / "data") as store:
        store.app("dogs").add(png("discs", 1), "again")
        assert store.app("cats").picture("x") == png("discs", 1)
    assert tenshot("doctor", "--repair", "--json").json["problems"] == []


def test_who_else_can_read_the_folder_is_told(
    tenshot: Callable[..., Any], launched: Callable[..., Any], tmp_path: Path
) -> None:
    tenshot("apps", "create", "v", "--workflow", "vectors", "--dim", 4)
    assert "access" not in tenshot("doctor", "--json").json
    (tmp_path / "data").chmod(0o755)
    assert "access" not in tenshot("doctor", "--json").json
    (tmp_path / "data" / "tenshot.db").chmod(0o644)
    assert "can read tenshot.db in" in tenshot("doctor", "--json").json["access"]
    with serving(launched) as (_, _url, said):
        assert said.count("can read tenshot.db") == 1
