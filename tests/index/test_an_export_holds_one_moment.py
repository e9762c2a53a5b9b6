"""What an export names stays until it is done, whoever deletes it; and nobody's writing waits for a slow reader."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pictures import png

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.catalog import transfers
from tenshot.index.errors import StorageFailed
from tenshot.index.storage.blobs import Blobs
from tenshot.index.transfer.exporting import ExportFormat

CHILD = """
import os, sys
from tenshot import Store
with Store.open(sys.argv[1]) as store:
    app = store.app("a")
    blocks = app.export_stream()
    while not next(blocks):
        pass
    app.delete_models(["m"])
    assert not store.examine().lost
    os._exit(9)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with Store.open(folder) as store:
        yield store


@pytest.fixture
def app(store: Store) -> App:
    """Three inputs, two of them with a picture, and a model with a frozen version."""
    app = store.create_app("a", "vectors", dim=4)
    app.add_vectors(np.eye(4)[:3], ["x", "y", "z"], [{"one": True}, {"two": True}, {}])
    blobs = Blobs(store.path / "blobs")
    with store.catalog._database.write() as connection:
        for id, kind in (("x", "discs"), ("y", "stripes")):
            sha256 = blobs.put(png(kind, 1))
            connection.exec_driver_sql(
                "UPDATE inputs SET sha256 = ?, media_type = 'image/png' WHERE id = ?", (sha256, id)
            )
    app.create_model("m", ["one", "two"])
    app.create_version("m")
    return app


def begun(app: App, format: ExportFormat = ExportFormat.FOLDER) -> tuple[Iterator[bytes], bytes]:
    """An export whose rows are gathered, and its first block."""
    blocks = app.export_stream(format)
    return blocks, next(block for block in blocks if block)


def hashes(store: Store) -> set[str]:
    return set(Blobs(store.path / "blobs").hashes())


def test_what_is_deleted_meanwhile_is_in_it_and_goes_afterwards(app: App, store: Store, tmp_path: Path) -> None:
    expected = app.predict_input("x", "m")
    there = hashes(store)
    assert len(there) == 3
    blocks, first = begun(app)
    app.delete(["x", "y"])
    app.delete_models(["m"])
    assert hashes(store) == there
    content = first + b"".join(blocks)
    assert hashes(store) == set()
    with Store.open(tmp_path / "new") as new:
        found = new.import_app(io.BytesIO(content))
        assert (found.added, list(found.lost)) == (3, [])
        assert new.app("a").predict_input("x", "m") == expected


def test_an_app_that_is_deleted_meanwhile_is_exported_whole(app: App, store: Store, tmp_path: Path) -> None:
    blocks, first = begun(app)
    store.delete_app("a")
    content = first + b"".join(blocks)
    assert hashes(store) == set()
    with Store.open(tmp_path / "new") as new:
        assert new.import_app(io.BytesIO(content)).added == 3


@pytest.mark.parametrize("format", list(ExportFormat))
def test_one_that_is_closed_lets_what_was_deleted_go(app: App, store: Store, format: ExportFormat) -> None:
    blocks, _ = begun(app, format)
    app.delete("x")
    before = len(hashes(store))
    blocks.close()  # type: ignore[attr-defined]
    assert len(hashes(store)) == before - 1


def test_of_two_exports_the_last_one_lets_go(app: App, store: Store) -> None:
    first, _ = begun(app)
    second, _ = begun(app)
    app.delete("x")
    before = len(hashes(store))
    assert list(first)
    assert len(hashes(store)) == before
    assert list(second)
    assert len(hashes(store)) == before - 1


