"""Inputs of a prediction on the wire: from the request to queries of the app, and back into answers."""

from collections.abc import Callable, Mapping, Sequence
from uuid import uuid4

from starlette.concurrency import run_in_threadpool

from ...errors import TenshotError
from ...index.app.resolved_inputs import Query, ResolvedInputs
from ..wire import status
from ..wire.body import check_some
from ..wire.requests import ImageIn, InputIn
from ..wire.responses import Json
from ..wire.schemas import AskedOut
from ..wire.status import FAILURE, INPUT_VIDEO, MIXED, Status, StatusOut, WireError
from .dependencies import RequestContext
from .inputs import error_status


async def with_pictures(
    context: RequestContext, inputs: Sequence[InputIn], check: Callable[[], bool], work: Callable[[], Json]
) -> Json:
    """What the work answers, on a thread, when the pictures behind URLs are there.

    check: raises what is wrong with the rest of the request, before any is fetched; and says whether inputs that have
    vectors are looked at too.
    """
    behind = [
        item.data for item in inputs if item.data.image and item.data.image.is_behind_url and item.data.video is None
    ]
    if behind:
        with_vectors = await run_in_threadpool(check)
        await context.fetch([data.image for data in behind if data.image and (with_vectors or not data.embeddings)])
    return await run_in_threadpool(work)


class PredictionInputs:
    """Inputs by their position in the request. What came without an id gets one."""

    def __init__(self, context: RequestContext, inputs: Sequence[InputIn], most: int) -> None:
        """most: as the type of the body has it. Raises WireError for no inputs."""
        check_some(inputs, "inputs", most)
        self.resolved = ResolvedInputs(context.state, [_query(item) for item in inputs])
        self._inputs = inputs
        self._ids = [item.id or uuid4().hex for item in inputs]
        self._context_for = context

    def __len__(self) -> int:
        return len(self._inputs)

    @property
    def errors(self) -> Mapping[int, TenshotError]:
        """Why an input can't be used."""
        return self.resolved.errors

    @property
    def status(self) -> Status:
        """Of the whole answer."""
        if not self.errors:
            return status.OK
        return FAILURE if len(self.errors) == len(self) else MIXED

    def status_of(self, position: int) -> StatusOut:
        """Of one input."""
        return error_status(self.errors[position]) if position in self.errors else status.OK.body()

    def out(self, position: int) -> AskedOut:
        """The input as it was given."""
        item = self._inputs[position]
        url = item.data.image and item.data.image.url
        if url is None and item.is_stored:
            record = self.resolved.records.get(self._ids[position])
            url = self._context_for.url(record) if record else None
        return {"id": self._ids[position], "data": {"image": {"url": url or "unknown"}}}


def _query(item: InputIn) -> Query:
    data = item.data
    vector = data.embeddings[0].vector if data.embeddings else None
    crop = data.image.crop if data.image else None
    if item.is_stored:
        return Query(input_id=item.id, vector=vector, crop=crop)
    return Query(_no_video if data.video is not None else (data.image or ImageIn()).file, vector=vector, crop=crop)


def _no_video() -> bytes:
    raise WireError(INPUT_VIDEO, "this server understands pictures, not video")
