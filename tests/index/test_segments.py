"""Large collections search codes instead of rows: nearly all neighbours are found, and everything else stays exact."""

import threading
from typing import Any

import numpy as np
import pytest
from clouds import SMALL, Clouds, recall

from tenshot.index.vectors.collection import Collection
from tenshot.index.vectors.protocol import unit_rows
from tenshot.index.vectors.segments.segment import Segment


def _sealed(count: int, clouds: Clouds) -> tuple[Collection, dict[int, np.ndarray], np.ndarray]:
    """A collection when all is sealed, its rows by key, the cloud of each."""
    collection = Collection(clouds.dim, SMALL)
    rows, cloud = clouds.draw(count)
    collection.upsert(np.arange(count), rows)
    collection.wait()
    return collection, dict(enumerate(rows)), cloud


@pytest.mark.parametrize(("count", "kinds"), [(500, {"exact"}), (1500, {"flat"}), (4000, {"ivf-rabitq", "ivf-pq"})])
def test_each_size_has_its_kind_and_finds_the_neighbours(count: int, kinds: set[str]) -> None:
    clouds = Clouds()
    collection, rows, _ = _sealed(count, clouds)
    assert collection.kind in kinds
    queries = clouds.draw(300)[0]
    for k in (1, 10, 50):
        assert recall(*collection.search(queries, k), rows, queries) >= 0.95


def test_the_kind_changes_by_itself_as_rows_come() -> None:
    clouds, seen = Clouds(), []
    collection, rows = Collection(clouds.dim, SMALL), dict[int, np.ndarray]()
    for start in range(0, 5000, 250):
        made = clouds.draw(250)[0]
        collection.upsert(np.arange(start, start + 250), made)
        rows |= dict(enumerate(made, start))
        collection.wait()
        seen.append(collection.kind)
    assert list(dict.fromkeys(kind.split("-")[0] for kind in seen)) == ["exact", "flat", "ivf"]
    queries = clouds.draw(300)[0]
    assert recall(*collection.search(queries, 10), rows, queries) >= 0.95


