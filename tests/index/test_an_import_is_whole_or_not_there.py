"""An app that is imported is seen by nobody until it is whole; what was killed goes on, what fails leaves nothing."""

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from archives import DIM, Parts, lived_in
from held import held
from sqlalchemy import event

from tenshot import Store
from tenshot.errors import Busy
from tenshot.index.catalog import database, transfers
from tenshot.index.errors import AppExists, AppNotFound, BadArchive, StoreBusy


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Two exports of one app: the second has one input more."""
    with Store.open(tmp_path_factory.mktemp("tars") / "data") as store:
        app = lived_in(store, "app", pictures=True)
        first = b"".join(app.export_stream())
        app.add_vectors(np.eye(1, DIM), ["later"])
        return [first, b"".join(app.export_stream())]


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "new") as store:
        yield store


class Stopped(BaseException):
    """As when a process ends."""


def stop(*_: object) -> None:
    raise Stopped


def broken_off(store: Store, tar: bytes, name: str = "a") -> str:
    """The id of the app that is half there."""
    with pytest.raises(Stopped):
        store.import_app(io.BytesIO(tar), name, progress=stop)
    [id] = store.catalog.transfers.staged()
    return id


def test_nobody_sees_an_app_that_is_not_whole(new: Store, tars: list[bytes]) -> None:
    id = broken_off(new, tars[0])
    catalog = new.catalog
    assert new.apps() == []
    for name in ("a", id):
        with pytest.raises(AppNotFound):
            new.app(name)
        with pytest.raises(AppNotFound):
            new.delete_app(name)
    with pytest.raises(AppNotFound):
        catalog.apps.update(id, teach_from_feedback=True)
    assert (catalog.input_counts(), catalog.label_counts()) == ({}, {})
    assert (catalog.inputs.pending(), catalog.evaluations.queued(), catalog.workflow_changes.running()) == ([], [], [])
    assert new.collections() == {}


def test_an_app_that_is_opened_meanwhile_is_not_half(new: Store, tars: list[bytes]) -> None:
    def look(_done: int, _total: int) -> None:
        with pytest.raises(AppNotFound):
            new.app("a")

    new.import_app(io.BytesIO(tars[0]), "a", progress=look)
    assert len(new.app("a").inputs()) == len(new.app("a").vectors([one.id for one in new.app("a").inputs()][:1])) + 31


def test_what_was_broken_off_goes_on(new: Store, tars: list[bytes]) -> None:
    id = broken_off(new, tars[0])
    found = new.import_app(io.BytesIO(tars[0]), "a")
    assert (found.app.id, found.added, found.already_there) == (id, 0, 32)
    assert new.catalog.transfers.staged() == {}


def test_two_exports_of_one_app_never_mix(new: Store, tars: list[bytes]) -> None:
    broken_off(new, tars[1])
    assert new.import_app(io.BytesIO(tars[0]), "a").added == 32
    assert "later" not in {one.id for one in new.app("a").inputs()}


CHILD = """
import os, sys
from sqlalchemy import event
from tenshot import Store

def end(connection, cursor, statement, *more):
    if statement.startswith(f"INSERT INTO {sys.argv[3]} "):
        os._exit(9)

with Store.open(sys.argv[1]) as store:
    event.listen(store.catalog._database._writer, "after_cursor_execute", end)
    store.import_app(sys.argv[2], "a")
