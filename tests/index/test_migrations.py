"""The schema and its history say the same, whoever opens first, and whatever release it comes from."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, insert, inspect, select, text

from tenshot import Store
from tenshot.index.catalog import Catalog, schema
from tenshot.index.catalog.database import migration_config
from tenshot.index.errors import StoreTooNew
from tenshot.index.records import Geo, InputChange

OPEN = "import sys; from tenshot.index.catalog import Catalog; Catalog.open(sys.argv[1]).close()"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'a.db'}"


def test_the_migrations_make_what_the_tables_say(url: str) -> None:
    for _ in range(2):
        Catalog.open(url).close()
        with create_engine(url).connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_an_index_begins_with_every_column_that_names_another_row(url: str) -> None:
    Catalog.open(url).close()
    there = inspect(create_engine(url))
    for table in there.get_table_names():
        indexes: list[list[str | None]] = [index["column_names"] for index in there.get_indexes(table)]
        indexes += [[*key["column_names"]] for key in there.get_unique_constraints(table)]
        indexes.append([*there.get_pk_constraint(table)["constrained_columns"]])
        for key in there.get_foreign_keys(table):
            columns = key["constrained_columns"]
            assert any(index[: len(columns)] == columns for index in indexes), (table, columns)


def test_a_database_of_a_newer_version_is_refused(url: str) -> None:
    Catalog.open(url).close()
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew, match="9999"):
        Catalog.open(url)


def test_two_processes_may_open_a_new_database_at_once(url: str) -> None:
    running = [subprocess.Popen([sys.executable, "-c", OPEN, url]) for _ in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    Catalog.open(url).close()


def test_opening_waits_for_another_that_is_about_to_write(url: str, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    leaving = threading.Timer(0.3, other.close)
    leaving.start()
    Catalog.open(url).close()
    leaving.join()


REVISIONS = sorted(one.revision for one in ScriptDirectory.from_config(migration_config()).walk_revisions())


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of today with something in nearly every table."""
    folder = tmp_path_factory.mktemp("lived") / "data"
    with Store.open(folder) as store:
        app = store.create_app("a", "vectors", dim=8)
        rows = np.random.default_rng(0).normal(size=(40, 8))
        labels = [{"yes": i % 2 == 0} if i < 10 else {} for i in range(40)]
        app.add_vectors(rows, [f"x{i}" for i in range(40)], labels)
        app.update_many([InputChange("x1", {"n": [1, None]}, Geo(1.5, -2))])
        app.label("x3", {"yes": None, "other": True})
        app.create_model("m", ["yes", "other"], settings={"k": 1})
        app.create_version("m")
        app.set_thresholds({"yes": 0.25}, "m")
        app.keep_feedback("search", {"id": "s"}, {"said": "well"})
        app.delete("x9")
    return folder


def _as_of(revision: str, lived_in: Path, folder: Path) -> None:
    """The same folder as the release with that schema would have left it."""
    folder.mkdir()
    shutil.copytree(lived_in / "blobs", folder / "blobs")
    now, then = (create_engine(f"sqlite:///{path / 'tenshot.db'}") for path in (lived_in, folder))
    config = migration_config()
    with then.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    old = MetaData()
    old.reflect(then)
    with now.connect() as source, then.begin() as target:
        for table in schema.metadata.sorted_tables:
            if table.name in old.tables and table.name in inspect(now).get_table_names():
                columns = [column for column in table.c if column.name in old.tables[table.name].c]
                rows = [dict(row._mapping) for row in source.execute(select(*columns))]
                # As the release wrote them: through the types of the tables, which have not changed.
                if rows:
                    target.execute(insert(table), rows)
    now.dispose()
    then.dispose()


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_folder_of_every_release_opens_with_all_that_it_had(lived_in: Path, tmp_path: Path, revision: str) -> None:
    _as_of(revision, lived_in, tmp_path / "data")
    queries = np.random.default_rng(1).normal(size=(5, 8))
    with Store.open(lived_in) as expected, Store.open(tmp_path / "data") as store:
        app, other = store.app("a"), expected.app("a")
        assert app.inputs() == other.inputs()
        assert app.models() == other.models()
        assert store.catalog.problems() == []
        version = other.versions("m")[0]
        for id in (None, version.id):
            found, wanted = (one.predict_vectors(queries, "m", version=id) for one in (app, other))
            assert found.concept_ids == wanted.concept_ids
            assert found.values.tolist() == wanted.values.tolist()
        assert app.search(vector=queries[0], k=40) == other.search(vector=queries[0], k=40)
        assert app.feedback() == (other.feedback() if revision >= "0002" else [])
        assert app.thresholds("m")["yes"] == (0.25 if revision >= "0003" else 0.5)
        app.label("x20", {"yes": True})
        app.delete("x3")
        app.export(tmp_path / "out")
    with create_engine(f"sqlite:///{tmp_path / 'data' / 'tenshot.db'}").connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