@pytest.mark.parametrize("count", [1500, 4000])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("correlated", [False, True])
def test_a_filter_leaves_the_neighbours_findable(
    count: int, share: float, correlated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenshot.index.vectors.segments.tuning.GATHER", 1000)  # so few rows would all be read otherwise
    clouds = Clouds()
    collection, rows, cloud = _sealed(count, clouds)
    chosen = cloud < share * clouds.number if correlated else np.random.default_rng(1).random(count) < share
    keys = np.flatnonzero(chosen)
    left = {key: rows[key] for key in keys.tolist()}
    queries = clouds.draw(300)[0]  # also from clouds that the filter leaves out
    assert recall(*collection.search(queries, 10, collection.filter(keys)), left, queries) >= 0.95


@pytest.mark.parametrize("matching", [0, 1, 9])
def test_fewer_matches_than_k_are_all_found(matching: int) -> None:
    clouds = Clouds()
    collection, rows, _ = _sealed(4000, clouds)
    keys = np.random.default_rng(3).choice(4000, matching, replace=False)
    queries = clouds.draw(20)[0]
    left = {key: rows[key] for key in keys.tolist()}
    assert recall(*collection.search(queries, 10, collection.filter(keys)), left, queries) == (1 if matching else 0)


@pytest.mark.parametrize("k", [2048, 2049, 4000, 5000])
def test_a_k_as_large_as_one_likes_is_answered_in_full(k: int) -> None:
    clouds = Clouds()
    collection, rows, _ = _sealed(4000, clouds)
    queries = clouds.draw(2)[0]
    assert recall(*collection.search(queries, k), rows, queries) >= 0.95


def test_many_identical_rows_are_reachable_in_the_order_of_keys_and_hide_nobody() -> None:
    clouds = Clouds()
    twins, others = np.random.default_rng(1).permutation(5000), np.arange(5000, 8000)
    same, rows = clouds.draw(1)[0], clouds.draw(3000)[0]
    collection = Collection(clouds.dim, SMALL)
    collection.upsert(twins, np.repeat(same, 5000, axis=0))
    collection.upsert(others, rows)
    collection.wait()
    assert collection.kind != "exact"
    for k in (10, 300, 4999):
        assert collection.search(same, k)[0][0].tolist() == list(range(k))
    queries = clouds.draw(300)[0]
    everybody = dict.fromkeys(range(5000), same[0]) | dict(zip(others.tolist(), rows, strict=True))
    assert recall(*collection.search(queries, 10), everybody, queries) >= 0.95


def test_rows_unlike_those_that_a_segment_was_calibrated_on_are_found_too() -> None:
    """Copies teach nothing of the effort that others need; these come when the copies are sealed already."""
    clouds = Clouds()
    same, rows = clouds.draw(1)[0], clouds.draw(2000)[0]
    collection = Collection(clouds.dim, SMALL)
    collection.upsert(np.arange(3000), np.repeat(same, 3000, axis=0))
    collection.wait()
    collection.upsert(np.arange(3000, 5000), rows)
    collection.wait()
    queries = clouds.draw(200)[0]
    everybody = dict.fromkeys(range(3000), same[0]) | dict(enumerate(rows, start=3000))
    assert recall(*collection.search(queries, 10), everybody, queries) >= 0.95


@pytest.mark.parametrize(("minority", "count"), [("scattered", 500), ("crowd", 1000)])
def test_a_minority_is_found_as_well_as_the_others(minority: str, count: int) -> None:
    """Some rows lie elsewhere, where the effort that does for most finds little."""
    clouds, rng = Clouds(dim=128), np.random.default_rng(2)
    centre, spread = (rng.normal(size=128), 0.2) if minority == "crowd" else (np.zeros(128), 1.0)
    others = unit_rows(centre + spread * rng.normal(size=(count, 128)), 128)
    rows = rng.permutation(np.concatenate([clouds.draw(6000 - count)[0], others]))
    collection = Collection(128, SMALL)
    collection.upsert(np.arange(len(rows)), rows)
    collection.wait()
    assert collection.kind.startswith("ivf")
    queries = unit_rows(centre + spread * rng.normal(size=(100, 128)), 128)
    assert recall(*collection.search(queries, 10), dict(enumerate(rows)), queries) >= 0.95


def test_a_query_like_the_rows_is_hardly_ever_far_off_and_one_unlike_them_is() -> None:
    clouds = Clouds(seed=4)
    collection, known, _ = _sealed(3000, clouds)
    rows = np.array(list(known.values()))
    usual = collection._current.state.segments[0].parameters.usual_at(10)[0]

    def share_of_far(queries: np.ndarray) -> float:
        return float((np.sort(queries @ rows.T, axis=1)[:, -10] < usual).mean())

    assert share_of_far(clouds.draw(1000)[0]) < 0.02
    assert share_of_far(unit_rows(clouds.rng.normal(size=(300, clouds.dim)), clouds.dim)) > 0.95


def test_rows_are_found_at_once_and_deleted_ones_never_while_segments_are_made() -> None:
    clouds = Clouds()
    collection, rows, _ = _sealed(1000, clouds)
    missed, ghosts, kinds = 0, 0, set()
    for i in range(1000):
        [vector] = clouds.draw(1)[0]
        key = 10_000 + i
        collection.upsert(np.array([key]), vector[None])
        rows[key] = vector
        missed += collection.search(vector[None], 1)[0][0, 0] != key
        if i % 2:
            gone = next(iter(rows))
            assert collection.delete([gone]) == 1
            ghosts += gone in collection.search(rows.pop(gone)[None], 5)[0]
        kinds.add(collection.kind)
    assert (missed, ghosts) == (0, 0)
    collection.wait()
    queries = clouds.draw(300)[0]
    assert recall(*collection.search(queries, 10), rows, queries) >= 0.95
    assert len(collection) == len(rows)


@pytest.mark.parametrize("count", [1500, 3000])
def test_few_rows_are_scanned_however_many_come_while_all_is_trained_anew(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds = Clouds()
    collection, rows, _ = _sealed(count, clouds)
    build, begun, go = Segment.build, threading.Event(), threading.Event()

    def held(*arguments: Any, **options: Any) -> Segment | None:
        begun.set()
        assert go.wait(60)
        return build(*arguments, **options)

    monkeypatch.setattr("tenshot.index.vectors.segments.merge_policy.Segment.build", held)
    queries, next_key = clouds.draw(300)[0], count
    for step in range(60):
        made = clouds.draw(100)[0]
        collection.upsert(np.arange(next_key, next_key + 100), made)
        rows |= dict(enumerate(made, next_key))
        next_key += 100
        gone = np.arange(20 * step, 20 * step + 10)
        collection.delete(gone)
        for key in gone.tolist():
            del rows[key]
        collection._maintenance.wait_sealed()
        assert collection.facts().tail <= SMALL.tail + 8
        recall(*collection.search(made[:3], 5), rows, made[:3])  # nothing that is gone, each once, exact scores
        assert collection.search(made[:50], 1)[0][:, 0].tolist() == list(range(next_key - 100, next_key - 50))
    assert begun.is_set()
    assert recall(*collection.search(queries, 10), rows, queries) >= 0.95
    go.set()
    collection.wait()
    assert collection.facts().tail <= SMALL.tail + 8
    assert recall(*collection.search(queries, 10), rows, queries) >= 0.95


def test_dead_rows_are_cleared_away_meanwhile_nobody_waits_and_nothing_changes() -> None:
    clouds = Clouds()
    collection, rows, _ = _sealed(4000, clouds)
    gone = np.arange(0, 2000)
    collection.delete(gone)
    collection.wait()
    assert repr(collection).endswith("rows=2000, dead=0)")
    left = {key: rows[key] for key in range(2000, 4000)}
    queries = clouds.draw(300)[0]
    assert recall(*collection.search(queries, 10), left, queries) >= 0.95
    np.testing.assert_array_equal(collection.get(np.arange(2000, 4000)), [rows[key] for key in range(2000, 4000)])
    assert collection.rows().keys.tolist() == list(range(2000, 4000))


def test_readers_are_right_while_a_writer_makes_segments_merge_and_compact() -> None:
    clouds = Clouds()
    collection, _, _ = _sealed(1500, clouds)
    anchors = clouds.draw(3)[0]
    collection.upsert(np.arange(900_000, 900_003), anchors)
    stop, wrong, asked = threading.Event(), list[object](), 0

    def read() -> None:
        nonlocal asked
        while not stop.is_set():
            keys, scores = collection.search(anchors, 3)
            asked += 1
            if keys[:, 0].tolist() != [900_000, 900_001, 900_002] or not np.allclose(scores[:, 0], 1, atol=1e-5):
                wrong.append((keys, scores))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for step in range(12):
        collection.upsert(np.arange(300) + 10_000 + 300 * step, clouds.draw(300)[0])
        collection.delete(np.arange(0, 150) + 150 * step)
        collection.upsert(np.arange(900_000, 900_003), anchors)
    collection.wait()
    stop.set()
    for reader in readers:
        reader.join()
    assert asked > 0
    assert wrong == []


def test_data_on_which_codes_are_no_gain_stays_exact() -> None:
    rows = np.random.default_rng(0).normal(size=(1500, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    collection = Collection(4, SMALL)
    collection.upsert(np.arange(1500), rows)
    collection.wait()
    queries = rows[:50]
    assert recall(*collection.search(queries, 10), dict(enumerate(rows)), queries) >= 0.95


def test_a_large_collection_whose_rows_are_all_deleted_finds_nothing_and_starts_anew() -> None:
    clouds = Clouds()
    collection, rows, _ = _sealed(3000, clouds)
    assert collection.delete(np.arange(3000)) == 3000
    queries = clouds.draw(300)[0]
    assert (collection.search(queries, 5)[0] == -1).all()
    collection.wait()
    assert (collection.search(queries, 5)[0] == -1).all()
    again = {key + 5000: row for key, row in rows.items()}
    collection.upsert(np.array(list(again)), np.stack(list(again.values())))
    collection.wait()
    assert recall(*collection.search(queries, 5), again, queries) >= 0.95


def test_a_failure_in_the_background_is_said_once_and_searches_stay_right(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_arguments: object, **_options: object) -> None:
        raise MemoryError("no room for codes")

    monkeypatch.setattr("tenshot.index.vectors.segments.merge_policy.Segment.build", fails)
    clouds = Clouds()
    collection, rows, _ = _sealed(1500, clouds)
    queries = clouds.draw(20)[0]
    assert recall(*collection.search(queries, 10), rows, queries) == 1
    assert caplog.text.count("no room for codes") == 1
    monkeypatch.undo()
    more = clouds.draw(EAGER_AGAIN)[0]
    collection.upsert(np.arange(1500, 1500 + len(more)), more)
    collection.wait()
    assert collection.kind != "exact"


EAGER_AGAIN = SMALL.save
"""Writes after which what failed is tried again."""
