"""A collection opens as SQL has it, from whatever is left of its snapshots."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from clouds import Clouds, recall
from shop import APP, Shop

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clouds, folder = Clouds(), tmp_path_factory.mktemp("original")
    with Shop(folder) as shop:
        for _ in range(3):
            shop.add(clouds.draw(1000)[0])
            shop.collection.wait()
        shop.delete([f"{0}-{i}" for i in range(30)])
        shop.add(clouds.draw(40)[0])
        assert len(shop.snapshots) == 2
    return folder


@pytest.fixture
def saved(original: Path, tmp_path: Path) -> Path:
    """The folder of a closed shop: 3,000 rows, sealed, with two snapshots; then 40 more and 30 fewer."""
    return Path(shutil.copytree(original, tmp_path / "saved"))


def _searches_well(shop: Shop) -> None:
    queries = Clouds(seed=5).draw(300)[0]
    assert recall(*shop.collection.search(queries, 10), shop.in_sql(), queries) >= 0.95


def test_it_opens_by_mapping_and_reads_from_sql_only_what_is_newer(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Shop(saved) as shop:
        assert shop.collection.kind != "exact"
        assert len(shop.collection._current.state.rows.mapped) > 3000
        shop.check()
        _searches_well(shop)
        shop.collection.wait()
        shop.check()
    assert caplog.records == []


def test_what_was_written_after_the_snapshot_is_there(saved: Path) -> None:
    clouds = Clouds(seed=9)
    shop = Shop(saved)
    kept = [path.name for path in shop.snapshots]
    shop.add(clouds.draw(20)[0])
    shop.delete(["1-0", "1-1"])
    shop.collection._maintenance.wait()
    shop.catalog.close()  # as a crash leaves it
    with Shop(saved) as again:
        assert [path.name for path in again.snapshots][-1] == kept[-1]
        again.check()
        again.collection.wait()
        again.check()


def _flip(path: Path, where: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 0x40
    path.write_bytes(content)


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _other_kind(meta: Path) -> None:
    segments = json.loads(meta.read_text())["segments"]
    _edit(meta, segments=[one | {"kind": "ivf-pq" if one["kind"] == "flat" else "flat"} for one in segments])


def _codes_elsewhere(meta: Path) -> None:
    segments = json.loads(meta.read_text())["segments"]
    _edit(meta, segments=[one | {"codes": f"../{meta.parent.name}/codes-0.faiss"} for one in segments])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "codes flipped": lambda snap: _flip(snap / "codes-0.faiss"),
    "header flipped": lambda snap: _flip(snap / "codes-0.faiss", 0),
    "keys flipped": lambda snap: _flip(snap / "keys.i64"),
    "bits flipped": lambda snap: _flip(snap / "live.bits"),
    "codes of another kind": lambda snap: _other_kind(snap / "meta.json"),
    "codes truncated": lambda snap: os.truncate(snap / "codes-0.faiss", 100),
    "keys truncated": lambda snap: os.truncate(snap / "keys.i64", 800),
    "keys missing": lambda snap: (snap / "keys.i64").unlink(),
    "meta missing": lambda snap: (snap / "meta.json").unlink(),
    "meta truncated": lambda snap: os.truncate(snap / "meta.json", 50),
    "meta of another shape": lambda snap: (snap / "meta.json").write_text("[]"),
    "codes elsewhere": lambda snap: _codes_elsewhere(snap / "meta.json"),
    "another format": lambda snap: _edit(snap / "meta.json", format=99),
    "another dim": lambda snap: _edit(snap / "meta.json", dim=16),
    "another origin": lambda snap: _edit(snap / "meta.json", origin="elsewhere"),
    "newer than SQL": lambda snap: _edit(snap / "meta.json", seq=10_000),
}


@pytest.mark.parametrize(
    ("damage", "both"), [*((damage, False) for damage in DAMAGES), ("keys missing", True), ("codes flipped", True)]
)
def test_a_snapshot_that_cannot_be_trusted_is_passed_over(saved: Path, damage: str, both: bool) -> None:
    for snap in sorted((saved / "collections" / APP).glob("snap-*"))[0 if both else 1 :]:
        DAMAGES[damage](snap)
    with Shop(saved) as shop:
        shop.check()
        _searches_well(shop)
        shop.collection.wait()
        shop.check()
        shop.add(Clouds(seed=3).draw(300)[0])
        shop.collection.wait()
        assert shop.snapshots
        shop.check()


@pytest.mark.parametrize("where", [0.0, 0.5])
def test_damaged_vectors_are_noticed_after_opening_and_read_from_sql_again(saved: Path, where: float) -> None:
    [rows] = (saved / "collections" / APP).glob("rows-*.f32")
    _flip(rows, where)
    with Shop(saved) as shop:
        shop.collection.wait()
        shop.check()
        _searches_well(shop)


def test_truncated_vectors_are_noticed_before_anybody_reads_them(saved: Path) -> None:
    [rows] = (saved / "collections" / APP).glob("rows-*.f32")
    os.truncate(rows, 5000)
    with Shop(saved) as shop:
        shop.check()


def test_a_restored_database_makes_older_snapshots_void(saved: Path) -> None:
    with Shop(saved) as shop:
        shop.catalog.apps.renew_epochs()
        snapshots = shop.snapshots
        shop.collection.wait()
    with Shop(saved) as shop:
        assert not set(snapshots) & set(shop.snapshots)
        shop.check()


def test_a_database_that_went_its_own_way_is_noticed_even_at_the_same_number(saved: Path) -> None:
    with Shop(saved) as shop:
        with shop.catalog._database.write() as connection:  # as if somebody had edited it
            connection.exec_driver_sql("DELETE FROM inputs WHERE id = '1-7'")
        shop.collection.wait()
    with Shop(saved) as shop:
        shop.collection.wait()
        shop.check()


def test_tombstones_go_when_no_snapshot_needs_them(tmp_path: Path) -> None:
    clouds = Clouds()
    with Shop(tmp_path) as shop:
        shop.add(clouds.draw(300)[0])
        shop.delete([f"0-{i}" for i in range(5)])
        for _ in range(3):
            shop.add(clouds.draw(300)[0])
            shop.collection.wait()
        assert len(shop.catalog.vectors.removed(APP, 0)) == 0
        shop.check()


def test_a_full_disk_leaves_the_old_snapshot_and_everything_works(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with Shop(saved) as shop:
        before = shop.snapshots
        monkeypatch.setattr("os.rename", full)
        shop.add(Clouds(seed=3).draw(500)[0])
        shop.collection.wait()
        shop.check()
        _searches_well(shop)
    assert sorted((saved / "collections" / APP).glob("snap-*")) == before
    monkeypatch.undo()
    with Shop(saved) as shop:
        shop.check()
        shop.collection.wait()
        assert not list((saved / "collections" / APP).glob(".draft-*"))


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from clouds import Clouds
from shop import APP, Shop
steps = int(sys.argv[3])
def counted(call):
    def step(*arguments, **options):
        global steps
        steps -= 1
        if steps < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return step
for name in ("fsync", "rename", "replace", "link", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
clouds = Clouds(seed=steps)
with Shop(Path(sys.argv[1])) as shop:
    for _ in range(2):
        shop.add(clouds.draw(700)[0])
        shop.collection.wait()
        shop.delete([one.id for one in shop.catalog.inputs.page(APP, 0, 20)])
"""


def test_a_kill_at_any_step_of_a_snapshot_loses_nothing(tmp_path: Path, long: bool) -> None:
    ends = set()
    for steps in (*range(40), 1000) if long else (0, 8, 1000):
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(ROOT / "tests" / "support"), str(steps)]
        ends.add(subprocess.run(command).returncode)
        with Shop(tmp_path) as shop:
            shop.check()
            shop.collection.wait()
            shop.check()
            left: Sequence[str] = [id for ids in shop.catalog.inputs.all_ids(APP) for id in ids]
            while left:
                left = shop.catalog.inputs.delete(APP, left).rest
    assert ends == {-signal.SIGKILL, 0}
