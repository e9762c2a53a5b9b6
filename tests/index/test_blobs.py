"""Blobs: what is put is on the disk, what is damaged is mended, and no name leads out of the folder."""

import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tenshot.index.errors import NotFound, StorageFailed
from tenshot.index.storage.blobs import Blobs

NO_HASHES = ["../../precious", "..", "", "a", "A" * 64, "a" * 65, "a" * 63 + "/", "\0" * 64, "a" * 60 + "/../"]


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "data" / "blobs")


def test_what_could_not_be_deleted_is_deleted_by_the_next_call(blobs: Blobs) -> None:
    first, second, used = blobs.put_many([b"first", b"second", b"used"])
    (blobs.folder / "turn").mkdir()
    with pytest.raises(StorageFailed, match="the pictures can't be locked"):
        blobs.delete_unused([first, used], lambda hashes: hashes)
    (blobs.folder / "turn").rmdir()
    blobs.delete_unused([second], lambda hashes: set(hashes) - {used})
    assert list(blobs.hashes()) == [used]


@pytest.mark.parametrize("name", [*NO_HASHES, "an absolute path"])
def test_what_is_no_hash_names_nothing(blobs: Blobs, tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"dear")
    name = str(precious) if name == "an absolute path" else name
    blobs.put(b"something")
    assert name not in blobs
    assert not blobs.is_whole(name)
    with pytest.raises(NotFound):
        blobs.get(name)
    with pytest.raises(NotFound):
        blobs.thumbnail(name, lambda content: content)
    blobs.delete_unused([name], lambda hashes: hashes)
    assert precious.read_bytes() == b"dear"
    assert not list(tmp_path.rglob("*.new"))


def test_nothing_is_deleted_behind_a_link(blobs: Blobs, tmp_path: Path) -> None:
    sha256 = blobs.put(b"something")
    folder = blobs.folder / sha256[:2]
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert blobs.get(sha256) == b"something"
    blobs.delete_unused([sha256], lambda hashes: hashes)
    assert blobs.get(sha256) == b"something"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_no_blob_and_is_not_waited_for(blobs: Blobs, make: Callable[[Path], None]) -> None:
    sha256 = blobs.put(b"something")
    [path] = blobs.folder.rglob(sha256)
    path.unlink()
    make(path)
    assert not blobs.is_whole(sha256)
    with pytest.raises(NotFound):
        blobs.get(sha256)
    if make is os.mkfifo:
        blobs.put(b"something")
        assert blobs.get(sha256) == b"something"
    else:
        with pytest.raises(StorageFailed):
            blobs.put(b"something")
        assert blobs.strays() == []


@pytest.mark.parametrize("content", [b"somethinG", b"some", b"", b"something more", None])
def test_putting_a_picture_again_mends_it(blobs: Blobs, content: bytes | None) -> None:
    sha256 = blobs.put(b"something")
    [path] = blobs.folder.rglob(sha256)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert not blobs.is_whole(sha256)
    assert blobs.put(b"something") == sha256
    assert blobs.is_whole(sha256)


def test_a_thumbnail_stands_for_no_picture(blobs: Blobs) -> None:
    sha256 = blobs.put(b"something")
    assert blobs.thumbnail(sha256, lambda content: content[:4]) == b"some"
    assert list(blobs.hashes()) == [sha256]
    (blobs.folder / sha256[:2] / sha256[2:4] / sha256).unlink()
    assert list(blobs.hashes()) == []
    assert not blobs.is_whole(sha256)


def test_an_empty_thumbnail_that_a_power_cut_left_is_made_anew(blobs: Blobs) -> None:
    sha256 = blobs.put(b"something")
    blobs.thumbnail(sha256, lambda content: content[:4])
    os.truncate(blobs.folder / "thumbnails" / sha256[:2] / sha256[2:4] / sha256, 0)
    assert blobs.thumbnail(sha256, lambda content: content[:4]) == b"some"
    assert blobs.thumbnail(sha256, lambda content: b"not asked again") == b"some"


def test_many_are_put_together_or_none(blobs: Blobs) -> None:
    pictures = [bytes([n]) * 10 for n in range(20)]
    hashes = blobs.put_many([*pictures, pictures[3]])
    assert hashes[20] == hashes[3]
    assert [blobs.get(sha256) for sha256 in hashes[:20]] == pictures
    other = b"\x80other"
    [path] = [
        blobs.folder / sha256[:2] / sha256[2:4] for sha256 in Blobs(blobs.folder.with_name("x")).put_many([other])
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("in the way of a folder")
    with pytest.raises(StorageFailed):
        blobs.put_many([b"new", other])
    assert set(blobs.hashes()) == set(hashes[:20])
    assert not list(blobs.folder.rglob("*.new"))


def test_many_wait_for_the_disk_less_than_each(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = 0
    sync = os.fsync

    def count(descriptor: int) -> None:
        nonlocal synced
        synced += 1
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", count)
    blobs.put_many(n.to_bytes(2, "big") for n in range(100))
    # Each file, its folder, the folder above it once, and two more.
    assert 100 < synced < 3 * 100
    synced = 0
    blobs.put_many(n.to_bytes(2, "big") for n in range(100))
    assert synced == 0


def test_those_who_put_do_not_wait_for_each_other(blobs: Blobs) -> None:
    entered = []

    def enter() -> None:
        with Blobs(blobs.folder).deletion_paused(), blobs.deletion_paused():
            entered.append(True)

    with blobs.deletion_paused():
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    assert entered == [True]


def test_who_deletes_waits_for_who_keeps_and_is_not_overtaken_for_ever(blobs: Blobs) -> None:
    """Eight threads keep without a pause, so that at no moment nobody does."""
    sha256 = blobs.put(b"something")
    deleted = threading.Event()
    held = threading.Semaphore(0)

    def keep() -> None:
        while not deleted.is_set():
            with blobs.deletion_paused():
                held.release()
                there = sha256 in blobs
                deleted.wait(0.01)
                assert (sha256 in blobs) is there

    def delete() -> None:
        def unused(hashes: object) -> list[str]:
            deleted.set()
            return [sha256]

        blobs.delete_unused([sha256], unused)

    threads = [threading.Thread(target=keep, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in threads:
        held.acquire()
    delete()
    for thread in threads:
        thread.join()
    assert sha256 not in blobs


def test_who_keeps_may_keep_again_while_another_waits_to_delete(blobs: Blobs) -> None:
    sha256 = blobs.put(b"something")
    with blobs.deletion_paused():
        with pytest.raises(RuntimeError, match="delete afterwards"):
            blobs.delete_unused([sha256], lambda hashes: hashes)
        deleter = threading.Thread(target=blobs.delete_unused, args=([sha256], lambda hashes: hashes))
        deleter.start()
        # Until the deleter has the turn.
        while _is_free(blobs.folder / "turn"):
            deleter.join(0.001)
        with blobs.deletion_paused():
            assert blobs.thumbnail(sha256, lambda content: content) == b"something"
    deleter.join()
    assert sha256 not in blobs


def _is_free(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
