"""A collection answers as NumPy would, at every moment: what was written is there, what was deleted is gone."""

import threading

import numpy as np
import pytest

from tenshot.index.errors import BadRequest, BadVector, InputNotFound, TenshotError
from tenshot.index.vectors.collection import Collection
from tenshot.index.vectors.faiss_compat import check_faiss

DIM = 16


def _unit(count: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _filled(count: int = 100) -> Collection:
    collection = Collection(DIM)
    collection.upsert(np.arange(count), _unit(count))
    return collection


def test_the_last_of_a_key_given_twice_counts_and_one_row_is_live() -> None:
    collection = Collection(DIM)
    collection.upsert(np.array([5, 5]), _unit(2))
    assert len(collection) == 1
    np.testing.assert_array_equal(collection.get(np.array([5])), _unit(2)[1:])


def test_the_same_vector_again_takes_no_new_row() -> None:
    collection = _filled()
    before = repr(collection)
    collection.upsert(np.arange(100), collection.get(np.arange(100)))
    assert repr(collection) == before


def test_deleting_an_unknown_key_counts_nothing_and_a_key_may_come_back() -> None:
    collection = _filled()
    assert collection.delete([7, 1000]) == 1
    assert collection.delete([7]) == 0
    assert 7 not in collection.search(_unit(100)[7:8], 100)[0]
    collection.upsert(np.array([7]), _unit(1, seed=9))
    assert collection.search(_unit(1, seed=9), 1)[0].tolist() == [[7]]


@pytest.mark.parametrize(
    "vectors", [np.full((1, DIM), np.nan), np.full((1, DIM), np.inf), np.zeros((1, DIM)), np.ones((1, 3)), np.ones(DIM)]
)
def test_a_bad_vector_is_refused_and_nothing_is_stored(vectors: np.ndarray) -> None:
    collection = _filled()
    with pytest.raises(BadVector):
        collection.upsert(np.array([500]), vectors)
    with pytest.raises(BadVector):
        collection.search(vectors, 1)
    assert len(collection) == 100


def test_k_beyond_the_rows_is_padded_and_k_zero_refused() -> None:
    keys, scores = _filled(3).search(_unit(2), 5)
    assert keys.shape == (2, 5)
    assert (keys[:, 3:] == -1).all()
    assert np.isneginf(scores[:, 3:]).all()
    with pytest.raises(BadRequest):
        _filled().search(_unit(1), 0)


def test_an_empty_collection_and_one_whose_rows_are_all_deleted_find_nothing() -> None:
    collection = _filled()
    collection.delete(range(100))
    for empty in (Collection(DIM), collection):
        keys, scores = empty.search(_unit(2), 3)
        assert (keys == -1).all()
        assert np.isneginf(scores).all()
        assert empty.rows().keys.tolist() == []


def test_get_gives_rows_in_the_order_asked_and_refuses_unknown_keys() -> None:
    collection = _filled()
    np.testing.assert_array_equal(collection.get(np.array([9, 3, 9])), _unit(100)[[9, 3, 9]])
    with pytest.raises(InputNotFound):
        collection.get(np.array([3, 100]))
    assert collection.contains(np.array([3, 100, -1])).tolist() == [True, False, False]


def test_five_thousand_identical_rows_are_all_reachable_in_the_order_of_keys() -> None:
    collection = Collection(DIM)
    order = np.random.default_rng(1).permutation(5000)
    collection.upsert(order, np.repeat(_unit(1), 5000, axis=0))
    collection.upsert(np.arange(5000, 5100), _unit(100, seed=3))
    for k in (10, 4999, 5100):
        keys, _ = collection.search(_unit(1), k)
        assert keys[0, : min(k, 5000)].tolist() == list(range(min(k, 5000)))


def test_one_query_gets_the_same_scores_alone_in_a_batch_and_under_a_filter() -> None:
    collection = _filled(3000)
    queries = _unit(70, seed=5)
    keys, scores = collection.search(queries, 10)
    for i in (0, 33, 69):
        alone = collection.search(queries[i : i + 1], 10)
        filtered = collection.search(queries[i : i + 1], 10, collection.filter(np.sort(keys[i])))
        for other in (alone, filtered):
            np.testing.assert_array_equal(other[0][0], keys[i])
            np.testing.assert_array_equal(other[1][0], scores[i])


@pytest.mark.parametrize("matching", [0, 1, 9, 10, 2000])
def test_a_filter_gives_k_results_whenever_k_match(matching: int, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = _unit(3000)
    collection = _filled(3000)
    wanted = np.sort(np.random.default_rng(2).choice(3000, matching, replace=False))
    query = _unit(1, seed=8)
    best = wanted[np.argsort(-(vectors[wanted] @ query[0]))][:10]
    for gather in (3_000_000, 0):  # by gathering the matches, and by a scan with a mask
        monkeypatch.setattr("tenshot.index.vectors.segments.tuning.GATHER", gather)
        keys, _ = collection.search(query, 10, collection.filter(wanted))
        assert keys[0, : len(best)].tolist() == best.tolist()
        assert (keys[0, len(best) :] == -1).all()


def test_a_filter_follows_later_writes() -> None:
    collection = _filled(50)
    only = collection.filter(np.array([3, 4, 70]))
    query = _unit(100)[70:71]
    assert 70 not in collection.search(query, 3, only)[0]
    collection.upsert(np.array([70]), query)
    collection.delete([3])
    assert collection.search(query, 3, only)[0].tolist() == [[70, 4, -1]]


def test_it_equals_numpy_through_twenty_thousand_random_operations() -> None:
    rng = np.random.default_rng(0)
    collection, oracle = Collection(DIM), dict[int, np.ndarray]()
    for step in range(20_000):
        kind = rng.random()
        keys = rng.integers(0, 3000, rng.integers(1, 4))
        if kind < 0.5:
            vectors = _unit(len(keys), seed=step)
            collection.upsert(keys, vectors)
            oracle |= dict(zip(keys.tolist(), vectors, strict=True))
        elif kind < 0.85:
            assert collection.delete(keys) == len(
                [key for key in set(keys.tolist()) if oracle.pop(key, None) is not None]
            )
        elif kind < 0.88:
            known = np.array(sorted(oracle), dtype=np.int64)
            where = None
            if rng.random() < 0.5:
                known = known[known % 7 == step % 7]
                where = collection.filter(known)
            query = _unit(1, seed=step)
            found, scores = collection.search(query, 5, where)
            wanted = np.array([oracle[key] @ query[0] for key in known.tolist()])
            np.testing.assert_allclose(scores[0, : len(known)], np.sort(wanted)[::-1][:5], atol=1e-5)
            assert set(found[0].tolist()) <= {-1, *known.tolist()}
    assert len(collection) == len(oracle)
    np.testing.assert_array_equal(collection.rows().keys, sorted(oracle))
    np.testing.assert_array_equal(collection.get(collection.rows().keys), [oracle[key] for key in sorted(oracle)])


def test_readers_are_never_wrong_while_a_writer_adds_updates_deletes_and_compacts() -> None:
    collection = _filled(2000)
    anchor = _unit(1, seed=77)
    collection.upsert(np.array([999_999]), anchor)
    stop, wrong = threading.Event(), list[object]()

    def read() -> None:
        while not stop.is_set():
            keys, scores = collection.search(anchor, 3)
            if keys[0, 0] != 999_999 or abs(scores[0, 0] - 1) > 1e-5 or len(set(keys[0].tolist())) != 3:
                wrong.append((keys, scores))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    missed = 0
    for i in range(1000):
        vector = _unit(1, seed=10_000 + i)
        collection.upsert(np.array([10_000 + i]), vector)
        missed += int(collection.search(vector, 1)[0][0, 0] != 10_000 + i)
        collection.delete([i, i + 1000])
        collection.upsert(np.array([999_999]), anchor)
    stop.set()
    for reader in readers:
        reader.join()
    assert missed == 0
    assert wrong == []


def test_exactly_one_faiss_package_is_accepted() -> None:
    assert check_faiss(["faiss-cpu"]) == "faiss-cpu"
    assert check_faiss() in {"faiss-cpu", "faiss-gpu"}
    with pytest.raises(TenshotError, match="missing"):
        check_faiss([])
    with pytest.raises(TenshotError, match="keep one"):
        check_faiss(["faiss-cpu", "faiss-gpu"])
