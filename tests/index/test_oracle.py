"""Random operations, each answer held against NumPy: adds, updates, deletes, filters, seals, kills, reopens.

`pytest tests/index/test_oracle.py --long` does a hundred thousand.
"""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from clouds import SMALL, Clouds, recall
from shop import APP, EAGER, Shop

from tenshot.index.store import Store
from tenshot.index.vectors.collection import Collection
from tenshot.index.vectors.settings import CollectionSettings

ROOT = Path(__file__).parents[2]


class Oracle:
    """What NumPy knows, and how well the searches did."""

    def __init__(self) -> None:
        self.rows: dict[int, np.ndarray] = {}
        self.found: list[float] = []
        self.filtered: list[float] = []

    def search(self, collection: Collection, clouds: Clouds) -> None:
        """One search: everything about it is checked but which near rows it found, which is counted."""
        rng = clouds.rng
        queries, k = clouds.draw(int(rng.integers(1, 4)))[0], int(rng.choice([1, 5, 10, 10, 10, 40]))
        if rng.random() < 0.5:
            self.found.append(recall(*collection.search(queries, k), self.rows, queries))
            return
        keys = np.array(sorted(self.rows), dtype=np.int64)
        if rng.random() < 0.5:  # those near a direction, whether or not the queries are
            near = np.array([self.rows[key] @ clouds.draw(1)[0][0] > 0.2 for key in keys.tolist()], dtype=bool)
        else:
            near = rng.random(len(keys)) < rng.choice([0.003, 0.05, 0.3, 0.8])
        left = {key: self.rows[key] for key in keys[near].tolist()}
        unknown = rng.integers(10**7, 10**8, 3)
        answer = collection.search(queries, k, collection.filter(np.concatenate([keys[near], unknown])))
        if left:
            self.filtered.append(recall(*answer, left, queries))
        else:
            assert (answer[0] == -1).all()

    def check(self, collection: Collection) -> None:
        """Which rows there are, and what they are."""
        keys = np.array(sorted(self.rows), dtype=np.int64)
        np.testing.assert_array_equal(collection.rows().keys, keys)
        assert len(collection) == len(keys)
        assert collection.contains(np.array([-1, 10**9])).tolist() == [False, False]
        if len(keys):
            np.testing.assert_allclose(collection.get(keys), [self.rows[key] for key in keys.tolist()], atol=1e-6)

    def judge(self) -> None:
        """Nearly all neighbours were found."""
        assert np.mean(self.found) >= 0.95
        assert np.mean(self.filtered) >= 0.95


def test_a_collection_in_memory_is_right_through_random_operations(long: bool) -> None:
    clouds, oracle = Clouds(seed=1), Oracle()
    collection, rng, kinds = Collection(clouds.dim, SMALL), clouds.rng, set[str]()
    for step in range(60_000 if long else 1500):
        kind = rng.random()
        grow = step % 1000 < 600  # rows come for a while, then go
        if kind < 0.5:
            if grow:
                keys = rng.integers(0, 20_000, rng.integers(1, 12))  # some are known: an update
                made = clouds.draw(len(keys))[0]
                collection.upsert(keys, made)
                oracle.rows |= dict(zip(keys.tolist(), made, strict=True))
            elif oracle.rows:
                known = np.array(list(oracle.rows))
                keys = np.append(rng.choice(known, min(8, len(known)), replace=False), 10**9)
                assert collection.delete(keys) == len(keys) - 1
                for key in keys[:-1].tolist():
                    del oracle.rows[key]
        elif kind < 0.55:
            oracle.check(collection)
        elif kind < 0.56:
            collection.wait()
        else:
            oracle.search(collection, clouds)
        kinds.add(collection.kind)
    assert len(kinds) >= 2
    oracle.judge()


