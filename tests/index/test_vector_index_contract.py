"""What every vector engine must do, held against NumPy. A new engine is one more entry of `ENGINES`."""

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import numpy as np
import pytest
from clouds import Clouds, recall
from hypothesis import given, settings
from hypothesis import strategies as st
from shop import APP, Shop

from tenshot.index.errors import BadFilter, BadRequest, BadVector, InputNotFound
from tenshot.index.filters import Filter, parse
from tenshot.index.records import FloatArray, KeyArray
from tenshot.index.store import Store
from tenshot.index.vectors.collection import Collection
from tenshot.index.vectors.exact import ExactIndex
from tenshot.index.vectors.factory import ENGINES, Place
from tenshot.index.vectors.protocol import VectorIndex, sampled
from tenshot.index.vectors.settings import CollectionSettings

T = TypeVar("T")
DIM = 32
KEYS = np.arange(200, dtype=np.int64)


class Nothing:
    """A source of no rows."""

    def seq(self) -> int:
        return 0

    def vectors(self, after: int | None) -> Iterator[tuple[KeyArray, FloatArray]]:
        return iter(())

    def removed(self, after: int) -> KeyArray:
        return self.keys()

    def forget_removed(self, until: int) -> None: ...

    def keys(self) -> KeyArray:
        return np.empty(0, dtype=np.int64)

    def of(self, keys: KeyArray) -> dict[int, FloatArray]:
        return {}

    def matching(self, where: Filter, make: Callable[[KeyArray], T]) -> T:
        return make(self.keys())


def empty(engine: str) -> VectorIndex:
    folder = Path(tempfile.gettempdir(), f"never made {uuid4().hex}")
    return ENGINES[engine](Place(folder, DIM, "test", CollectionSettings()), Nothing())


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shop(engine: str, tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path, DIM, engine) as shop:
        yield shop


@pytest.fixture
def index(engine: str) -> VectorIndex:
    """200 rows, of which no SQL knows."""
    index = empty(engine)
    index.upsert(KEYS, rows())
    return index


def rows(count: int = 200, seed: int = 0) -> np.ndarray:
    return Clouds(DIM, seed=seed).draw(count)[0]


def nearest(vectors: np.ndarray, keys: np.ndarray, query: np.ndarray, k: int) -> list[int]:
    cosines = vectors.astype(np.float64) @ query
    return keys[np.lexsort((keys, -cosines))][:k].tolist()


def test_a_search_gives_the_nearest_with_their_cosines(index: VectorIndex) -> None:
    queries = rows(5, seed=1)
    keys, cosines = index.search(queries, 7)
    assert keys.dtype == np.int64
    assert cosines.dtype == np.float32
    for row, query in enumerate(queries):
        assert keys[row].tolist() == nearest(rows(), KEYS, query, 7)
        np.testing.assert_allclose(cosines[row], rows()[keys[row]] @ query, atol=1e-6)


def test_vectors_of_any_length_count_by_their_direction(index: VectorIndex) -> None:
    index.upsert(np.array([500]), 3 * rows(1, seed=1))
    keys, [[cosine]] = index.search(0.01 * rows(1, seed=1), 1)
    assert keys.tolist() == [[500]]
    assert cosine == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(index.get(np.array([500])), rows(1, seed=1), atol=1e-6)


def test_a_key_stored_again_has_its_new_vector_alone_and_of_one_given_twice_the_last(index: VectorIndex) -> None:
    new = rows(3, seed=2)
    index.upsert(np.array([7, 300, 7]), new)
    assert len(index) == 201
    np.testing.assert_array_equal(index.get(np.array([7, 300])), new[[2, 1]])
    assert index.search(new[2:], 1)[0].tolist() == [[7]]
    assert index.search(rows()[7:8], 201)[1][0, 0] < 1 - 1e-4


def test_what_is_deleted_is_gone_and_counted_and_may_come_back(index: VectorIndex) -> None:
    assert index.delete([3, 3, 999]) == 1
    assert index.delete(np.array([3])) == 0
    assert len(index) == 199
    assert index.contains(np.array([3, 4])).tolist() == [False, True]
    assert 3 not in index.search(rows()[3:4], 200)[0]
    index.upsert(np.array([3]), rows()[3:4])
    assert index.search(rows()[3:4], 1)[0].tolist() == [[3]]


