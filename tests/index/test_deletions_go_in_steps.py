"""Deletions take turns with other writes: many short transactions, each of which leaves something whole."""

import numpy as np
import pytest
from transactions import transactions

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.catalog import inputs


@pytest.fixture
def full(app: App) -> App:
    """1,300 inputs of which the first 100 have 50 labels each."""
    labels = [{f"c{n}": n % 2 == 0 for n in range(50)} if row < 100 else {} for row in range(1300)]
    app.add_vectors(np.random.default_rng(0).normal(size=(1300, 8)), [f"x{row}" for row in range(1300)], labels)
    return app


@pytest.mark.parametrize("everything", [True, False])
def test_no_transaction_of_a_large_deletion_is_large(store: Store, full: App, everything: bool) -> None:
    ids = [f"x{row}" for row in range(1300)]
    with transactions(store) as begun:
        assert (full.delete_all() if everything else full.delete(ids)) == 1300
    for statement, total, most in (("DELETE FROM inputs", 1300, 500), ("INSERT INTO label_events", 5000, 2000)):
        counts = [one.rows[statement] for one in begun]
        assert sum(counts) == total
        assert max(counts) <= most
    assert full.inputs() == []
    assert full.label_counts() == {}
    assert full.search(vector=np.eye(8)[0]) == []


def test_an_id_that_is_named_twice_is_deleted_once(full: App) -> None:
    assert full.delete(["x0", "x1", *(f"nobody{n}" for n in range(5000)), "x0"]) == 2
    assert full.existing(["x0", "x1", "x2"]) == {"x2"}


def test_what_is_added_while_all_is_deleted_stays(full: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_IDS", 100)
    listed = full.state().catalog.inputs.all_ids(full.id)
    ids = next(listed)
    full.add_vectors([[1] * 8], ["new"])
    ids += [id for part in listed for id in part]
    assert ids == [f"x{row}" for row in range(1300)]


def test_labels_of_deleted_inputs_are_taken_back_in_their_log(store: Store, full: App) -> None:
    before = store.catalog.labels.seq(full.id)
    full.delete(["x0", "x1", "x500"])
    with store.catalog.transfers.reading(full.id) as rows:
        log = [row for part in rows.table("label_events", 1000) for row in part if row["seq"] > before]
    assert {row["concept"] for row in log} == {f"c{n}" for n in range(50)}
    assert [(row["value"], row["source"], row["seq"], row["input"]) for row in log] == [
        (None, "user", before + 1, None)
    ] * 100
    assert store.catalog.labels.seq(full.id) == before + 1
