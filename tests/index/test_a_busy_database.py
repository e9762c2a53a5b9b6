"""One writes at a time, in the order of asking; reading waits for nobody; busy is an error of its own."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from held import held
from sqlalchemy.exc import OperationalError

from tenshot import Store
from tenshot.index.catalog import database
from tenshot.index.catalog.database import Database
from tenshot.index.catalog.fair_lock import FairLock
from tenshot.index.errors import StorageFailed, StoreBusy


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes waits for a tenth of a second, so that tests are quick."""
    monkeypatch.setattr(database, "_PATIENCE_S", 0.1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{path}")
    yield opened
    opened.close()


def test_a_lock_is_had_in_the_order_of_asking() -> None:
    lock, order, threads = FairLock(), [], []
    assert lock.acquire(0)

    def ask(number: int) -> None:
        assert lock.acquire(60)
        order.append(number)
        lock.release()

    for number in range(8):
        threads.append(threading.Thread(target=ask, args=(number,)))
        threads[-1].start()
        while len(lock._waiting) <= number:
            time.sleep(0.001)
    assert not lock.acquire(0)
    assert not lock.acquire(0.01)
    lock.release()
    for thread in threads:
        thread.join()
    assert order == list(range(8))
    assert lock.acquire(0)


def test_many_writers_all_get_their_turn(opened: Database) -> None:
    """SQLite's own waiting lets some of fourteen wait for ten seconds, and then refuses them."""
    turns = [0] * 14
    stop = threading.Event()

    def write(number: int) -> None:
        while not stop.is_set():
            with opened.write():
                time.sleep(0.005)
            turns[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(14)]
    for thread in threads:
        thread.start()
    while sum(turns) < 200:
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    # Those that were started first had some before there were others.
    assert min(turns) > max(turns) / 2


def test_reading_waits_for_no_writer_however_many_wait(opened: Database) -> None:
    release = threading.Event()

    def write() -> None:
        with opened.write():
            release.wait(60)

    threads = [threading.Thread(target=write) for _ in range(40)]
    for thread in threads:
        thread.start()
    while len(opened._turns._waiting) < 39:
        time.sleep(0.001)
    for _ in range(3):
        with opened.read() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    assert not release.is_set()
    release.set()
    for thread in threads:
        thread.join()


def test_who_reads_can_not_write(opened: Database) -> None:
    with pytest.raises(StorageFailed, match="readonly"), opened.read() as connection:
        connection.exec_driver_sql("DELETE FROM apps")


@pytest.mark.usefixtures("impatient")
def test_where_another_process_writes_one_is_told_that_the_database_is_busy(opened: Database, path: Path) -> None:
    with held(path):
        with pytest.raises(StoreBusy, match="another process is writing; try again"), opened.write():
            pass
        with opened.read() as connection:
            connection.exec_driver_sql("SELECT * FROM apps").all()
    with opened.write() as connection:
        connection.exec_driver_sql("DELETE FROM apps")


def test_a_writer_waits_for_another_process_to_end(opened: Database, path: Path) -> None:
    done = threading.Event()

    def write() -> None:
        with opened.write():
            done.set()

    with held(path):
        thread = threading.Thread(target=write)
        thread.start()
        assert not done.wait(0.2)
    thread.join()
    assert done.is_set()


def test_what_need_not_be_written_now_is_not_waited_for(opened: Database, path: Path) -> None:
    with opened.write(), pytest.raises(StoreBusy, match="others in this process"), opened.write(patience=0):
        pass
    with held(path), pytest.raises(StoreBusy, match="another process"), opened.write(patience=0):
        pass
    with opened.write(patience=0):
        pass


def test_a_reader_without_a_connection_is_told_that_the_database_is_busy(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_READERS", 5)
    monkeypatch.setattr(database, "_PATIENCE_S", 0.05)
    opened = Database(f"sqlite:///{path}")
    readers = [opened.read() for _ in range(5)]
    for reader in readers:
        reader.__enter__()
    with pytest.raises(StoreBusy, match="all connections are in use"), opened.read():
        pass
    for reader in readers:
        reader.__exit__(None, None, None)
    with opened.read():
        pass
    opened.close()


def test_a_database_that_is_being_written_can_be_opened(opened: Database, path: Path) -> None:
    with held(path):
        second = Database(f"sqlite:///{path}")
        with second.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM apps").scalar() == 0
        second.close()


@pytest.mark.usefixtures("impatient")
def test_predictions_need_no_turn_to_write_and_labels_say_that_the_store_is_busy(tmp_path: Path) -> None:
    with Store.open(tmp_path / "data") as store:
        app = store.create_app("a", "vectors", dim=4)
        app.add_vectors([[1, 0, 0, 0], [0, 1, 0, 0]], ["x", "y"], [{"a": True}, {"b": True}])
        with held(tmp_path / "data" / "tenshot.db"):
            # The first prediction would keep the app's space.
            assert app.predict_input("x")[0].concept_id == "a"
            assert app.search(vector=[1, 0, 0, 0], k=1)[0].input_id == "x"
            with pytest.raises(StoreBusy):
                app.label("x", {"b": True})
        values = app.predict_input("x")
        app.label("y", {"b": True})
    with Store.open(tmp_path / "data") as store:
        assert store.app("a").predict_input("x") == values


def test_a_raw_error_of_sqlite_that_is_not_about_being_busy_stays_what_it_is(opened: Database) -> None:
    with pytest.raises(OperationalError) as raised, opened.read() as connection:
        connection.exec_driver_sql("SELECT * FROM nowhere")
    assert isinstance(raised.value.orig, sqlite3.OperationalError)
