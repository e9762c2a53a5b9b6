"""A backup that anybody may have made: restored as it says, or refused whole."""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenshot import Store
from tenshot.index.errors import BadArchive, StoreTooNew
from tenshot.index.ops.backup import back_up, restore
from tenshot.index.storage.blobs import Blobs
from tenshot.index.store import open_catalog


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    with Store.open(folder / "data") as store:
        app = store.create_app("a", "vectors", dim=4)
        app.add_vectors(np.eye(4), concepts=[{"yes": i < 2} for i in range(4)])
        app.create_model("m", ["yes"])
        app.create_version("m")
        with open_catalog(folder / "data") as catalog:
            back_up(catalog, Blobs(folder / "data" / "blobs"), folder / "backup")
    return folder / "backup"


@pytest.fixture
def backup(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "backup"))


def edit_manifest(backup: Path, **changes: object) -> None:
    path = backup / "backup.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit(backup: Path, *statements: str) -> None:
    """Changes the database, and says so in the manifest."""
    with closing(sqlite3.connect(backup / "tenshot.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA journal_mode = DELETE")
        for statement in statements:
            connection.execute(statement)
    sign(backup)


def sign(backup: Path) -> None:
    edit_manifest(backup, database_sha256=hashlib.sha256((backup / "tenshot.db").read_bytes()).hexdigest())


def refused(backup: Path, *, with_: type[Exception] = BadArchive) -> str:
    """What is said; nothing is made, and nothing else changed."""
    around = backup.parent
    before = sorted(around.rglob("*"))
    with pytest.raises(with_) as refusal:
        restore(backup, around / "again")
    assert sorted(around.rglob("*")) == before
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_good_one_is_restored(backup: Path, tmp_path: Path) -> None:
    edit(backup)
    assert restore(backup, tmp_path / "again").blobs == 1
    with Store.open(tmp_path / "again") as store:
        assert store.app("a").versions("m")


STRANGE = [
    "UPDATE apps SET id = '../../precious'",
    "UPDATE apps SET id = '/precious'",
    "UPDATE apps SET id = X'2e2e'",
    "UPDATE apps SET id = 7",
    "UPDATE apps SET id = substr(id, 1, 20) || char(0) || '/../../..' || 'xx'",
    "UPDATE apps SET id = id || char(0) || '/../..'",
    "UPDATE inputs SET sha256 = '../..'",
    "UPDATE inputs SET sha256 = X'00'",
    "UPDATE model_versions SET predictor_sha256 = '../../tenshot.db'",
    "UPDATE model_versions SET predictor_sha256 = upper(predictor_sha256)",
    "UPDATE apps SET recipe = 'no JSON'",
    "UPDATE apps SET created_at = 'never'",
    "DELETE FROM concepts",
    "DROP TABLE labels",
    "ALTER TABLE inputs DROP COLUMN metadata",
    "DROP TABLE alembic_version",
    "CREATE TRIGGER t AFTER INSERT ON inputs BEGIN DELETE FROM inputs; END",
    "CREATE VIEW v AS SELECT * FROM keys",
    "CREATE VIRTUAL TABLE v USING fts5(x)",
    "ALTER TABLE apps ADD COLUMN x GENERATED ALWAYS AS (hex(zeroblob(9)))",
]


@pytest.mark.parametrize("statement", STRANGE)
def test_a_database_that_tenshot_did_not_write_is_refused(backup: Path, statement: str) -> None:
    edit(backup, statement)
    assert "database" in refused(backup)


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_no_database_is_refused(backup: Path, content: bytes) -> None:
    (backup / "tenshot.db").write_bytes(content)
    sign(backup)
    assert "database" in refused(backup)


def test_a_database_of_the_future_says_so(backup: Path) -> None:
    edit(backup, "UPDATE alembic_version SET version_num = '9999'")
    assert "newer" in refused(backup, with_=StoreTooNew)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"7",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"taken_at": "now"}',
        b'{"format": 2}',
        b'{"a": ' + b"[" * 100_000,
    ],
)
def test_a_manifest_of_another_shape_is_refused(backup: Path, content: bytes) -> None:
    (backup / "backup.json").write_bytes(content)
    assert "no whole backup" in refused(backup)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("taken_at", 7),
        ("apps", "1"),
        ("apps", True),
        ("blobs", None),
        ("blobs", 1e300),
        ("blobs", [1]),
        ("database_sha256", 7),
        ("database_sha256", "../../x"),
        ("lost", "all"),
        ("lost", [7]),
        ("lost", {"a": "b"}),
        ("format", 2),
        ("format", [1]),
        ("more", 1),
    ],
)
def test_a_manifest_with_values_of_other_types_is_refused(backup: Path, field: str, value: object) -> None:
    edit_manifest(backup, **{field: value})
    assert "no whole backup" in refused(backup)


def test_a_huge_manifest_is_not_read(backup: Path) -> None:
    os.truncate(backup / "backup.json", 10**12)
    assert "too long" in refused(backup)


def _replace(make: Callable[[Path], Any], name: str) -> Callable[[Path], None]:
    def replace(backup: Path) -> None:
        [path] = backup.rglob(name)
        path.unlink()
        make(path)

    return replace


def _links(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "dd").symlink_to("/proc/self/fd")


BLOB = "?" * 64
FILES: dict[str, Callable[[Path], Any]] = {
    "a pipe for the manifest": _replace(os.mkfifo, "backup.json"),
    "a pipe for the database": _replace(os.mkfifo, "tenshot.db"),
    "a pipe for a picture": _replace(os.mkfifo, BLOB),
    "a device for a picture": _replace(lambda path: path.symlink_to("/dev/zero"), BLOB),
    "a device for the manifest": _replace(lambda path: path.symlink_to("/dev/zero"), "backup.json"),
    "a device for the database": _replace(lambda path: path.symlink_to("/dev/zero"), "tenshot.db"),
    "a link for a picture": _replace(lambda path: path.symlink_to("/etc/passwd"), BLOB),
    "a link beside pictures": lambda backup: (backup / "blobs" / "ff").symlink_to("/etc"),
    "a pipe beside pictures": lambda backup: os.mkfifo(backup / "blobs" / "pipe"),
    "a link to a folder of links": lambda backup: _links(backup / "blobs" / "ff"),
    "no pictures": lambda backup: shutil.rmtree(backup / "blobs"),
    "other content": lambda backup: next(backup.rglob(BLOB)).write_bytes(b"other"),
}


@pytest.mark.parametrize("change", FILES)
def test_files_of_other_kinds_are_refused_and_not_waited_for(backup: Path, change: str) -> None:
    FILES[change](backup)
    refused(backup)
