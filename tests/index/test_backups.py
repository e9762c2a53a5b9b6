"""A backup holds one moment of a folder that is written meanwhile; restoring it needs nobody's help."""

import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from mounts import needs_mounts
from pictures import png

from tenshot import AddRequest, Store
from tenshot.api.auth.keys import new_key
from tenshot.index.catalog import Catalog
from tenshot.index.errors import BadArchive, BadRequest
from tenshot.index.ops.backup import back_up, restore
from tenshot.index.storage.blobs import Blobs
from tenshot.index.store import open_catalog


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two apps: pictures with a frozen version, and vectors."""
    folder = tmp_path_factory.mktemp("served") / "data"
    with Store.open(folder) as store:
        app = store.create_app("drawn", "general-fast")
        requests = [
            AddRequest(png(kind, seed), f"{kind}{seed}", {kind: True})
            for kind in ("discs", "stripes")
            for seed in (0, 1)
        ]
        assert not [result.error for result in app.add_many(requests) if result.error]
        app.create_model("m", ["discs", "stripes"])
        app.create_version("m")
        store.create_app("v", "vectors", dim=4).add_vectors(np.eye(4), list("abcd"), [{"x": True}] * 4)
    return folder


def take(data: Path, backup: Path) -> None:
    with open_catalog(data) as catalog:
        back_up(catalog, Blobs(data / "blobs"), backup)


def test_what_is_restored_answers_as_before(data: Path, tmp_path: Path) -> None:
    take(data, tmp_path / "backup")
    made = restore(tmp_path / "backup", tmp_path / "again")
    assert (made.apps, made.blobs, made.lost) == (2, 5, [])
    with Store.open(data) as old, Store.open(tmp_path / "again") as new:
        version = old.app("drawn").versions("m")[0].id
        for one in old.app("drawn").inputs():
            assert new.app("drawn").picture(one.id) == old.app("drawn").picture(one.id)
            values = [store.app("drawn").predict_input(one.id, "m", version=version) for store in (old, new)]
            assert values[0] == values[1]
        assert new.app("v").vectors(list("abcd")).tolist() == np.eye(4).tolist()
        # Numbers of the old life may come to mean other changes.
        epochs = [{record.id: record.epoch for record in store.apps()} for store in (old, new)]
        assert not set(epochs[0].values()) & set(epochs[1].values())


def test_a_second_backup_copies_what_is_new_and_forgets_what_is_gone(data: Path, tmp_path: Path) -> None:
    restored = tmp_path / "data"
    take(data, tmp_path / "first")
    restore(tmp_path / "first", restored)
    take(restored, tmp_path / "backup")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "backup" / "blobs").rglob("*") if path.is_file()}
    with Store.open(restored) as store:
        app = store.app("drawn")
        gone = app.input("discs0").sha256
        app.delete("discs0")
        kept = app.input("discs1").sha256
        new = app.add(png("checks", 5)).sha256
    take(restored, tmp_path / "backup")
    after = Blobs(tmp_path / "backup" / "blobs")
    assert str(gone) not in after
    assert {str(kept), str(new)} <= set(after.hashes())
    assert all(path.stat().st_mtime_ns == at for path, at in times.items() if path.name == kept)
    restore(tmp_path / "backup", tmp_path / "again")


def test_a_backup_beside_writers_is_one_moment(tmp_path: Path) -> None:
    """Each write adds an input, and takes the one before away: one moment has exactly one, with its version's blob."""
    with Store.open(tmp_path / "data") as store:
        app = store.create_app("a", "vectors", dim=4)
        app.create_model("m", ["x"])
        app.add_vectors(np.eye(4)[:1], ["0"], [{"x": True}])
        app.create_version("m")
        stopped = threading.Event()

        def write() -> None:
            n = 0
            while not stopped.is_set():
                n += 1
                app.add_vectors(np.eye(4)[n % 4 : n % 4 + 1], [str(n)], [{"x": True}])
                app.delete(str(n - 1))
                old = app.versions("m")[0].id
                app.create_version("m")
                app.delete_version("m", old)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(8):
                take(tmp_path / "data", tmp_path / f"backup{number}")
        finally:
            stopped.set()
            writer.join()
    for number in range(8):
        made = restore(tmp_path / f"backup{number}", tmp_path / f"again{number}")
        assert made.lost == []
        with Store.open(tmp_path / f"again{number}") as store:
            app = store.app("a")
            # Each of the four writes is a transaction of its own.
            assert len(app.inputs()) in (1, 2)
            for version in app.versions("m")[:-1]:
                app.predict_vectors(np.eye(4), "m", version=version.id)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["database", "picture", "no picture", "manifest", "no manifest"])
