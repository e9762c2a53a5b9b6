"""What a GPU does, done by FAISS on the processor: flat rows in half precision, no selectors, no removal, a limit."""

from typing import Any

import faiss
import numpy as np
import pytest
from clouds import SMALL, Clouds, recall

from tenshot.index.vectors.collection import Collection
from tenshot.index.vectors.segments.devices import Devices
from tenshot.index.vectors.settings import DeviceSettings

ROW = 32 * 2


class HalfPrecision:
    """A flat index with half-precision rows as FAISS has it; like a GPU's it runs out of memory."""

    def __init__(self, dim: int, most: int) -> None:
        self.index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        self.most, self.asked, self.full = most, 0, False

    def add(self, rows: np.ndarray) -> None:
        if self.index.ntotal + len(rows) > self.most:
            raise RuntimeError("Error in virtual void* StandardGpuResourcesImpl::allocMemory: out of memory")
        self.index.add(rows)

    def search(self, queries: np.ndarray, k: int) -> Any:
        self.asked += 1
        if self.full:
            raise RuntimeError("Error in allocMemory: out of memory")
        return self.index.search(queries, k)


class Bench:
    """Devices made of the processor, and what was built on them."""

    def __init__(self, budget_rows: int, most: int = 10**9) -> None:
        self.made: list[HalfPrecision] = []

        def flat(dim: int, device: int) -> HalfPrecision:
            self.made.append(HalfPrecision(dim, most))
            return self.made[-1]

        self.devices = Devices(DeviceSettings(count=1, memory_bytes=budget_rows * ROW), flat)

    def collection(self, count: int, seed: int = 0) -> tuple[Collection, dict[int, np.ndarray], Clouds]:
        clouds = Clouds(seed=seed)
        collection = Collection(clouds.dim, SMALL, devices=self.devices)
        rows = clouds.draw(count)[0]
        collection.upsert(np.arange(count), rows)
        collection.wait()
        return collection, dict(enumerate(rows)), clouds


def test_sealed_rows_lie_on_the_device_and_the_tail_and_deletions_are_seen_at_once() -> None:
    bench = Bench(10_000)
    collection, rows, clouds = bench.collection(1500)
    assert collection.facts().place == "gpu"
    assert collection.facts().gpu_bytes == 1500 // 8 * 8 * ROW
    for _ in range(40):
        [vector] = clouds.draw(1)[0]
        collection.upsert(np.array([len(rows)]), vector[None])
        rows[len(rows)] = vector
        assert collection.search(vector[None], 1)[0][0, 0] == len(rows) - 1
    gone = np.arange(0, 90)
    collection.delete(gone)
    rows = {key: row for key, row in rows.items() if key >= 90}
    queries = clouds.draw(300)[0]
    assert recall(*collection.search(queries, 10), rows, queries) >= 0.99
    assert bench.made[-1].asked > 0


@pytest.mark.parametrize("share", [0.05, 0.6])
def test_filters_hold_also_where_the_device_knows_none(share: float) -> None:
    collection, rows, clouds = Bench(10_000).collection(3000)
    keys = np.flatnonzero(np.random.default_rng(1).random(3000) < share)
    queries = clouds.draw(300)[0]
    left = {key: rows[key] for key in keys.tolist()}
    assert recall(*collection.search(queries, 10, collection.filter(keys)), left, queries) >= 0.95


def test_rows_follow_when_segments_grow_and_are_compacted() -> None:
    bench = Bench(100_000)
    collection, rows, clouds = bench.collection(1000)
    for start in range(1000, 4000, 500):
        made = clouds.draw(500)[0]
        collection.upsert(np.arange(start, start + 500), made)
        rows |= dict(enumerate(made, start))
        collection.wait()
    collection.delete(np.arange(0, 1500))
    collection.wait()
    rows = {key: row for key, row in rows.items() if key >= 1500}
    assert collection.facts().place == "gpu"
    assert bench.devices.used_bytes == collection.facts().gpu_bytes <= 2500 * ROW
    queries = clouds.draw(300)[0]
    assert recall(*collection.search(queries, 10), rows, queries) >= 0.95


def test_the_least_recently_used_makes_room_and_comes_back_when_it_is_asked_again() -> None:
    bench = Bench(2600)
    first, rows, clouds = bench.collection(1200)
    second, _, _ = bench.collection(1200, seed=1)
    queries = clouds.draw(20)[0]
    first.search(queries, 10)
    third, _, _ = bench.collection(1200, seed=2)
    assert [one.facts().place for one in (first, second, third)] == ["gpu", "cpu", "gpu"]
    assert bench.devices.used_bytes <= 2600 * ROW
    for _ in range(150):
        second.search(queries[:1], 10)
    second.wait()
    assert [one.facts().place for one in (first, second, third)].count("gpu") == 2
    assert second.facts().place == "gpu"
    assert recall(*first.search(queries, 10), rows, queries) >= 0.95
    for one in (first, second, third):
        one.close()
    assert bench.devices.used_bytes == 0


def test_no_room_means_the_processor(caplog: pytest.LogCaptureFixture) -> None:
    for bench in (Bench(100), Bench(10_000, most=500)):  # beyond the budget; beyond what there is
        collection, rows, clouds = bench.collection(1500)
        assert collection.facts().place == "cpu"
        assert bench.devices.used_bytes == 0
        queries = clouds.draw(300)[0]
        assert recall(*collection.search(queries, 10), rows, queries) >= 0.95
    assert "no room on the GPU" in caplog.text


def test_memory_that_runs_out_in_a_search_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(10_000)
    collection, rows, clouds = bench.collection(1500)
    bench.made[-1].full = True
    queries = clouds.draw(300)[0]
    assert recall(*collection.search(queries, 10), rows, queries) >= 0.95
    assert collection.facts().place == "cpu"
    assert "failed on the GPU" in caplog.text


def test_several_devices_share_the_rows() -> None:
    def flat(dim: int, device: int) -> Any:
        return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)

    clouds = Clouds()
    devices = Devices(DeviceSettings(count=3, memory_bytes=10_000 * ROW), flat)
    collection = Collection(clouds.dim, SMALL, devices=devices)
    rows = clouds.draw(1500)[0]
    collection.upsert(np.arange(1500), rows)
    collection.wait()
    assert collection.facts().place == "gpu"
    queries = clouds.draw(300)[0]
    assert recall(*collection.search(queries, 10), dict(enumerate(rows)), queries) >= 0.99


def test_without_a_device_nothing_is_placed() -> None:
    assert Devices(DeviceSettings()).count == 0
    clouds = Clouds()
    collection = Collection(clouds.dim, SMALL, devices=Devices(DeviceSettings()))
    collection.upsert(np.arange(1500), clouds.draw(1500)[0])
    collection.wait()
    assert collection.facts().place == "cpu"