"""


@pytest.mark.parametrize("table", ["vectors", "labels", "model_versions", "spaces"])
def test_an_import_whose_process_ends_anywhere_goes_on_to_the_same_app(
    tars: list[bytes], tmp_path: Path, table: str
) -> None:
    (tmp_path / "a.tar").write_bytes(tars[0])
    command = [sys.executable, "-c", CHILD, str(tmp_path / "new"), str(tmp_path / "a.tar"), table]
    assert subprocess.run(command, check=False).returncode == 9
    with Store.open(tmp_path / "new") as new:
        _goes_on(new, tars[0], tmp_path)


def _goes_on(new: Store, tar: bytes, tmp_path: Path) -> None:
    assert new.apps() == []
    new.import_app(io.BytesIO(tar), "a")
    with Store.open(tmp_path / "other") as other:
        other.import_app(io.BytesIO(tar), "a")
        for name in ("feedback", "label_events", "thresholds", "workflows", "models"):
            with (
                new.catalog.transfers.reading(new.app("a").id) as rows,
                other.catalog.transfers.reading(other.app("a").id) as expected,
            ):
                count = sum(len(part) for part in expected.table(name, 100))
                assert sum(len(part) for part in rows.table(name, 100)) == count > 0
        probes = np.eye(3, DIM)
        assert new.app("a").predict_vectors(probes, "m").values.tolist() == (
            other.app("a").predict_vectors(probes, "m").values.tolist()
        )


@pytest.mark.parametrize("table", ["inputs", "labels", "model_versions", "spaces"])
def test_whatever_fails_leaves_nothing(new: Store, tars: list[bytes], table: str) -> None:
    """Also what nobody has thought of."""

    def fail(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith(f"INSERT INTO {table} "):
            raise ZeroDivisionError

    engine = new.catalog._database._writer
    event.listen(engine, "after_cursor_execute", fail)
    with pytest.raises(ZeroDivisionError):
        new.import_app(io.BytesIO(tars[0]), "a")
    event.remove(engine, "after_cursor_execute", fail)
    assert (new.apps(), new.catalog.transfers.staged()) == ([], {})
    assert list(new._blobs.hashes()) == []
    assert new.import_app(io.BytesIO(tars[0]), "a").added == 32


def test_a_name_that_is_taken_meanwhile_is_told_and_leaves_nothing(new: Store, tars: list[bytes]) -> None:
    def take(_done: int, _total: int) -> None:
        new.create_app("a", "vectors", dim=DIM)

    with pytest.raises(AppExists, match="a"):
        new.import_app(io.BytesIO(tars[0]), "a", progress=take)
    assert [record.name for record in new.apps()] == ["a"]
    assert new.catalog.transfers.staged() == {}
    assert new.app("a").inputs() == []


def test_an_import_waits_longer_for_others_who_write_than_requests_do(
    new: Store, tars: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PATIENCE_S", 0.01)
    with ExitStack() as writing:

        def write(_done: int, _total: int) -> None:
            writing.enter_context(held(new.path / "tenshot.db"))
            with pytest.raises(StoreBusy):
                new.create_app("b", "vectors", dim=DIM)
            threading.Timer(0.5, writing.close).start()

        assert new.import_app(io.BytesIO(tars[0]), "a", progress=write).added == 32


def test_where_others_write_for_too_long_an_import_goes_on_later(
    new: Store, tars: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as impatient, ExitStack() as writing:
        impatient.setattr(transfers, "_PATIENCE_S", 0.01)
        with pytest.raises(StoreBusy, match="another process is writing; try again"):
            new.import_app(
                io.BytesIO(tars[0]), "a", progress=lambda *_: writing.enter_context(held(new.path / "tenshot.db"))
            )
    assert new.apps() == []
    assert new.import_app(io.BytesIO(tars[0]), "a").already_there == 32


def test_one_import_at_a_time(new: Store, tars: list[bytes]) -> None:
    def again(_done: int, _total: int) -> None:
        with pytest.raises(Busy, match="already"):
            new.import_app(io.BytesIO(tars[1]), "b")

    new.import_app(io.BytesIO(tars[0]), "a", progress=again)
    new.import_app(io.BytesIO(tars[1]), "b")


def test_no_step_of_an_import_writes_more_than_some_rows(new: Store, tars: list[bytes]) -> None:
    parts = Parts.of(tars[0])
    events = parts.table("label_events/000000.parquet")
    parts.set_table("label_events/000000.parquet", pa.concat_tables([events] * 300))
    rows: list[int] = []

    def counted(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith("INSERT INTO label_events"):
            rows[-1] += len(parameters) if many else 1

    engine = new.catalog._database._writer
    event.listen(engine, "begin", lambda _connection: rows.append(0))
    event.listen(engine, "after_cursor_execute", counted)
    new.import_app(io.BytesIO(parts.tar()), "a")
    assert sum(rows) == 300 * events.num_rows > 4096
    assert max(rows) <= 2048


def test_doctor_tells_of_imports_that_were_broken_off_and_repair_removes_them(new: Store, tars: list[bytes]) -> None:
    broken_off(new, tars[0])
    found = new.examine()
    assert (found.unfinished, found.orphans, found.problems) == (["a"], [], [])
    new.examine(repair=True)
    assert new.examine().unfinished == []
    assert list(new._blobs.hashes()) == []


def test_a_bad_archive_takes_what_an_earlier_attempt_left_of_it(new: Store, tars: list[bytes]) -> None:
    parts = Parts.of(tars[0])
    parts.set_cell("feedback/000000.parquet", 0, "kind", None)
    broken_off(new, parts.tar())
    with pytest.raises(BadArchive):
        new.import_app(io.BytesIO(parts.tar()), "a")
    assert new.catalog.transfers.staged() == {}