def test_a_damaged_backup_is_refused_and_nothing_is_made(data: Path, tmp_path: Path, damage: str) -> None:
    backup = tmp_path / "backup"
    take(data, backup)
    picture = max(
        (path for path in (backup / "blobs").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    match damage:
        case "database":
            _flip(backup / "tenshot.db")
        case "picture":
            _flip(picture)
        case "no picture":
            picture.unlink()
        case "manifest":
            (backup / "backup.json").write_text("{")
        case _:
            (backup / "backup.json").unlink()
    with pytest.raises(BadArchive):
        restore(backup, tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup"]


def test_a_picture_that_rots_in_a_backup_is_written_again_by_the_next(data: Path, tmp_path: Path) -> None:
    take(data, tmp_path / "backup")
    _flip(next(path for path in (tmp_path / "backup" / "blobs").rglob("*") if len(path.name) == 64))
    take(data, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "again")


def test_what_was_lost_before_is_told_and_stops_nothing(data: Path, tmp_path: Path) -> None:
    take(data, tmp_path / "first")
    restore(tmp_path / "first", tmp_path / "data")
    with Store.open(tmp_path / "data") as store:
        sha256 = str(store.app("drawn").input("discs1").sha256)
    next((tmp_path / "data" / "blobs").rglob(sha256)).unlink()
    take(tmp_path / "data", tmp_path / "backup")
    assert json.loads((tmp_path / "backup" / "backup.json").read_text())["lost"] == ["input 'discs1' of app 'drawn'"]
    assert restore(tmp_path / "backup", tmp_path / "again").lost == ["input 'discs1' of app 'drawn'"]


def test_a_data_folder_is_never_taken_for_a_backup(data: Path, tmp_path: Path) -> None:
    """Neither its own, under any name, nor another's, nor one that nobody has opened yet."""
    take(data, tmp_path / "first")
    restore(tmp_path / "first", tmp_path / "data")
    restore(tmp_path / "first", tmp_path / "other")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    targets = [tmp_path / "data", tmp_path / "link", tmp_path / "data" / "blobs" / "backup", tmp_path / "other"]
    for target in targets:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(BadRequest, match=r"data folder|other things"):
            take(tmp_path / "data", target)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    Store.open(tmp_path / "other").close()
    (tmp_path / "other" / "backup.json").write_text("{}")
    with pytest.raises(BadRequest, match="is a data folder"):
        take(tmp_path / "data", tmp_path / "other")
    # Below it there is room, as for a service that may write nowhere else.
    take(tmp_path / "data", tmp_path / "data" / "backups" / "monday")


def test_a_backup_that_fails_leaves_the_one_before_it_whole(data: Path, tmp_path: Path) -> None:
    """It is stopped after each blob, and before each rename; a picture that the first one needs is gone by then."""
    take(data, tmp_path / "first")
    restore(tmp_path / "first", tmp_path / "data")
    take(tmp_path / "data", tmp_path / "backup")
    with Store.open(tmp_path / "data") as store:
        app = store.app("drawn")
        gone = app.input("discs0").sha256
        app.delete("discs0")
        app.add(png("checks", 7), "new")
    with open_catalog(tmp_path / "data") as catalog:
        for number in range(1, 11):
            calls = 0

            def stop(done: int, total: int, number: int = number) -> None:
                nonlocal calls
                calls += 1
                if calls == number:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                back_up(catalog, Blobs(tmp_path / "data" / "blobs"), tmp_path / "backup", stop)
    restore(tmp_path / "backup", tmp_path / "again")
    with Store.open(tmp_path / "again") as store:
        assert store.app("drawn").input("discs0").sha256 == gone
    take(tmp_path / "data", tmp_path / "backup")
    names = {path.name for path in (tmp_path / "backup").iterdir()}
    assert names == {"tenshot.db", "blobs", "backup.json", "backup.lock"}
    restore(tmp_path / "backup", tmp_path / "newer")


KILLED = """
import os, sys
from pathlib import Path
from tenshot.index.ops.backup import back_up
from tenshot.index.storage.blobs import Blobs
from tenshot.index.store import open_catalog
data, backup, most = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
replace, count = os.replace, 0
def killed(source, target):
    global count
    if Path(target).parent == backup:
        count += 1
        if count == most:
            os.kill(os.getpid(), 9)
    replace(source, target)
os.replace = killed
with open_catalog(data) as catalog:
    back_up(catalog, Blobs(data / "blobs"), backup)
"""


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("rename", [1, 2])
def test_a_backup_that_is_killed_at_its_end_is_the_old_one_or_the_new_one(
    data: Path, tmp_path: Path, rename: int, first: bool
) -> None:
    if not first:
        take(data, tmp_path / "backup")
    with open_catalog(data) as catalog:
        before = catalog.api_keys.list()
        new_key(catalog, None, "one more")
    command = [sys.executable, "-c", KILLED, str(data), str(tmp_path / "backup"), str(rename)]
    assert subprocess.run(command).returncode == -9
    if first and rename == 1:
        with pytest.raises(BadArchive, match="no whole backup"):
            restore(tmp_path / "backup", tmp_path / "again")
    else:
        restore(tmp_path / "backup", tmp_path / "again")
        with open_catalog(tmp_path / "again") as catalog:
            assert len(catalog.api_keys.list()) == len(before) + (rename == 2)
    take(data, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "newest")
    assert not list((tmp_path / "backup").glob("*.new*"))


def test_two_backups_into_one_folder_take_turns(data: Path, tmp_path: Path) -> None:
    said = []

    def again(done: int, total: int) -> None:
        with pytest.raises(BadRequest) as refusal:
            take(data, tmp_path / "backup")
        said.append(str(refusal.value))

    with open_catalog(data) as catalog:
        back_up(catalog, Blobs(data / "blobs"), tmp_path / "backup", again)
    assert "another backup" in said[0]
    restore(tmp_path / "backup", tmp_path / "again")


def test_a_loss_is_told_by_app_and_input_and_counted(tmp_path: Path) -> None:
    """Two apps call different pictures alike: one was lost before the backup, the other in it."""
    with Store.open(tmp_path / "data") as store:
        hashes = [
            str(store.create_app(name, "general-fast").add(png("discs", seed), "x").sha256)
            for seed, name in enumerate(("cats", "dogs"))
        ]
    next((tmp_path / "data" / "blobs").rglob(hashes[0])).unlink()
    take(tmp_path / "data", tmp_path / "backup")
    assert restore(tmp_path / "backup", tmp_path / "again").lost == ["input 'x' of app 'cats'"]
    next((tmp_path / "backup" / "blobs").rglob(hashes[1])).unlink()
    with pytest.raises(BadArchive, match=r"1 pictures .*: input 'x' of app 'dogs'$"):
        restore(tmp_path / "backup", tmp_path / "newer")
    # So it is where an older tenshot, which told no app, has written the manifest.
    manifest = tmp_path / "backup" / "backup.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"lost": ["input 'x'"]}))
    with pytest.raises(BadArchive, match="input 'x' of app 'dogs'"):
        restore(tmp_path / "backup", tmp_path / "newer")


def test_an_empty_folder_is_restored_into_and_stays_the_same_folder(data: Path, tmp_path: Path) -> None:
    """As a mount point must: also with what a file system, or a restore that was killed, has left in it."""
    take(data, tmp_path / "backup")
    (tmp_path / "again" / "lost+found").mkdir(parents=True)
    (tmp_path / "again" / f".restore-{'0' * 32}.new" / "blobs").mkdir(parents=True)
    number = (tmp_path / "again").stat().st_ino
    restore(tmp_path / "backup", tmp_path / "again")
    assert (tmp_path / "again").stat().st_ino == number
    assert {path.name for path in (tmp_path / "again").iterdir()} == {"tenshot.db", "blobs", "lost+found"}
    with Store.open(tmp_path / "again") as store:
        assert len(store.apps()) == 2


@needs_mounts
def test_a_mount_point_is_restored_into(data: Path, tmp_path: Path) -> None:
    take(data, tmp_path / "backup")
    (tmp_path / "again").mkdir()
    code = (
        "import sys; from pathlib import Path; from tenshot import Store; "
        "from tenshot.index.ops.backup import restore; "
        "restore(Path(sys.argv[1]), Path(sys.argv[2])); print(len(Store.open(sys.argv[2]).apps()))"
    )
    script = 'mount -t tmpfs tmpfs "$2" && exec "$3" -c "$4" "$1" "$2"'
    command = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        script,
        "sh",
        tmp_path / "backup",
        tmp_path / "again",
        sys.executable,
        code,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr


def test_other_folders_are_left_alone(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(BadRequest, match="other things"):
        take(data, tmp_path / "mine")
    take(data, tmp_path / "backup")
    with pytest.raises(BadRequest, match="not empty"):
        restore(tmp_path / "backup", tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_every_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    """SQLite documents FULL in WAL mode as durable across a power cut; NORMAL may lose the last commits."""
    with Catalog.open(f"sqlite:///{tmp_path / 'a.db'}") as catalog, catalog._database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


def test_a_damaged_database_is_never_taken_for_a_backup(data: Path, tmp_path: Path) -> None:
    take(data, tmp_path / "first")
    restore(tmp_path / "first", tmp_path / "data")
    with sqlite3.connect(tmp_path / "data" / "tenshot.db") as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("DELETE FROM inputs WHERE id = 'a'")
    connection.close()
    with pytest.raises(BadArchive, match="rows that are not there"):
        take(tmp_path / "data", tmp_path / "backup")
    assert not (tmp_path / "backup" / "backup.json").exists()