def test_vectors_are_read_in_the_order_asked(index: VectorIndex) -> None:
    np.testing.assert_array_equal(index.get(np.array([9, 3, 9])), rows()[[9, 3, 9]])
    with pytest.raises(InputNotFound, match="900"):
        index.get(np.array([3, 900]))
    keys, vectors = index.present(np.array([9, 900, 3]))
    assert keys.tolist() == [9, 3]
    np.testing.assert_array_equal(vectors, rows()[[9, 3]])


def test_equal_rows_come_in_the_order_of_their_keys(index: VectorIndex) -> None:
    keys = np.random.default_rng(1).permutation(np.arange(1000, 3000))
    index.upsert(keys, np.repeat(rows(1, seed=3), len(keys), axis=0))
    for k in (10, 1999, 2000):
        found, cosines = index.search(rows(2, seed=3), k)
        assert found[0].tolist() == list(range(1000, 1000 + k))
        assert len(set(cosines[0].tolist())) == 1


def test_a_k_beyond_the_rows_is_padded_and_takes_no_memory(index: VectorIndex) -> None:
    index.delete(KEYS[3:])
    keys, cosines = index.search(rows(2, seed=1), 5)
    assert (keys[:, 3:] == -1).all()
    assert np.isneginf(cosines[:, 3:]).all()
    assert index.search(rows(1), 10**12)[0].shape == (1, 1000)
    index.delete(KEYS)
    assert (index.search(rows(1), 5)[0] == -1).all()


@pytest.mark.parametrize("k", [0, -1, True, 2.0])
def test_a_wrong_k_is_refused(index: VectorIndex, k: int) -> None:
    with pytest.raises(BadRequest):
        index.search(rows(1), k)


def test_too_many_scores_at_once_are_refused(index: VectorIndex) -> None:
    with pytest.raises(BadRequest, match="too many at once"):
        index.search(np.broadcast_to(rows(1), (70_000, DIM)), 1000)


@pytest.mark.parametrize(
    "vectors", [np.full((1, DIM), np.nan), np.full((1, DIM), np.inf), np.zeros((1, DIM)), np.ones((1, 3)), np.ones(DIM)]
)
def test_a_bad_vector_is_refused_and_nothing_stored(index: VectorIndex, vectors: np.ndarray) -> None:
    with pytest.raises(BadVector):
        index.search(vectors, 1)
    for keys in ([500], [500, 501]):
        with pytest.raises(BadVector):
            index.upsert(np.array(keys), vectors)
    if vectors.shape == (1, DIM):
        with pytest.raises(BadVector):
            index.upsert(np.array([500, 501]), np.concatenate([rows(1), vectors]))
    assert len(index) == 200
    assert not index.contains(np.array([500])).any()


@pytest.mark.parametrize("kind", [Collection, ExactIndex])
def test_an_index_without_a_source_knows_nothing_to_filter_by(kind: type[Collection | ExactIndex]) -> None:
    index = kind(DIM)
    with pytest.raises(BadFilter):
        index.search(rows(1), 1, parse({"label": "a"}))
    with pytest.raises(BadFilter):
        index.rows(parse({"label": "a"}))


