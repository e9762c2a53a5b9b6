"""What tenshot makes is its owner's alone, whatever the umask; what an administrator opened stays open, and is told."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from clouds import Clouds
from shop import EAGER

from tenshot import Store
from tenshot.index.ops.backup import back_up, restore
from tenshot.index.storage.blobs import Blobs
from tenshot.index.storage.files import exposure
from tenshot.index.store import open_catalog
from tenshot.index.vectors.settings import CollectionSettings


@pytest.fixture
def no_umask() -> Iterator[None]:
    """Whoever asks for no mode gets one that is open to all."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Path -> mode, of the folder and all in it."""
    paths = [folder, *folder.rglob("*")]
    return {path.relative_to(folder.parent).as_posix(): oct(path.stat().st_mode & 0o777) for path in paths}


@pytest.mark.usefixtures("no_umask")
def test_what_is_made_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "data"
    with Store.open(folder, collections=CollectionSettings(sizes=EAGER)) as store:
        app = store.create_app("a", "vectors", dim=32)
        clouds = Clouds()
        for _ in range(2):
            app.add_vectors(clouds.draw(1000)[0], concepts=[{"yes": i < 5} for i in range(1000)])
            app.state().collection.wait()
        app.create_model("m", ["yes"])
        app.create_version("m")
        blobs = Blobs(folder / "blobs")
        blobs.thumbnail(next(blobs.hashes()), lambda content: b"small")
        # SQLite's log is there while the store is open.
        everything = modes(folder)
        with open_catalog(folder) as catalog:
            back_up(catalog, blobs, tmp_path / "backup")
    everything |= modes(folder) | modes(tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "again")
    everything |= modes(tmp_path / "again")
    assert set(everything.values()) == {"0o700", "0o600"}
    for name in ("tenshot.db-wal", "tenshot.db-shm", "lock", "lock.pid", "blobs/thumbnails", "blobs/lock"):
        assert f"data/{name}" in everything
    assert any(name.endswith("/codes-0.faiss") for name in everything)
    assert {"backup/tenshot.db", "backup/backup.json", "again/tenshot.db"} <= set(everything)
    assert exposure(folder) is None


def test_modes_that_an_administrator_chose_stay(tmp_path: Path) -> None:
    Store.open(tmp_path / "data").close()
    Blobs(tmp_path / "data" / "blobs").put(b"something")
    chosen = {".": 0o750, "tenshot.db": 0o640, "blobs": 0o755, "lock": 0o660}
    for name, mode in chosen.items():
        (tmp_path / "data" / name).chmod(mode)
    assert exposure(tmp_path / "data") is None
    with Store.open(tmp_path / "data") as store:
        store.create_app("a", "vectors", dim=8)
    for name, mode in chosen.items():
        assert (tmp_path / "data" / name).stat().st_mode & 0o777 == mode
    (tmp_path / "data").chmod(0o755)
    assert "can read blobs in" in str(exposure(tmp_path / "data"))
