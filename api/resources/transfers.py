"""An app on its way out, as a tar that is made while it is read; and in again, as a new app."""

import tempfile
import threading
from collections.abc import Generator
from typing import Annotated, Any
from urllib.parse import quote

from anyio import to_thread
from fastapi import Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from ...index.transfer.exporting import ExportFormat
from ..wire.responses import Json, app_out, ok
from ..wire.schemas import AppsAnswer
from ..work.thread_shares import ExportSlots
from .dependencies import Admin, Reader
from .route import new_router

router = new_router("/v2", "export and import")

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


class _Tar(Response):
    """Sends blocks as a thread makes them; closes them, and frees all that they hold, when the client stops reading."""

    media_type = _TAR

    def __init__(self, blocks: Generator[bytes, None, None], exports: ExportSlots, app_id: str, file_name: str) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"})
        self._blocks = blocks
        self._exports = exports
        self._app_id = app_id
        # A cancelled request leaves its thread at work on a block: closing waits for that.
        self._turn = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What goes wrong before the first block still has a status."""
        with self._exports.slot(self._app_id):
            try:
                await self._send(Request(scope, receive), send)
            finally:
                await to_thread.run_sync(self._close, limiter=self._exports.threads)

    async def _send(self, request: Request, send: Send) -> None:
        started = False
        while (block := await to_thread.run_sync(self._next, limiter=self._exports.threads)) is not None:
            # Sending to a client that is gone raises nothing.
            if await request.is_disconnected():
                return
            if not block:
                continue
            if not started:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                started = True
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _next(self) -> bytes | None:
        with self._turn:
            return next(self._blocks, None)

    def _close(self) -> None:
        with self._turn:
            self._blocks.close()


@router.get("/export", response_class=Response, responses=_DOCUMENTED)
async def export(context: Reader, format: Format = ExportFormat.FOLDER) -> Response:
    """Everything that the app has, as of one moment: `tenshot import` makes the same app of it elsewhere.

    One that breaks off on the way has no `tenshot.json` at its end, and is refused there. Two of an app are read at
    once, and eight of all apps; those beyond are told to come later.
    """
    app, exports = context.app, context.service.exports
    return _Tar(app.export_stream(format), exports, app.id, f"{app.name}-{format}.tar")


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
        imported = await run_in_threadpool(store.import_app, file, name)
    return ok(apps=[app_out(imported.app, user)])
