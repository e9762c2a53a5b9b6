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
from .dependencies import MOST_PER_PAGE, Caller, Paged, Reader, Writer
from .route import new_router

router = new_router("/v2/inputs", "inputs")
MOST_SECONDS = 60


@router.post("", response_model=InputsAnswer, responses={207: {"model": InputsAnswer}})
async def add(
    body: InputsIn,
    caller: Writer,
    wait: Annotated[
        float | None, Query(ge=0, le=MOST_SECONDS, description="Seconds to wait for what lies behind URLs.")
    ] = None,
) -> Json:
    """Adds up to 128 pictures, vectors or URLs. Each has its own status; a bad one adds nothing.

    Uploads are ready when this answers. What lies behind a URL is waited for a while; what takes longer is pending, and
    becomes ready or failed later, also after a restart.
    """
    stored, errors = await run_in_threadpool(_store, body, caller)
    pending = [one for one in stored.values() if one.status is InputStatus.PENDING]
    if pending:
        caller.service.pictures.wake()
        seconds = caller.service.settings.wait_seconds if wait is None else wait
        await while_connected(caller.request, _wait_for_pictures(caller, pending, seconds))
    return await run_in_threadpool(_added, body, caller, stored, errors, [one.id for one in pending])


async def _wait_for_pictures(caller: Caller, pending: Sequence[Input], seconds: float) -> None:
    # In the loop, for threads are few: slow servers that one app names keep no other's request waiting.
    with caller.service.pictures.watch(
        PendingInput(caller.app.id, one.id, one.key, one.url or "") for one in pending
    ) as tried:
        # Some may have been tried before they were watched.
        left = await run_in_threadpool(caller.app.pending_keys, [one.key for one in pending])
        if waiting := [asyncio.wrap_future(future) for one, future in tried.items() if one.key in left]:
            await asyncio.wait(waiting, timeout=seconds)


@router.get("", response_model=InputsAnswer)
def page(
    caller: Reader,
    page: Paged,
    ids: Annotated[list[str] | None, Query()] = None,
    status: Annotated[InputStatus | None, Query(description="Only those that are ready, pending or failed.")] = None,
    newest_first: Annotated[bool, Query(description="The other way round.")] = False,
) -> Json:
    """In the order in which they were added; or those of the ids that exist, in that order."""
    if ids:
        found = caller.app.inputs_by_id(ids[:MOST_PER_PAGE])
        return ok(inputs=caller.page(found[id] for id in dict.fromkeys(ids) if id in found))
    return ok(inputs=caller.page(caller.app.inputs(page.page, page.per_page, status, newest_first=newest_first)))


@router.get("/status", response_model=CountsAnswer)
def counts(caller: Reader) -> Json:
    """How many are processed, waiting and failed."""
    found = caller.app.counts()
    return ok(
        counts={
            "processed": found[InputStatus.READY],
            "to_process": found[InputStatus.PENDING],
            "errors": found[InputStatus.FAILED],
            "processing": 0,
        }
    )


@router.get("/{id}", response_model=InputAnswer)
def get(id: str, caller: Reader) -> Json:
    """Its labels, metadata and place too."""
    return ok(input=caller.show(caller.app.input(id), caller.names()))


@router.patch("", response_model=InputsAnswer)
def change(body: PatchInputsIn, caller: Writer) -> Json:
    """Labels, metadata and places of up to 128 inputs: all of them or none. action: merge, overwrite or remove."""
    action = action_of(body.action)
    patches = [(one.id or "", _patch(one, action)) for one in body.inputs]
    try:
        return ok(inputs=caller.page(caller.app.patch_many(patches) if patches else []))
    except InputNotFound as error:
        if len(patches) == 1:
            raise
        raise WireError(FAILURE, str(error)) from error


@router.delete("/{id}", response_model=Answer)
def delete(id: str, caller: Writer) -> Json:
    """With its picture, vector and labels."""
    if not caller.app.delete(id):
        raise InputNotFound(f"no input {id!r}")
    return ok()


@router.delete("", response_model=Answer)
def delete_many(body: DeleteIn, caller: Writer) -> Json:
    """By ids, or all of the app with delete_all; unknown ids are ignored."""
    if body.delete_all:
        caller.app.delete_all()
    elif body.ids:
        caller.app.delete(body.ids)
    else:
        raise WireError(INVALID_INPUT_REQUEST, "give ids, or delete_all: true")
    return ok()