def test_a_collection_on_the_disk_is_right_through_random_operations_and_reopens(tmp_path: Path, long: bool) -> None:
    clouds, oracle = Clouds(seed=2), Oracle()
    rng, shop, kinds, reopened = clouds.rng, Shop(tmp_path), set[str](), 0
    names: dict[int, str] = {}
    for step in range(40_000 if long else 500):
        kind = rng.random()
        grow = step % 800 < 500
        if kind < 0.4:
            if grow:
                made = clouds.draw(int(rng.integers(1, 40)))[0]
                keys = shop.add(made)
                oracle.rows |= dict(zip(keys.tolist(), made, strict=True))
                seq = shop.catalog.vectors.seq(APP) - 1
                names |= {key: f"{seq}-{i}" for i, key in enumerate(keys.tolist())}
            elif oracle.rows:
                known = rng.choice(np.array(list(oracle.rows)), min(30, len(oracle.rows)), replace=False)
                assert sorted(shop.delete([names[key] for key in known.tolist()]).tolist()) == sorted(known.tolist())
                for key in known.tolist():
                    del oracle.rows[key]
        elif kind < 0.42:
            shop.collection.wait()
        elif kind < 0.43:
            reopened += 1
            if rng.random() < 0.5:
                shop.collection.close()
            else:  # nothing is written at the end
                shop.collection._maintenance._stopped = True
                shop.collection.wait()
            shop.collection = shop.open()
            oracle.check(shop.collection)
        elif kind < 0.47:
            oracle.check(shop.collection)
        else:
            oracle.search(shop.collection, clouds)
        kinds.add(shop.collection.kind)
    assert reopened
    assert len(kinds) >= 2
    oracle.judge()
    shop.__exit__()


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from clouds import Clouds
from shop import APP, Shop
clouds = Clouds(seed=int(sys.argv[3]))
with Shop(Path(sys.argv[1])) as shop:
    while True:
        keys = shop.add(clouds.draw(60)[0])
        print("added", *keys, flush=True)
        if clouds.rng.random() < 0.6:
            page = shop.catalog.inputs.page(APP, int(clouds.rng.integers(0, 500)), 40)
            print("deleted", *shop.delete([one.id for one in page]), flush=True)
"""


def test_what_a_killed_process_acknowledged_is_there_and_what_it_deleted_is_not(tmp_path: Path, long: bool) -> None:
    there: set[int] = set()
    for turn in range(40 if long else 2):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(ROOT / "tests" / "support"), str(turn)]
        lines = int(np.random.default_rng(turn).integers(20, 90))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            said = [writer.stdout.readline() for _ in range(lines)]
            writer.send_signal(signal.SIGKILL)
            said += writer.stdout.readlines()
        for line in said:
            what, *keys = line.split() if line.endswith("\n") else [""]
            there = there | set(map(int, keys)) if what == "added" else there - set(map(int, keys))
        with Shop(tmp_path) as shop:
            shop.check()
            left = set(shop.collection.rows().keys.tolist())
            # The last change may have been committed without anybody hearing of it.
            assert len(there - left) <= 40
            assert len(left - there) <= 60
            there = left
            shop.collection.wait()
            shop.check()


def test_two_apps_with_the_same_ids_never_see_each_others_rows_through_deletes_returns_and_reopens(
    tmp_path: Path, long: bool
) -> None:
    clouds, settings = Clouds(seed=6), CollectionSettings(sizes=EAGER)
    rng, known = clouds.rng, {name: dict[str, np.ndarray]() for name in ("one", "other")}
    store, found = Store.open(tmp_path, collections=settings), list[float]()
    for name in known:
        store.create_app(name, workflow="vectors", dim=clouds.dim)
    for _ in range(4000 if long else 100):
        name = "one" if rng.random() < 0.5 else "other"
        app, rows, kind = store.app(name), known[name], rng.random()
        if kind < 0.45:
            ids = [f"i{number}" for number in rng.choice(3000, 60, replace=False) if f"i{number}" not in rows]
            made = clouds.draw(len(ids))[0]
            app.add_vectors(made, ids=ids)
            rows |= dict(zip(ids, made, strict=True))
        elif kind < 0.6 and rows:
            gone = rng.choice(sorted(rows), min(40, len(rows)), replace=False).tolist()
            app.delete(gone)
            # Half of them come back at once, as something else.
            back, made = gone[::2], clouds.draw(len(gone[::2]))[0]
            app.add_vectors(made, ids=back)
            for one in gone:
                del rows[one]
            rows |= dict(zip(back, made, strict=True))
        elif kind < 0.65:
            store.close()
            store = Store.open(tmp_path, collections=settings)
        else:
            queries = clouds.draw(3)[0]
            answer = app.search_vectors(queries, k=10)
            known_ids = np.array(sorted(rows))
            truth = queries @ np.stack([rows[one] for one in known_ids.tolist()]).T if rows else np.empty((3, 0))
            for given, scores, every in zip(answer.ids, answer.scores, truth, strict=True):
                width = min(10, len(rows))
                assert len(set(given)) == len(given) == width
                np.testing.assert_allclose(scores[:width], every[np.searchsorted(known_ids, given)], atol=1e-5)
                if width:
                    found.append(float((scores[:width] >= np.sort(every)[-width] - 1e-5).mean()))
    assert np.mean(found) >= 0.95
    store.close()
