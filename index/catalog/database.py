"""One SQL database: connections, transactions, migrations."""

import os
import re
import sqlite3
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...runtime.trace import stage
from ..errors import AppNotFound, BadArchive, NoDatabase, NotSupported, StorageFailed, StoreBusy, StoreTooNew
from ..storage.files import make_file
from ..storage.lease import Lease
from .fair_lock import FairLock
from .read_cache import ReadCache

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

_PATIENCE_S = 10.0
_READERS = 48
"""Connections for reading at most: more than there are threads that read."""
_PRAGMAS = (
    f"PRAGMA busy_timeout = {round(1000 * _PATIENCE_S)}",
    # A commit is on the disk when it returns: what was acknowledged survives a power cut.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -65536",
    # Code that a schema runs may do nothing dangerous; ours runs none.
    "PRAGMA trusted_schema = OFF",
)
_PATIENCE = "patience"
_MIGRATION_LOCK = 0x7E45407
_PLAIN_TABLE = re.compile(r"CREATE TABLE\s", re.IGNORECASE)
_IN_LIST = 5_000
"""Values in one IN list; SQLite takes 32,766 parameters."""


class Database:
    """An engine with its schema up to date.

    SQLite allows one writer at a time, and readers wait for nobody. So there is one connection for writing, which
    threads take in turn, and there are others for reading.
    """

    def __init__(self, location: str | Path, *, make: bool = True) -> None:
        """location: an SQLite file, or an SQLAlchemy URL. Migrates the schema, and creates a missing one if `make`.

        Raises StoreTooNew for a schema from the future, NoDatabase, StoreBusy and StorageFailed.
        """
        url = _url(location)
        # Errors are logged, so they must not contain stored values.
        if url.get_backend_name() == "sqlite":
            _prepare_file(url, make)
            local = {"check_same_thread": False}
            pool = {"pool_size": 5, "max_overflow": _READERS - 5, "pool_timeout": _PATIENCE_S}
            self._engine = create_engine(url, hide_parameters=True, connect_args=local, **pool)
            event.listen(self._engine, "connect", _configure_reader)
            event.listen(self._engine, "begin", _begin_reading)
            self._writer = create_engine(url, hide_parameters=True, connect_args=local, pool_size=1, max_overflow=0)
            event.listen(self._writer, "connect", _configure)
            event.listen(self._writer, "begin", _begin_writing)
        else:
            self._engine = self._writer = create_engine(url, hide_parameters=True, pool_timeout=_PATIENCE_S)
        self._turns = FairLock()
        self._lease = Lease("its database")
        # A connection that never writes: its `PRAGMA data_version` changes when any other connection commits.
        self._watcher: Any = None
        self._cache = ReadCache(self._version if self.dialect == "sqlite" else None)
        try:
            with _own_errors():
                _migrate(self._engine, self._writer, make)
        except BaseException:
            self.close()
            raise

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view, whatever others write meanwhile. Raises StoreBusy where no connection is free."""
        self._lease.check()
        with _own_errors(), stage("sql read"), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, patience: float | None = None) -> Iterator[Connection]:
        """One transaction. patience: seconds to wait for other writers, by default ten; 0 if the write may be skipped.
        Raises StoreBusy where others write for longer, StorageFailed where the disk is full; then nothing is written.
        """
        try:
            with (
                _own_errors(),
                self._lease.writing(),
                stage("sql write"),
                self._turn(_PATIENCE_S if patience is None else patience) as remaining,
                self._writer.connect().execution_options(**{_PATIENCE: remaining}) as connection,
                connection.begin(),
            ):
                yield connection
        finally:
            self._cache.wrote()

    @contextmanager
    def _turn(self, patience: float) -> Iterator[float]:
        """Waits for this process's other writers; gives the seconds of patience that remain for other processes."""
        if self.dialect != "sqlite":
            yield patience
            return
        # SQLite alone is unfair: a waiting writer polls each tenth of a second, and may find another one writing.
        start = time.monotonic()
        if not self._turns.acquire(patience):
            raise StoreBusy("the database is busy: others in this process are writing; try again")
        try:
            yield max(patience - (time.monotonic() - start), 0)
        finally:
            self._turns.release()

    def cache_counts(self) -> tuple[int, int]:
        """Hits and misses of the read cache."""
        return self._cache.hits, self._cache.misses

    def copy_to(self, path: Path) -> None:
        """Writes a snapshot of the database into a new SQLite file; others may write meanwhile.

        Raises NotSupported for other databases, which have their own tools for that.
        """
        self._lease.check()
        self._check_sqlite("be backed up by tenshot: use pg_dump, and back up the pictures beside it")
        make_file(path)
        source = self._engine.raw_connection()
        target = sqlite3.connect(path.absolute())
        try:
            # In one step: SQLite copies one snapshot, and writers go on.
            source.driver_connection.backup(target)  # type: ignore[union-attr]
        except sqlite3.OperationalError as error:
            raise StorageFailed(f"the database can't be copied to {path}: {error}") from error
        finally:
            target.close()
            source.close()

    def problems(self) -> list[str]:
        """Faults that SQLite finds in its file, and rows that refer to missing rows."""
        self._check_sqlite("be checked by tenshot")
        with self.read() as connection:
            problems = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
            lost = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA foreign_key_check")]
        problems = [] if problems == ["ok"] else problems
        return problems + [f"rows of {table} name rows that are not there" for table in dict.fromkeys(lost)]

    def _check_sqlite(self, action: str) -> None:
        if self.dialect != "sqlite":
            raise NotSupported(f"a {self.dialect} database can't {action}")

    def cached(self, key: Hashable, load: Callable[[], T]) -> T:
        """The result of load, read-only, remembered until any process commits something."""
        self._lease.check()
        return self._cache.get(key, load)

    def cached_many(self, kind: str, keys: Iterable[K], load: Callable[[list[K]], dict[K, T]]) -> dict[K, T]:
        """The same for many keys at once; load gives those that exist."""
        self._lease.check()
        return self._cache.get_many(kind, keys, load)

    def _version(self) -> object:
        with _own_errors():
            if self._watcher is None:
                self._watcher = self._engine.raw_connection()
            return self._watcher.driver_connection.execute("PRAGMA data_version").fetchone()

    def close(self) -> None:
        """Waits for writes in progress; afterwards everything raises StoreClosed. May be called again."""
        self._lease.end()
        self._cache.forget()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.close()
        self._engine.dispose()
        self._writer.dispose()


