"""What is done in the background: tried again where it fails, bounded through years of churn, and in nobody's way."""

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clouds import SMALL, Clouds
from patience import becomes
from shop import APP, EAGER, Shop

from tenshot.index.vectors.collection import Collection
from tenshot.index.vectors.factory import CatalogSource
from tenshot.index.vectors.segments.segment import Segment
from tenshot.index.vectors.segments.snapshot import Snapshots


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is tried again at once."""
    monkeypatch.setattr("shop.EAGER", replace(EAGER, again_s=0.01))


class Failing:
    """Fails so many times, where its last argument is such a one, then does what it did."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        owner: Any,
        name: str,
        times: int,
        when: Callable[[object], bool] = lambda _: True,
    ) -> None:
        self.left, self.call = times, getattr(owner, name)
        failing = self

        def call(*arguments: Any, **options: Any) -> Any:
            if failing.left and when(arguments[-1]):
                failing.left -= 1
                raise OSError(24, "Too many open files")
            return failing.call(*arguments, **options)

        monkeypatch.setattr(owner, name, call)


@pytest.mark.usefixtures("soon")
def test_a_snapshot_that_fails_is_tried_again_though_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(monkeypatch, os, "rename", 3)
    with Shop(tmp_path) as shop:
        shop.add(Clouds().draw(300)[0])
        becomes(lambda: len(shop.snapshots), 1)
        assert failing.left == 0


def _files(shop: Shop) -> list[Path]:
    return list((shop.folder / "collections").glob("*/*"))


def test_a_snapshot_that_fails_leaves_nothing_behind_and_keeps_no_row_from_being_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds = Clouds()
    with Shop(tmp_path) as shop:
        Failing(monkeypatch, os, "rename", 10**9)
        for _ in range(6):
            shop.add(clouds.draw(300)[0])
            shop.collection.wait()
        assert _files(shop) == []
        assert shop.collection.kind != "exact"
        assert shop.collection.tail <= SMALL.tail + 8


def test_a_snapshot_never_takes_the_last_bytes_of_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenshot.index.vectors.segments.snapshot._SPARE", 1 << 62)
    with Shop(tmp_path) as shop:
        shop.add(Clouds().draw(300)[0])
        shop.collection.wait()
        assert _files(shop) == []
        shop.check()


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("damaged", [False, True])
def test_a_read_that_fails_while_a_snapshot_is_checked_or_rebuilt_is_tried_again(
    tmp_path: Path, damaged: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Shop(tmp_path) as shop:
        shop.add(Clouds().draw(300)[0])
        shop.collection.wait()
        kept = shop.snapshots
    if damaged:
        [rows] = (tmp_path / "collections").glob("*/rows-*.f32")
        content = bytearray(rows.read_bytes())
        content[100] ^= 0x40
        rows.write_bytes(content)

    def everything(after: object) -> bool:
        return after is None or not damaged

    failing = Failing(monkeypatch, CatalogSource, "vectors" if damaged else "keys", 2, everything)
    with Shop(tmp_path) as shop:
        becomes(lambda: shop.collection._maintenance._unchecked, False)
        assert failing.left == 0
        shop.collection.wait()
        shop.check()
        assert (shop.snapshots == kept) != damaged
        assert caplog.text.count("put off") == 2


@contextmanager
def _descriptors(most: int) -> Iterator[None]:
    """So many more than are open may be opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1 + most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _saved(folder: Path) -> Snapshots:
    collection = Collection(8)
    collection.upsert(np.arange(20), np.random.default_rng(0).normal(size=(20, 8)))
    Snapshots(folder, 8, "x").save(collection._current.state)
    return Snapshots(folder, 8, "x")


needs_limits = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted by /proc")


@needs_limits
def test_an_open_snapshot_holds_no_descriptor(tmp_path: Path) -> None:
    folders = [_saved(tmp_path / str(number)) for number in range(30)]
    with _descriptors(10):
        states = [snapshots.load(0) for snapshots in folders]
    for state in states:
        assert state is not None
        np.testing.assert_allclose(np.linalg.norm(state.rows.take(np.arange(20)), axis=1), 1, atol=1e-5)


_WANT_OF_DESCRIPTORS = """
import os, resource, sys
from pathlib import Path
from tenshot.index.vectors.segments.snapshot import Snapshots

snapshots = Snapshots(Path(sys.argv[1]), 8, "x")
assert snapshots.load(0) is not None  # imports what it needs
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
used, failed = max(map(int, os.listdir("/proc/self/fd"))), 0
for room in range(6):
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + room, hard))
    failed += snapshots.load(0) is None
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(failed > 0, snapshots.load(0) is not None)
"""


@needs_limits
def test_a_snapshot_that_cannot_be_opened_for_want_of_descriptors_stays(tmp_path: Path) -> None:
    """In a process of its own, which nothing else opens files in."""
    _saved(tmp_path)
    command = [sys.executable, "-c", _WANT_OF_DESCRIPTORS, str(tmp_path)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.stdout == "True True\n", child.stderr


def test_many_collections_are_looked_after_by_one_thread_and_one_that_seals() -> None:
    before, clouds = {thread.name for thread in threading.enumerate()}, Clouds()
    collections = [Collection(clouds.dim, SMALL) for _ in range(20)]
    for collection in collections:
        collection.upsert(np.arange(1000), clouds.draw(1000)[0])
    names = [thread.name for thread in threading.enumerate() if thread.name not in before | {"tenshot-sealer"}]
    assert len(names) <= 1
    for collection in collections:
        collection.wait()
        assert collection.kind == "flat"


def test_closing_a_collection_waits_for_nothing_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    build, begun, go = Segment.build, threading.Event(), threading.Event()

    def held(*arguments: Any, **options: Any) -> Segment | None:
        begun.set()
        assert go.wait(60)
        return build(*arguments, **options)

    monkeypatch.setattr("tenshot.index.vectors.segments.merge_policy.Segment.build", held)
    clouds = Clouds()
    first, second = Collection(clouds.dim, SMALL), Collection(clouds.dim, SMALL)
    try:
        for collection in (first, second):
            collection.upsert(np.arange(1000), clouds.draw(1000)[0])
        assert begun.wait(60)
        closing = threading.Thread(target=second.close)
        closing.start()
        closing.join(5)
        assert not closing.is_alive()
    finally:
        go.set()
    first.wait()
    assert first.kind == "flat"


def test_tombstones_and_what_is_read_again_stay_few_through_steady_churn(tmp_path: Path) -> None:
    clouds, most = Clouds(), 0
    with Shop(tmp_path) as shop:
        names = list[str]()
        for _ in range(60):
            start = shop.catalog.vectors.seq(APP)
            shop.add(clouds.draw(50)[0])
            names += [f"{start}-{i}" for i in range(50)]
            shop.delete(names[:-100])
            names = names[-100:]
            shop.collection.wait()
            most = max(most, len(shop.catalog.vectors.removed(APP, 0)))
        assert most <= 3 * EAGER.save
        newest = int(shop.snapshots[-1].name.split("-")[1])
        assert shop.catalog.vectors.seq(APP) - newest <= EAGER.save / 25
        shop.check()


def test_tombstones_go_when_a_collection_is_opened_that_has_no_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shop.EAGER", SMALL)  # which writes none for so few rows
    for _ in range(3):
        with Shop(tmp_path) as shop:
            assert len(shop.catalog.vectors.removed(APP, 0)) == 0
            start = shop.catalog.vectors.seq(APP)
            shop.add(Clouds().draw(20)[0])
            shop.delete([f"{start}-{i}" for i in range(10)])
            assert not shop.snapshots
