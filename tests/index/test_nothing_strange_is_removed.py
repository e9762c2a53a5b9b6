"""Names that come from files and databases lead nowhere; what tenshot didn't make stays where it is."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shop import EAGER

from tenshot import Store
from tenshot.index.errors import NotFound, StoreDamaged
from tenshot.index.vectors.settings import CollectionSettings

SNAPSHOTS = CollectionSettings(sizes=EAGER)


def opened(folder: Path) -> Store:
    return Store.open(folder, collections=SNAPSHOTS)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an app that has a snapshot and a frozen version."""
    folder = tmp_path_factory.mktemp("original") / "data"
    with opened(folder) as store:
        app = store.create_app("a", "vectors", dim=8)
        app.add_vectors(np.random.default_rng(0).normal(size=(250, 8)), concepts=[{"yes": i < 5} for i in range(250)])
        app.create_model("m", ["yes"])
        app.create_version("m")
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it, beside what is somebody's."""
    (tmp_path / "precious" / "deep").mkdir(parents=True)
    (tmp_path / "precious" / "letter.txt").write_text("dear")
    (tmp_path / "precious" / "CURRENT").write_text("dear")
    (tmp_path / "precious" / "deep" / "meta.json").write_text("{}")
    return Path(shutil.copytree(original, tmp_path / "data"))


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def edit(folder: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "tenshot.db")) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(sql, values)


@pytest.mark.parametrize(
    "id", ["../../precious", "{}/precious", "..", "", ".", "A" * 32, "a" * 31, b"..", "a" * 31 + "\0"]
)
def test_an_app_id_that_tenshot_never_gave_is_no_path(folder: Path, tmp_path: Path, id: str | bytes) -> None:
    id = id.format(tmp_path) if isinstance(id, str) else id
    edit(folder, "UPDATE apps SET id = ?", id)
    edit(folder, "UPDATE inputs SET app_id = ?", id)
    before = everything(tmp_path / "precious")
    with opened(folder) as store:
        assert store.collections() == {id: None}
        with pytest.raises(StoreDamaged, match="never gave"):
            store.app("a")
        assert any("apps.id" in problem for problem in store.examine(repair=True, force=True).problems)
        store.delete_app("a")
        assert store.apps() == []
    assert everything(tmp_path / "precious") == before


@pytest.mark.parametrize(
    "sha256", ["../..", "../../../precious/letter.txt", "{}/precious/letter.txt", "a" * 63, "A" * 64]
)
def test_a_hash_that_tenshot_never_wrote_is_no_path(folder: Path, tmp_path: Path, sha256: str) -> None:
    sha256 = sha256.format(tmp_path)
    edit(folder, "UPDATE inputs SET sha256 = ?", sha256)
    edit(folder, "UPDATE model_versions SET predictor_sha256 = ?", sha256)
    before = everything(tmp_path / "precious")
    with opened(folder) as store:
        app = store.app("a")
        first = app.inputs(per_page=1)[0].id
        with pytest.raises(NotFound, match="64 hexadecimal digits"):
            app.picture(first)
        with pytest.raises(NotFound):
            app.predict_vectors(np.eye(8), "m", version=app.versions("m")[0].id)
        problems = store.examine(repair=True, force=True).problems
        assert any("inputs.sha256" in problem for problem in problems)
        assert any("lost" in problem for problem in problems)
        app.delete(first)
        store.delete_app("a")
    assert everything(tmp_path / "precious") == before


def test_what_strangers_keep_among_collections_stays(folder: Path, tmp_path: Path) -> None:
    """Folders, files and links beside those of apps, and a file in the folder of an app that is gone."""
    collections = folder / "collections"
    [app] = collections.iterdir()
    (collections / "notes").mkdir()
    (collections / "notes" / "letter.txt").write_text("dear")
    (collections / "letter.txt").write_text("dear")
    (collections / ("0" * 32)).symlink_to(tmp_path / "precious")
    (app / "letter.txt").write_text("dear")
    (app / "snap-mine").mkdir()
    before = everything(tmp_path / "precious")
    with opened(folder) as store:
        store.examine(repair=True)
        store.delete_app("a")
    with opened(folder) as store:
        assert store.collections() == {}
    assert everything(tmp_path / "precious") == before
    assert sorted(path.name for path in collections.iterdir()) == sorted(["0" * 32, app.name, "letter.txt", "notes"])
    assert sorted(path.name for path in app.iterdir()) == ["letter.txt", "snap-mine"]


def _edit_meta(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    for meta in folder.glob("collections/*/snap-*/meta.json"):
        document = json.loads(meta.read_text())
        change(document)
        meta.write_text(json.dumps(document))


ELSEWHERE: dict[str, Callable[[Path], object]] = {
    "a file above": lambda folder: _edit_meta(folder, lambda meta: meta["files"].update({"../../../../letter": {}})),
    "an absolute file": lambda folder: _edit_meta(folder, lambda meta: meta["files"].update({"/etc/passwd": {}})),
    "rows elsewhere": lambda folder: _edit_meta(folder, lambda meta: meta["rows"].update(name="../../x")),
    "rows that are no text": lambda folder: _edit_meta(folder, lambda meta: meta["rows"].update(name=["x"])),
    "meta of another shape": lambda folder: _edit_meta(folder, lambda meta: meta.clear()),
    "current above": lambda folder: next(folder.glob("collections/*/CURRENT")).write_text("../../../precious/deep"),
}


@pytest.mark.parametrize("names", ELSEWHERE)
def test_names_in_a_snapshot_lead_nowhere_else(folder: Path, tmp_path: Path, names: str) -> None:
    ELSEWHERE[names](folder)
    before = everything(tmp_path / "precious")
    with opened(folder) as store:
        [facts] = store.collections().values()
        assert names != "current above" or facts is None
        app = store.app("a")
        assert len(app.search_vectors(np.eye(8)[:1], k=250).ids[0]) == 250
        app.add_vectors(np.random.default_rng(1).normal(size=(250, 8)))
    with opened(folder) as store:
        assert len(store.app("a").search_vectors(np.eye(8)[:1], k=500).ids[0]) == 500
    assert everything(tmp_path / "precious") == before


def test_a_new_database_is_never_made_beside_pictures(folder: Path, tmp_path: Path) -> None:
    (folder / "tenshot.db").rename(tmp_path / "moved.db")
    for url in (None, f"sqlite:///{tmp_path / 'new.db'}"):
        with pytest.raises(StoreDamaged, match="--database-url"):
            Store.open(folder, database_url=url)
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreDamaged, match="no database of tenshot"):
        Store.open(folder, database_url=f"sqlite:///{tmp_path / 'empty.db'}")
    assert not (folder / "tenshot.db").exists()
    assert not (tmp_path / "new.db").exists()
    with Store.open(folder, database_url=f"sqlite:///{tmp_path / 'moved.db'}") as store:
        assert store.examine(repair=True).problems == []


def test_a_repair_by_another_database_deletes_nothing(folder: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path / "other") as store:
        store.create_app("b", "vectors", dim=8)
    before = everything(folder / "blobs")
    url = f"sqlite:///{tmp_path / 'other' / 'tenshot.db'}"
    with Store.open(folder, database_url=url) as store:
        with pytest.raises(StoreDamaged, match="--force"):
            store.examine(repair=True)
        assert everything(folder / "blobs").keys() >= before.keys()
        store.examine(repair=True, force=True)
        assert store.examine().orphans == []
