"""The schema and its history say the same, whoever opens first."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from tenshot.index.catalog import Catalog, schema
from tenshot.index.errors import StoreTooNew

OPEN = "import sys; from tenshot.index.catalog import Catalog; Catalog.open(sys.argv[1]).close()"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'a.db'}"


def test_the_migrations_make_what_the_tables_say(url: str) -> None:
    for _ in range(2):
        Catalog.open(url).close()
        with create_engine(url).connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


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
