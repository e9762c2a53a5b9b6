"""An app on its way out, as a tar that is made while it is read."""

import threading
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from ..embeddings.batcher import Busy
from ..index.transfer.exporting import ExportFormat
from .access import Reader
from .route import new_router

router = new_router("/v2/export", "export")
AT_ONCE = 4
"""Exports that are read at the same time: each holds one moment of the database until it ends."""

Format = Annotated[
    ExportFormat,
    Query(description="`folder`: the whole app, as Parquet and pictures; else its pictures and labels alone."),
]


_TAR = "application/x-tar"
_DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {"content": {_TAR: {"schema": {"type": "string", "format": "binary"}}}, "description": "The tar."}
}


@router.get("", response_class=Response, responses=_DOCUMENTED)
def export(caller: Reader, request: Request, format: Format = ExportFormat.FOLDER) -> StreamingResponse:
    """Everything that the app has, as of one moment: `tenshot import` makes the same app of it elsewhere.

    One that breaks off on the way has no `tenshot.json` at its end, and is refused there.
    """
    turns: threading.BoundedSemaphore = request.app.state.exports
    if not turns.acquire(blocking=False):
        raise Busy(f"{AT_ONCE} exports are being read already; try again when one has ended")
    blocks = _counted(caller.app.export_stream(format), turns)
    # The first one is made now: what goes wrong then still has a status.
    first = next(blocks)
    name = quote(f"{caller.app.name}-{format}.tar", safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return StreamingResponse(chain([first], blocks), media_type=_TAR, headers=headers)


def _counted(blocks: Iterator[bytes], turns: Any) -> Iterator[bytes]:
    try:
        yield from blocks
    finally:
        turns.release()