def error_status(error: Exception) -> StatusOut:
    """The status of one item that failed. Raises the error if nobody meant it to happen."""
    if isinstance(error, WireError):
        return error.status.body(str(error))
    # A bad request about one item is a bad argument of that input.
    found: Status | None = status.INPUT_BAD if type(error) is BadRequest else status.status_of(error)
    if found is None:
        raise error
    return found.body(str(error))


def labels_of(concepts: list[ConceptIn] | None) -> dict[str, bool]:
    """Concept id -> yes or no. Raises WireError."""
    labels = {}
    for concept in concepts or ():
        if not concept.key:
            raise WireError(status.INPUT_BAD, "a concept needs an id")
        labels[concept.key] = concept.value
    return labels


def _request(one: InputIn, caller: Caller) -> AddRequest:
    """With bytes or a vector, or with the URL alone."""
    data = one.data
    common = AddRequest(
        id=one.id or None,
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
        return replace(common, vector=data.embeddings[0].vector)
    if image.base64 is None and image.url is None:
        raise WireError(status.INPUT_BAD, "data.image needs a url or base64")
    common = replace(common, crop=image.crop, allow_duplicate_url=image.allow_duplicate_url)
    if image.base64 is not None:
        return replace(common, image=image.data())
    caller.check_fetches()
    return replace(common, url=image.url)


def _store(body: InputsIn, caller: Caller) -> tuple[Mapping[int, Input], Mapping[int, Exception]]:
    """The inputs that are stored now, and why the others are not, by place."""
    check_some(body.inputs, "inputs")
    requests: dict[int, AddRequest] = {}
    errors: dict[int, Exception] = {}
    for place, one in enumerate(body.inputs):
        try:
            requests[place] = _request(one, caller)
        except TenshotError as error:
            errors[place] = error
    results = dict(zip(requests, _results(caller, list(requests.values())), strict=True))
    errors |= {place: result.error for place, result in results.items() if result.error}
    return {place: result.input for place, result in results.items() if result.input}, errors


def _results(caller: Caller, requests: Sequence[AddRequest]) -> list[AddResult]:
    """How each ended. They are stored batch by batch: what stops a later one is said of its items and of all behind.

    Raises what stops the first one, since nothing is stored then.
    """
    results: list[AddResult] = []
    try:
        for result in caller.app.add_many(requests, later=True):
            results.append(result)  # noqa: PERF402  what is stored must be known when the next batch fails
    except Exception as error:
        if not results or status.status_of(error) is None:
            raise
        results += [AddResult(request, error=error) for request in requests[len(results) :]]
    return results


def _added(
    body: InputsIn,
    caller: Caller,
    stored: Mapping[int, Input],
    errors: Mapping[int, Exception],
    waited_for: Sequence[str],
) -> Json:
    """The answer. waited_for: ids of those that may have changed since they were stored."""
    settled = caller.app.inputs_by_id(waited_for) if waited_for else {}
    names = caller.names()
    items: list[InputOut] = []
    for place, one in enumerate(body.inputs):
        if place in stored:
            items.append(caller.show(settled.get(stored[place].id, stored[place]), names))
        else:
            reason = error_status(errors[place])
            items.append({"id": one.id or "", "data": {"image": {"url": _url(one)}}, "status": reason})
    overall = status.OK if not errors else FAILURE if not stored else MIXED
    return answer(overall, inputs=items)


def _patch(one: InputIn, action: Action) -> Patch:
    """What it makes of an input. Raises WireError, while nobody waits for it yet."""
    data, given = one.data, labels_of(one.data.concepts)
    regions = None if data.regions is None else [region.plain() for region in data.regions]

    def change(there: Input) -> InputChange:
        labels: dict[str, bool | None] = dict.fromkeys(given) if action == "remove" else dict(given)
        # An empty list replaces what is there, whatever the action.
        if data.concepts is not None and (action == "overwrite" or (action == "merge" and not given)):
            labels |= {concept: None for concept in there.concepts if concept not in given}
        return InputChange(
            there.id,
            metadata=None if data.metadata is None else patched(there.metadata or {}, data.metadata, action),
            geo=data.geo.place() if data.geo and action != "remove" else None,
            no_geo=data.geo is not None and (action == "remove" or data.geo.place() is None),
            regions=None if regions is None else patched_list(there.regions or [], regions, action),
            concepts=labels,
        )

    return change


def _url(one: InputIn) -> str:
    return (one.data.image and one.data.image.url) or "unknown"
