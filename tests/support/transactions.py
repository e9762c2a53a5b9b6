"""What each write transaction of a store does."""

import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, event

from tenshot import Store
from tenshot.index.catalog.database import Database

_WRITE = re.compile(r"(DELETE FROM|INSERT INTO|UPDATE) (\w+)")


@dataclass
class Transaction:
    thread: threading.Thread = field(default_factory=threading.current_thread)
    rows: Counter[str] = field(default_factory=Counter)
    """`DELETE FROM labels` and so on -> how many rows, without those that cascade or are returned."""
    changes: int = 0
    """How many rows were written or deleted, all of them."""


@contextmanager
def transactions(store: Store) -> Iterator[list[Transaction]]:
    """Grows by one with each that begins."""
    database: Database = store.catalog._database  # the engine has no other door
    writer = database._writer
    begun: list[Transaction] = []

    def total(connection: Connection) -> int:
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        return driver.total_changes

    def begin(connection: Connection) -> None:
        begun.append(Transaction(changes=-total(connection)))

    def commit(connection: Connection) -> None:
        begun[-1].changes += total(connection)

    def ran(_connection: Connection, cursor: object, statement: str, *_rest: object) -> None:
        if write := _WRITE.match(statement):
            begun[-1].rows[write[0]] += max(cursor.rowcount, 0)  # type: ignore[attr-defined]

    event.listen(writer, "begin", begin)
    event.listen(writer, "commit", commit)
    event.listen(writer, "after_cursor_execute", ran)
    try:
        yield begun
    finally:
        event.remove(writer, "begin", begin)
        event.remove(writer, "commit", commit)
        event.remove(writer, "after_cursor_execute", ran)