@given(keys=st.sets(st.integers(0, 2**62), max_size=60), n=st.integers(0, 70), seed=st.integers(0, 2**40))
def test_a_sample_holds_a_smaller_one_and_changes_little_with_the_keys(keys: set[int], n: int, seed: int) -> None:
    every = np.array(sorted(keys), dtype=np.int64)
    sample = sampled(np.random.default_rng(seed).permutation(every), n, seed)
    assert sample.tolist() == sampled(every, n, seed).tolist() == sorted(set(sample.tolist()) & keys)
    assert len(sample) == min(n, len(keys))
    assert set(sampled(every, n // 2, seed).tolist()) <= set(sample.tolist())
    assert len(set(sample.tolist()) - set(sampled(np.append(every, 2**62 + 1), n, seed).tolist())) <= 1


def test_each_key_is_in_a_sample_as_often_as_any_other(index: VectorIndex) -> None:
    drawn = np.zeros(200)
    for seed in range(400):
        drawn[index.sample(50, seed)] += 1
    # 100 each, give or take five times the deviation of a binomial's.
    assert abs(drawn - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


def test_a_sample_is_of_the_keys_however_they_came(index: VectorIndex, engine: str) -> None:
    sample, again = index.sample(20).tolist(), empty(engine)
    for key in np.random.default_rng(5).permutation(KEYS).tolist():
        again.upsert(np.array([key, 5000]), rows(2))
    again.delete([5000])
    assert again.sample(20).tolist() == index.sample(20).tolist() == sample
    assert index.sample(20, seed=1).tolist() != sample
    assert index.sample(500).tolist() == KEYS.tolist()


def test_rows_are_of_one_moment_whatever_is_written_meanwhile(index: VectorIndex) -> None:
    batches, view = index.iterate(64), index.rows()
    next(batches)
    index.delete(KEYS[50:150])
    index.upsert(KEYS[150:], rows(50, seed=4))
    index.upsert(KEYS[:100] + 1000, rows(100, seed=5))
    later = list(batches)
    assert np.concatenate([keys for keys, _ in later]).tolist() == KEYS[64:].tolist()
    np.testing.assert_array_equal(np.concatenate([vectors for _, vectors in later]), rows()[64:])
    assert view.keys.tolist() == KEYS.tolist()
    np.testing.assert_array_equal(view.take(view.positions[::-1]), rows()[::-1])
    assert [len(keys) for keys, _ in index.iterate(150)] == [150, 50]


def test_a_position_means_one_vector_while_the_numbering_is_the_same(index: VectorIndex) -> None:
    seen = dict[tuple[int, int], list[float]]()
    rng = np.random.default_rng(0)
    for step in range(60):
        keys = rng.integers(0, 300, 40)
        index.upsert(keys, rows(40, seed=step)) if step % 3 else index.delete(keys)
        view = index.rows()
        assert view.positions.min(initial=0) >= 0
        assert view.positions.max(initial=0) < 20_000
        for position, vector in zip(view.positions.tolist(), view.take(view.positions).tolist(), strict=True):
            assert seen.setdefault((view.numbering, position), vector) == vector


WRITES = st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 20), min_size=1, max_size=6)), max_size=25)


@settings(max_examples=60)
@given(writes=WRITES, engine=st.sampled_from(sorted(ENGINES)))
def test_random_writes_leave_what_a_dict_would_hold(writes: list[tuple[bool, list[int]]], engine: str) -> None:
    index, truth = empty(engine), dict[int, np.ndarray]()
    for number, (stores, keys) in enumerate(writes):
        if stores:
            vectors = rows(len(keys), seed=number)
            index.upsert(np.array(keys), vectors, number)
            truth |= dict(zip(keys, vectors, strict=True))
        else:
            assert index.delete(keys, number) == len(truth.keys() & set(keys))
            truth = {key: vector for key, vector in truth.items() if key not in keys}
        assert index.applied == number
    assert index.rows().keys.tolist() == sorted(truth)
    assert len(index) == index.facts().rows == len(truth)
    assert index.contains(np.arange(21)).tolist() == [key in truth for key in range(21)]
    query = rows(1, seed=99)
    found, cosines = index.search(query, 30)
    assert recall(found, cosines, truth, query) == bool(truth)


