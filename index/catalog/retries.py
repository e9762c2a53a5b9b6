"""Retries: work on a row that failed is tried again, a few times and with longer delays."""

import time
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Table, select, update


def put_off(connection: Connection, table: Table, row: ColumnElement[bool], delays: Sequence[float]) -> bool:
    """After a failed attempt: the row is due again after the next of the delays (seconds), or after the last one.

    False if there have been as many attempts as delays: the caller should give up.
    """
    attempts = connection.scalar(select(table.c.attempts).where(row))
    if attempts is None:
        return True  # the row no longer waits
    seconds = delays[min(attempts, len(delays) - 1)]
    connection.execute(update(table).where(row).values(attempts=attempts + 1, due=time.time() + seconds))
    return bool(attempts < len(delays))
