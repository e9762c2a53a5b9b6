"""Ctrl-C at any line of a write, a seal or a snapshot: afterwards all is as if it had been done, or had not."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from clouds import Clouds, recall
from interrupts import interrupted
from shop import APP, EAGER, Shop

from tenshot.index.store import Store
from tenshot.index.vectors.segments.worker import Worker
from tenshot.index.vectors.settings import CollectionSettings

MEMORY = ("index/vectors/collection.py", "index/vectors/segments/")


def test_a_collection_works_on_after_interrupts_of_adds_deletes_seals_and_snapshots(
    tmp_path: Path, long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "want", lambda *_: None)  # what is due is done here, where it can be interrupted
    clouds, interrupts = Clouds(seed=3), 0
    rng = clouds.rng
    with Shop(tmp_path) as shop:
        shop.add(clouds.draw(700)[0])
        maintenance = shop.collection._maintenance
        call: Callable[[], object]
        while interrupts < (5000 if long else 60):
            seq = shop.catalog.vectors.seq(APP)
            kind = rng.random()
            if kind < 0.5:
                call = partial(shop.add, clouds.draw(int(rng.integers(1, 8)))[0])
            elif kind < 0.75:
                ids = [one.id for one in shop.catalog.inputs.page(APP, int(rng.integers(0, 400)), 3)]
                call = partial(shop.delete, ids)
            else:
                call = maintenance._work if kind < 0.95 else maintenance._seal
            interrupts += interrupted(call, MEMORY, int(rng.integers(0, 60 if kind < 0.75 else 400)))
            if shop.catalog.vectors.seq(APP) != seq:
                shop.collection.catch_up()
            if rng.random() < 0.1:
                shop.check()
        shop.check()
        queries = clouds.draw(100)[0]
        assert recall(*shop.collection.search(queries, 10), shop.in_sql(), queries) >= 0.95
        while maintenance._due():
            maintenance._work()
            maintenance._seal()
        shop.check()
        assert shop.snapshots
    with Shop(tmp_path) as again:
        again.check()


def test_an_app_equals_sql_after_an_interrupt_at_any_line_of_a_write(tmp_path: Path, long: bool) -> None:
    clouds, number = Clouds(seed=4), 0
    files = ("index/app/", *MEMORY)
    with Store.open(tmp_path, collections=CollectionSettings(sizes=EAGER)) as store:
        app = store.create_app("a", workflow="vectors", dim=clouds.dim)
        app.add_vectors(clouds.draw(30)[0], [f"x{i}" for i in range(30)], [{"c": i % 2 == 0} for i in range(30)])

        def add() -> None:
            app.add_vectors(clouds.draw(2)[0], [f"{number}-0", f"{number}-1"], [{"c": True}, {"d": False}])

        def change() -> None:
            app.label_many({"x1": {"c": number % 2 == 0, "e": True}, "x2": {"d": number % 3 == 0}})

        for call in (add, change, lambda: app.delete([app.inputs()[-1].id, "x3"])):
            after = 0
            while interrupted(call, files, after):
                number, after = number + 1, after + (1 if long else 7)
                stored = {one.id: one for one in app.inputs(per_page=10_000)}
                [found] = app.search_vectors(clouds.draw(1)[0], k=10_000).ids
                assert sorted(found) == sorted(stored)
                taught = app.state().teacher.labels_of(["c", "d", "e"])
                for concept, labels in taught.items():
                    wanted = {one.key: one.concepts[concept] for one in stored.values() if concept in one.concepts}
                    assert dict(labels) == wanted
            assert after > 10
