"""Work on rows that failed is tried again, a few times and later each time."""

import time
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Table, select, update


def put_off(connection: Connection, table: Table, row: ColumnElement[bool], delays: Sequence[float]) -> bool:
    """After a try that failed, the row is due again when the next of these seconds, or the last ones, are over.

    False if there have been as many tries as delays, so that it should be given up.
    """
    attempts = connection.scalar(select(table.c.attempts).where(row))
    if attempts is None:
        return True  # nothing waits there any more
    seconds = delays[min(attempts, len(delays) - 1)]
    connection.execute(update(table).where(row).values(attempts=attempts + 1, due=time.time() + seconds))
    return bool(attempts < len(delays))
