"""Inputs: the pictures of an app (contract, section 5)."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import Query
from starlette.concurrency import run_in_threadpool

from ...index.errors import BadRequest, InputNotFound, TenshotError
from ...index.records import AddRequest, AddResult, Input, InputChange, InputStatus, Patch, PendingInput
from ..wire import status
from ..wire.body import check_some
from ..wire.patch import Action, action_of, patched, patched_list
from ..wire.requests import ConceptIn, DeleteIn, ImageIn, InputIn, InputsIn, PatchInputsIn
from ..wire.responses import Json, answer, ok
from ..wire.schemas import Answer, CountsAnswer, InputAnswer, InputOut, InputsAnswer
from ..wire.status import FAILURE, INVALID_INPUT_REQUEST, MIXED, Status, StatusOut, WireError
from ..work.thread_shares import while_connected
from .dependencies import MOST_PER_PAGE, Paged, Reader, RequestContext, Writer
from .route import new_router

router = new_router("/v2/inputs", "inputs")
MOST_SECONDS = 60


@router.post("", response_model=InputsAnswer, responses={207: {"model": InputsAnswer}})
async def add(
    body: InputsIn,
    context: Writer,
    wait: Annotated[
        float | None, Query(ge=0, le=MOST_SECONDS, description="Seconds to wait for what lies behind URLs.")
    ] = None,
) -> Json:
    """Adds up to 128 pictures, vectors or URLs. Each has its own status; a bad one adds nothing.

    Uploads are ready when this answers. What lies behind a URL is waited for a while; what takes longer is pending, and
    becomes ready or failed later, also after a restart.
    """
    stored, errors = await run_in_threadpool(_store, body, context)
    pending = [record for record in stored.values() if record.status is InputStatus.PENDING]
    if pending:
        context.service.pictures.wake()
        seconds = context.service.settings.wait_seconds if wait is None else wait
        await while_connected(context.request, _wait_for_pictures(context, pending, seconds))
    return await run_in_threadpool(_added, body, context, stored, errors, [record.id for record in pending])


async def _wait_for_pictures(context: RequestContext, pending: Sequence[Input], seconds: float) -> None:
    # In the loop, for threads are few: slow servers that one app names keep no other's request waiting.
    with context.service.pictures.watch(
        PendingInput(context.app.id, record.id, record.key, record.url or "") for record in pending
    ) as attempts:
        # Some may have been tried before they were watched.
        waiting_keys = await run_in_threadpool(context.app.pending_keys, [record.key for record in pending])
        if attempted := [
            asyncio.wrap_future(future) for record, future in attempts.items() if record.key in waiting_keys
        ]:
            await asyncio.wait(attempted, timeout=seconds)


@router.get("", response_model=InputsAnswer)
def page(
    context: Reader,
    page: Paged,
    ids: Annotated[list[str] | None, Query()] = None,
    status: Annotated[InputStatus | None, Query(description="Only those that are ready, pending or failed.")] = None,
    newest_first: Annotated[bool, Query(description="The other way round.")] = False,
) -> Json:
    """In the order in which they were added; or those of the ids that exist, in that order."""
    if ids:
        records = context.app.inputs_by_id(ids[:MOST_PER_PAGE])
        return ok(inputs=context.page(records[id] for id in dict.fromkeys(ids) if id in records))
    return ok(inputs=context.page(context.app.inputs(page.page, page.per_page, status, newest_first=newest_first)))


@router.get("/status", response_model=CountsAnswer)
def counts(context: Reader) -> Json:
    """How many are processed, waiting and failed."""
    numbers = context.app.counts()
    return ok(
        counts={
            "processed": numbers[InputStatus.READY],
            "to_process": numbers[InputStatus.PENDING],
            "errors": numbers[InputStatus.FAILED],
            "processing": 0,
        }
    )


@router.get("/{id}", response_model=InputAnswer)
def get(id: str, context: Reader) -> Json:
    """Its labels, metadata and place too."""
    return ok(input=context.show(context.app.input(id), context.names()))


@router.patch("", response_model=InputsAnswer)
def change(body: PatchInputsIn, context: Writer) -> Json:
    """Labels, metadata and places of up to 128 inputs: all of them or none. action: merge, overwrite or remove."""
    action = action_of(body.action)
    patches = [(item.id or "", _patch(item, action)) for item in body.inputs]
    try:
        return ok(inputs=context.page(context.app.patch_many(patches) if patches else []))
    except InputNotFound as error:
        if len(patches) == 1:
            raise
        raise WireError(FAILURE, str(error)) from error


@router.delete("/{id}", response_model=Answer)
def delete(id: str, context: Writer) -> Json:
    """With its picture, vector and labels."""
    if not context.app.delete(id):
        raise InputNotFound(f"no input {id!r}")
    return ok()


@router.delete("", response_model=Answer)
def delete_many(body: DeleteIn, context: Writer) -> Json:
    """By ids, or all of the app with delete_all; unknown ids are ignored."""
    if body.delete_all:
        context.app.delete_all()
    elif body.ids:
        context.app.delete(body.ids)
    else:
        raise WireError(INVALID_INPUT_REQUEST, "give ids, or delete_all: true")
    return ok()


def error_status(error: Exception) -> StatusOut:
    """The status of one item that failed. Raises the error where the wire has no status for it."""
    if isinstance(error, WireError):
        return error.status.body(str(error))
    # A bad request about one item is a bad argument of that input.
    item_status: Status | None = status.INPUT_BAD if type(error) is BadRequest else status.status_of(error)
    if item_status is None:
        raise error
    return item_status.body(str(error))


def labels_of(concepts: list[ConceptIn] | None) -> dict[str, bool]:
    """Concept id -> yes or no. Raises WireError."""
    labels = {}
    for concept in concepts or ():
        if not concept.key:
            raise WireError(status.INPUT_BAD, "a concept needs an id")
        labels[concept.key] = concept.value
    return labels


def _request(item: InputIn, context: RequestContext) -> AddRequest:
    """With bytes or a vector, or with the URL alone."""
    data = item.data
    request = AddRequest(
        id=item.id or None,
        concepts=labels_of(data.concepts),
        metadata=data.metadata,
        geo=data.geo.place() if data.geo else None,
        regions=None if data.regions is None else [region.plain() for region in data.regions],
    )
    if data.video is not None:
        raise WireError(status.INPUT_VIDEO, "this server understands pictures, not video")
    image = data.image or ImageIn()
    if data.embeddings:
        if image.base64 is not None:
            raise WireError(status.INPUT_BAD, "an input has data.image or data.embeddings, not both")
        return replace(request, vector=data.embeddings[0].vector)
    if image.base64 is None and image.url is None:
        raise WireError(status.INPUT_BAD, "data.image needs a url or base64")
    request = replace(request, crop=image.crop, allow_duplicate_url=image.allow_duplicate_url)
    if image.base64 is not None:
        return replace(request, image=image.data())
    context.check_fetches()
    return replace(request, url=image.url)


def _store(body: InputsIn, context: RequestContext) -> tuple[Mapping[int, Input], Mapping[int, Exception]]:
    """The inputs that are stored now, and why the others are not, by place."""
    check_some(body.inputs, "inputs")
    requests: dict[int, AddRequest] = {}
    errors: dict[int, Exception] = {}
    for position, item in enumerate(body.inputs):
        try:
            requests[position] = _request(item, context)
        except TenshotError as error:
            errors[position] = error
    results = dict(zip(requests, _results(context, list(requests.values())), strict=True))
    errors |= {position: result.error for position, result in results.items() if result.error}
    return {position: result.input for position, result in results.items() if result.input}, errors


def _results(context: RequestContext, requests: Sequence[AddRequest]) -> list[AddResult]:
    """How each ended. They are stored batch by batch: what stops a later one is said of its items and of all behind.

    Raises what stops the first one, since nothing is stored then.
    """
    results: list[AddResult] = []
    try:
        for result in context.app.add_many(requests, later=True):
            results.append(result)  # noqa: PERF402  what is stored must be known when the next batch fails
    except Exception as error:
        if not results or status.status_of(error) is None:
            raise
        results += [AddResult(request, error=error) for request in requests[len(results) :]]
    return results


def _added(
    body: InputsIn,
    context: RequestContext,
    stored: Mapping[int, Input],
    errors: Mapping[int, Exception],
    waited_for: Sequence[str],
) -> Json:
    """The answer. waited_for: ids of those that may have changed since they were stored."""
    settled = context.app.inputs_by_id(waited_for) if waited_for else {}
    names = context.names()
    items: list[InputOut] = []
    for position, item in enumerate(body.inputs):
        if position in stored:
            items.append(context.show(settled.get(stored[position].id, stored[position]), names))
        else:
            reason = error_status(errors[position])
            items.append({"id": item.id or "", "data": {"image": {"url": _url(item)}}, "status": reason})
    overall = status.OK if not errors else FAILURE if not stored else MIXED
    return answer(overall, inputs=items)


def _patch(item: InputIn, action: Action) -> Patch:
    """The change of an input, made when the input is read. Raises WireError at once."""
    data, taught = item.data, labels_of(item.data.concepts)
    regions = None if data.regions is None else [region.plain() for region in data.regions]

    def change(stored: Input) -> InputChange:
        labels: dict[str, bool | None] = dict.fromkeys(taught) if action == "remove" else dict(taught)
        # An empty list replaces what is there, whatever the action.
        if data.concepts is not None and (action == "overwrite" or (action == "merge" and not taught)):
            labels |= {concept: None for concept in stored.concepts if concept not in taught}
        return InputChange(
            stored.id,
            metadata=None if data.metadata is None else patched(stored.metadata or {}, data.metadata, action),
            geo=data.geo.place() if data.geo and action != "remove" else None,
            no_geo=data.geo is not None and (action == "remove" or data.geo.place() is None),
            regions=None if regions is None else patched_list(stored.regions or [], regions, action),
            concepts=labels,
        )

    return change


def _url(item: InputIn) -> str:
    return (item.data.image and item.data.image.url) or "unknown"
