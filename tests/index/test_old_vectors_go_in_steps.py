"""The vectors of a base workflow that an app doesn't see with any more go in short transactions, also after a crash."""

import time
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pytest
from transactions import transactions

from tenshot import Store
from tenshot.embeddings.workflows import recipe_of
from tenshot.index.catalog import Catalog
from tenshot.index.records import ChangeState, NewInput, WorkflowChange

APP = "a" * 32
OLD, NEW = (asdict(recipe_of(workflow)) for workflow in ("general", "general-fast"))


@pytest.fixture
def catalog(store: Store) -> Catalog:
    """1,300 inputs with pictures, all of which have a vector of the workflow that they are to be seen with."""
    catalog = store.catalog
    catalog.apps.create(APP, "app", OLD, OLD["dim"])
    row = np.ones(4, dtype=np.float32)
    catalog.inputs.add(APP, [NewInput(f"x{n}", row, sha256="0" * 64) for n in range(1300)])
    return catalog


def begun(catalog: Catalog) -> WorkflowChange:
    change = catalog.workflow_changes.begin(APP, NEW)
    missing = catalog.workflow_changes.missing(APP, NEW["workflow"], 2000)
    catalog.workflow_changes.store(change, {key: np.ones(4, dtype=np.float32) for key, _, _ in missing})
    return change


def vectors(catalog: Catalog) -> dict[str, int]:
    with catalog._database.read() as connection:
        query = "SELECT workflow, count(*) FROM vectors GROUP BY workflow"
        return {row[0]: row[1] for row in connection.exec_driver_sql(query)}


@pytest.mark.parametrize("switched", [True, False])
def test_no_transaction_deletes_more_than_some_vectors(store: Store, catalog: Catalog, switched: bool) -> None:
    change = begun(catalog)
    with transactions(store) as all:
        if switched:
            assert catalog.workflow_changes.switch(APP, change, {})
        else:
            assert catalog.workflow_changes.give_up(APP, ChangeState.CANCELLED)
        catalog.workflow_changes.delete_unused_vectors(APP)
    assert vectors(catalog) == {(NEW if switched else OLD)["workflow"]: 1300}
    assert max(one.changes for one in all) <= 501
    assert catalog.workflow_changes.apps_with_unused_vectors() == []


def test_what_is_left_of_a_change_is_no_progress_of_the_next_one(catalog: Catalog) -> None:
    begun(catalog)
    catalog.workflow_changes.give_up(APP, ChangeState.CANCELLED)
    assert catalog.workflow_changes.begin(APP, NEW).done == 0
    assert len(catalog.workflow_changes.missing(APP, NEW["workflow"], 2000)) == 1300


def test_what_a_crash_left_goes_when_the_folder_is_opened(store: Store, catalog: Catalog) -> None:
    catalog.workflow_changes.switch(APP, begun(catalog), {})
    steps: Iterator[bool] = iter([False, True])
    catalog.workflow_changes.delete_unused_vectors(APP, lambda: next(steps))
    assert vectors(catalog) == {OLD["workflow"]: 800, NEW["workflow"]: 1300}
    store.close()
    with Store.open(store.path) as again:
        while again.catalog.workflow_changes.apps_with_unused_vectors():
            time.sleep(0.01)
        assert vectors(again.catalog) == {NEW["workflow"]: 1300}