def test_filters_are_resolved_and_follow_what_is_written(shop: Shop) -> None:
    keys, vectors, query = shop.add(rows()), rows(), rows(1, seed=1)
    tree = parse({"ids": [f"0-{number}" for number in range(10, 60)]})
    some = np.arange(10, 60)
    found, cosines = shop.collection.search(query, 80, tree)
    assert found[0, :50].tolist() == nearest(vectors[some], keys[some], query[0], 50)
    assert (found[0, 50:] == -1).all()
    assert np.isneginf(cosines[0, 50:]).all()
    view = shop.collection.rows(tree)
    assert view.keys.tolist() == keys[some].tolist()
    np.testing.assert_allclose(view.take(view.positions), vectors[some], atol=1e-6)
    shop.delete([f"0-{number}" for number in range(20, 30)])
    assert shop.collection.search(query, 80, tree)[0].max(axis=1).tolist() == [keys[59]]
    assert len(shop.collection.rows(tree).keys) == 40
    assert not len(shop.collection.rows(parse({"label": "nobody's"})).keys)
    assert (shop.collection.search(query, 3, parse({"label": "nobody's"}))[0] == -1).all()


def test_nearly_all_neighbours_are_found_among_many_rows_and_under_filters(shop: Shop) -> None:
    clouds = Clouds(DIM, seed=6)
    vectors = clouds.draw(3000)[0]
    keys = shop.add(vectors)
    shop.collection.wait()
    truth, queries = dict(zip(keys.tolist(), vectors, strict=True)), clouds.draw(30)[0]
    assert recall(*shop.collection.search(queries, 10), truth, queries) >= 0.95
    tree = parse({"not": {"ids": [f"0-{number}" for number in range(40)]}})
    left = {key: truth[key] for key in keys[40:].tolist()}
    assert recall(*shop.collection.search(queries, 10, tree), left, queries) >= 0.95


def test_it_opens_with_what_sql_holds_and_catches_up_with_what_came_to_sql_alone(shop: Shop) -> None:
    shop.add(rows(700))
    shop.delete([f"0-{number}" for number in range(0, 700, 5)])
    shop.collection.wait()
    for _ in range(2):
        shop.collection.close()
        shop.collection = shop.open()
        shop.check()
    shop.collection.wait()
    writer = shop.collection
    shop.collection = shop.open()  # what is written to this one, the first doesn't hear of
    shop.add(rows(20, seed=8))
    shop.delete([f"0-{number}" for number in range(1, 700, 5)])
    shop.collection.close()
    shop.collection = writer
    writer.catch_up()
    shop.check()
    assert writer.applied == shop.catalog.vectors.seq(APP)


def test_readers_see_whole_writes_while_others_write(index: VectorIndex) -> None:
    """Each write gives all rows one vector, so that a reader who sees two has seen half of one."""
    done, wrong = threading.Event(), list[object]()
    ways = rows(50, seed=9)
    index.upsert(KEYS, np.repeat(ways[:1], 200, axis=0))

    def read() -> None:
        while not done.is_set():
            for vectors in (index.get(KEYS), np.concatenate([vectors for _, vectors in index.iterate(30)])):
                if len(vectors) != 200 or not (vectors == vectors[0]).all():
                    wrong.append(vectors)
            keys, cosines = index.search(ways[:1], 200)
            if keys[0].tolist() != KEYS.tolist() or len(set(cosines[0].tolist())) != 1:
                wrong.append(keys)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for way in ways:
        index.upsert(KEYS, np.repeat(way[None], 200, axis=0))
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong


def test_an_app_answers_alike_by_every_engine(tmp_path: Path) -> None:
    answers = []
    for engine in ENGINES:
        with Store.open(tmp_path, collections=CollectionSettings(engine=engine)) as store:
            known = [record.name for record in store.apps()]
            app = store.app("app") if known else store.create_app("app", workflow="vectors", dim=DIM)
            if not known:
                app.add_vectors(
                    rows(), [f"x{i}" for i in range(200)], [{"a": i < 9} if i < 20 else {} for i in range(200)]
                )
            by_concept = app.search(concept="a", k=30)
            likely = app.search(vector=rows(1)[0], k=30, where={"not": {"label": "a"}})
            answers.append(
                (
                    [hit.input_id for hit in by_concept + likely],
                    [round(hit.score, 5) for hit in by_concept + likely],
                    app.suggest(n=5),
                )
            )
    assert all(answer == answers[0] for answer in answers)


def test_an_unknown_engine_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"segments, exact.* not 'hnsw'"):
        Store.open(tmp_path, collections=CollectionSettings(engine="hnsw"))