def test_what_it_does_not_name_is_deleted_at_once_and_what_is_added_again_stays(app: App, store: Store) -> None:
    blobs = app.state().blobs
    blocks, _ = begun(app)
    later = blobs.put(b"added later")
    blobs.delete_unused([later], store.catalog.unused_blobs)
    assert later not in blobs
    kept = app.input("x").sha256
    assert kept
    app.delete("x")
    app.add_vectors([[0, 0, 0, 1]], ["again"])
    with store.catalog._database.write() as connection:
        connection.exec_driver_sql("UPDATE inputs SET sha256 = ? WHERE id = 'again'", (kept,))
    assert list(blocks)
    assert kept in blobs


def test_another_process_deletes_no_picture_meanwhile_and_repair_does_afterwards(
    app: App, store: Store, folder: Path, tmp_path: Path
) -> None:
    there = hashes(store)
    blocks, first = begun(app)
    tenshot = [sys.executable, "-c", "from tenshot.tools.cli import main; main()"]
    command = [*tenshot, "--data", str(folder), "apps", "delete", "a", "--yes"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "tenshot doctor --repair" in done.stderr
    content = first + b"".join(blocks)
    with Store.open(tmp_path / "new") as new:
        assert new.import_app(io.BytesIO(content)).added == 3
    assert set(store.examine().orphans) == there
    store.close()
    with Store.open(folder) as again:
        again.examine(repair=True, force=True)
        assert hashes(again) == set()


def test_after_a_crash_the_next_one_finds_what_was_left(app: App, store: Store, folder: Path) -> None:
    store.close()
    done = subprocess.run([sys.executable, "-c", CHILD, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    with Store.open(folder) as again:
        findings = again.examine(repair=True)
        assert len(findings.orphans) == 1
        assert (findings.lost, again.examine().orphans) == ([], [])
    assert not [path for path in folder.rglob("*") if path.name.startswith("tmp")]


def test_a_lost_picture_and_a_lost_predictor_are_left_out(app: App, store: Store, tmp_path: Path) -> None:
    versions = [one.id for one in app.versions("m")]
    with store.catalog._database.read() as connection:
        predictors = connection.exec_driver_sql("SELECT predictor_sha256 FROM model_versions").scalars().all()
    lost = {*predictors, app.input("y").sha256}
    for path in (store.path / "blobs").rglob("*"):
        if path.name in lost:
            path.unlink()
    app.export(tmp_path / "out")
    with Store.open(tmp_path / "new") as new:
        assert list(new.import_app(tmp_path / "out").lost) == ["y"]
        left = [one.id for one in new.app("a").versions("m")]
    # The one that follows the labels has no predictor to lose.
    assert len(versions) == 2
    assert left == versions[1:]


def test_the_log_of_the_database_does_not_grow_while_an_export_is_read(store: Store) -> None:
    app = store.create_app("b", "vectors", dim=512)
    rows = np.random.default_rng(0).normal(size=(500, 512))
    app.add_vectors(rows)
    blocks, _ = begun(app)
    for _ in range(15):
        app.add_vectors(rows)
    # SQLite begins the log anew when it has 4 MB that nobody reads any more.
    assert (store.path / "tenshot.db-wal").stat().st_size < 10_000_000
    assert list(blocks)


def test_a_full_disk_is_an_error_that_says_so(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.state().blobs, "folder", Path("/proc"))
    with pytest.raises(StorageFailed, match="can't be locked"):
        next(app.export_stream())


def test_inputs_with_much_json_are_read_a_few_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "_MOST_JSON", 1000)
    app = store.create_app("sizes", "vectors", dim=2)
    sizes = [10, 10, 900, 500, 2000, 10, 0, 0, 0, 0]
    app.add_vectors(
        [[1, 0]] * len(sizes), [f"x{i}" for i in range(len(sizes))], metadata=[{"t": "x" * n} for n in sizes]
    )
    for vectors in (True, False):
        with store.catalog.transfers.reading(app.id) as rows:
            parts = [[row["id"] for row in part] for part in rows.inputs(4, vectors=vectors)]
        assert parts == [["x0", "x1", "x2"], ["x3"], ["x4"], ["x5", "x6", "x7", "x8"], ["x9"]]
