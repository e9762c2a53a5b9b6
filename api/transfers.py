"""An app on its way out, as a tar that is made while it is read; and in again, as a new app."""

import tempfile
import threading
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from ..embeddings.batcher import Busy
from ..index.transfer.exporting import ExportFormat
from .access import Admin, Reader
from .answers import AppsAnswer, Json, app_out, ok
from .route import new_router

router = new_router("/v2", "export and import")
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


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/export", response_class=Response, responses=_DOCUMENTED)
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


@router.post("/users/{user}/import", response_model=AppsAnswer, openapi_extra=_BODY)
async def import_app(user: str, request: Request, store: Admin, name: str | None = None) -> Json:
    """Makes a new app of a whole export, as it was; keys are not in it. name: another than it had.

    The body is the tar. Larger ones than a request may be are for `tenshot import`.
    """
    # Without a name in the folder, so that nothing is left of one that breaks off.
    with tempfile.TemporaryFile(dir=store.path) as file:
        async for block in request.stream():
            await run_in_threadpool(file.write, block)
        file.seek(0)
        made = await run_in_threadpool(store.import_app, file, name)
    return ok(apps=[app_out(made.app, user)])


def _counted(blocks: Iterator[bytes], turns: Any) -> Iterator[bytes]:
    try:
        yield from blocks
    finally:
        turns.release()