_DISK = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
}


_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NO_SUCH_KEY = "23503"
"""PostgreSQL's error code for a foreign key without its row."""


@contextmanager
def _own_errors() -> Iterator[None]:
    """Turns a database's errors about its disk and its locks into errors of our tree."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        extended = getattr(cause, "sqlite_errorcode", 0)
        code = extended & 0xFF
        if extended == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY or getattr(cause, "sqlstate", None) == _NO_SUCH_KEY:
            # A writer has looked up all that its row names, so in PostgreSQL another process has since deleted the app.
            raise AppNotFound("the app has been deleted") from error
        if code in _DISK:
            raise StorageFailed(f"the database can't be written: {cause}") from error
        if code in _BUSY:
            raise StoreBusy("the database is busy: another process is writing; try again") from error
        raise
    except PoolTimeout as error:
        raise StoreBusy("the database is busy: all connections are in use; try again") from error


def chunks(values: Sequence[T]) -> Iterator[list[T]]:
    """Lists short enough for an IN."""
    source = iter(values)
    while chunk := list(islice(source, _IN_LIST)):
        yield chunk


def _configure(connection: Any, _record: object) -> None:
    # The driver would begin transactions by its own rules; `_begin_reading` and `_begin_writing` do so instead.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    _write_ahead(connection)


def _configure_reader(connection: Any, record: object) -> None:
    _configure(connection, record)
    connection.execute("PRAGMA query_only = ON")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switches the file to a write-ahead log, for good.

    SQLite doesn't wait for locks in this one statement, so processes that open a new file at once must try again.
    """
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _url(location: str | Path) -> URL:
    """A Path is taken literally: ? and % mean nothing in it, and it is absolute, since SQLite parses `file:...`."""
    return (
        URL.create("sqlite", database=os.path.abspath(location)) if isinstance(location, Path) else make_url(location)
    )


def _prepare_file(url: URL, make: bool) -> None:
    """Makes a new file private from the start; SQLite gives its log the same mode. Raises NoDatabase."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        return
    file = Path(url.database)
    if not make and not file.exists():
        raise NoDatabase(f"there is no database at {file}")
    with suppress(OSError):  # SQLite's own message is clearer
        make_file(file)


def legacy_path(path: Path) -> Path | None:
    """The file that the first releases made for this path: they read its ? or % as parts of a URL. None: no such."""
    before = make_url(f"sqlite:///{path}").database
    return Path(before) if before and Path(before) != path and Path(before).is_file() else None


@contextmanager
def untrusted_database(path: Path) -> Iterator[None]:
    """Guards work with an SQLite file from an unknown source: raises BadArchive for whatever is wrong with it.

    Also for a schema that runs code: views, triggers, virtual tables and computed columns, of which ours has none.
    """
    try:
        with closing(sqlite3.connect(path.absolute())) as connection:
            _check_kinds(connection)
        yield
    except (NoDatabase, SQLAlchemyError, CommandError, sqlite3.Error, ValueError, TypeError, LookupError) as error:
        message = str(getattr(error, "orig", error)).partition("\n")[0]
        raise BadArchive(f"the database holds what tenshot didn't write: {message}") from error


def _check_kinds(connection: sqlite3.Connection) -> None:
    """Raises BadArchive."""
    connection.execute("PRAGMA trusted_schema = OFF")
    for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall():
        if kind not in ("table", "index") or (kind == "table" and not _PLAIN_TABLE.match(str(sql))):
            raise BadArchive(f"the database has a {kind} {name!r} that tenshot didn't make")
        computed = connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden", (name,)).fetchone()
        if computed:
            raise BadArchive(f"the database has a computed column {name}.{computed[0]} that tenshot didn't make")


def _begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_writing(connection: Connection) -> None:
    patience = connection.get_execution_options().get(_PATIENCE, _PATIENCE_S)
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(1000 * patience)}")
    # A writer locks the database at once, rather than failing halfway when another was faster.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def migration_config() -> Config:
    """Where the schema's history is."""
    config = Config()
    config.set_main_option("script_location", "tenshot.index:migrations")
    return config


def _migrate(engine: Engine, writer: Engine, make: bool) -> None:
    config = migration_config()
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head()
    with engine.connect() as connection, connection.begin():
        current = MigrationContext.configure(connection).get_current_revision()
    if current == head:
        return
    if current is None and not make:
        raise NoDatabase(f"there is no database of tenshot at {engine.url}")
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise StoreTooNew(
            f"the database has schema {current}, made by a newer tenshot, and this one knows {head}; there is no way "
            f"back: install the newer one again, or restore a backup from before"
        )
    # One transaction for all steps: two processes that open at once take turns, and a crash leaves the old schema.
    with writer.connect() as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
