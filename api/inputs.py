"""Inputs: the pictures of an app (contract, section 5)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response

from ..embeddings.images import ImageError
from ..index.errors import BadRequest, InputExists, InputNotFound, TenshotError
from ..index.records import AddRequest, Input, InputChange, InputStatus
from . import status
from .access import Caller, Id, Paged, Reader, Writer
from .fetch import FetchError
from .status import FAILURE, INPUT_NOT_FOUND, INVALID_INPUT_REQUEST, INVALID_REQUEST, MIXED, Status, WireError
from .wire import MOST_ITEMS, ConceptIn, DeleteIn, InputIn, InputsIn, ok

router = APIRouter(prefix="/v2/inputs", tags=["inputs"])


@router.post("")
def add(body: InputsIn, caller: Writer, response: Response) -> dict[str, Any]:
    """Adds up to 128 pictures; they are ready when this answers. Each has its own status; a bad one adds nothing."""
    _check_count(len(body.inputs))
    requests: dict[int, AddRequest] = {}
    errors: dict[int, Exception] = {}
    for place, one in enumerate(body.inputs):
        try:
            requests[place] = _request(one, caller)
        except (WireError, ImageError, FetchError, TenshotError) as error:
            errors[place] = error
    added = dict(zip(requests, caller.app.add_many(list(requests.values())), strict=True))
    names = caller.names()
    items = []
    for place, one in enumerate(body.inputs):
        result = added.get(place)
        if result is not None and result.input is not None:
            items.append(caller.show(result.input, names))
            continue
        reason = errors[place] if result is None else result.error
        assert reason is not None
        items.append({"id": one.id or "", "data": {"image": {"url": _url(one)}}, "status": error_status(reason)})
    failed = len(items) - sum(result.input is not None for result in added.values())
    overall = status.OK if not failed else FAILURE if failed == len(items) else MIXED
    response.status_code = overall.http
    return {"status": overall.body(), "inputs": items}


@router.get("")
def page(caller: Reader, page: Paged) -> dict[str, Any]:
    """In the order in which they were added."""
    names = caller.names()
    return ok(inputs=[caller.show(one, names) for one in caller.app.inputs(page.page, page.per_page)])


@router.get("/status")
def counts(caller: Reader) -> dict[str, Any]:
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


@router.get("/{id}")
def get(id: Id, caller: Reader) -> dict[str, Any]:
    return ok(input=caller.show(caller.app.input(id), caller.names()))


@router.patch("")
def change(body: InputsIn, caller: Writer) -> dict[str, Any]:
    """Labels, metadata and places of up to 128 inputs: all of them or none. action: merge, overwrite or remove."""
    if body.action not in ("merge", "overwrite", "remove"):
        raise WireError(INVALID_REQUEST, f"the action is merge, overwrite or remove, not {body.action!r}")
    if len(body.inputs) > MOST_ITEMS:
        raise WireError(INVALID_INPUT_REQUEST, f"a request may have {MOST_ITEMS} inputs")
    there = caller.app.inputs_by_id([one.id for one in body.inputs if one.id])
    for one in body.inputs:
        if one.id not in there:
            missing = f"no input {one.id!r}"
            raise WireError(INPUT_NOT_FOUND if len(body.inputs) == 1 else FAILURE, missing)
    changes = [_change(one, there[one.id], body.action) for one in body.inputs if one.id]
    names = caller.names
    changed = caller.app.update_many(changes) if changes else []
    known = names()
    return ok(inputs=[caller.show(one, known) for one in changed])


@router.delete("/{id}")
def delete(id: Id, caller: Writer) -> dict[str, Any]:
    if not caller.app.delete(id):
        raise InputNotFound(f"no input {id!r}")
    return ok()


@router.delete("")
def delete_many(body: DeleteIn, caller: Writer) -> dict[str, Any]:
    """By ids, or all of the app with delete_all; unknown ids are ignored."""
    if body.delete_all:
        caller.app.delete_all()
    elif body.ids:
        caller.app.delete(body.ids)
    else:
        raise WireError(INVALID_INPUT_REQUEST, "give ids, or delete_all: true")
    return ok()


def error_status(error: Exception) -> dict[str, Any]:
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
    data = one.data
    place = data.geo.place() if data.geo else None
    common = AddRequest(None, one.id or None, labels_of(data.concepts), data.metadata, place)
    if data.embeddings:
        return replace(common, vector=data.embeddings[0].vector)
    image = data.image
    if one.id and caller.app.existing([one.id]):
        raise InputExists(f"an input {one.id!r} exists already")
    return replace(
        common,
        image=caller.picture(data),
        url=image.url if image else None,
        crop=image.crop if image else None,
        allow_duplicate_url=bool(image and image.allow_duplicate_url),
    )


def _change(one: InputIn, there: Input, action: str) -> InputChange:
    given = labels_of(one.data.concepts)
    labels: dict[str, bool | None] = dict(given)
    metadata = one.data.metadata
    if action == "remove":
        labels.update(dict.fromkeys(given))
        metadata = None if metadata is None else _without(there.metadata or {}, metadata)
    elif action == "overwrite":
        if one.data.concepts is not None:
            labels |= {concept: None for concept in there.concepts if concept not in given}
    elif metadata is not None:
        metadata = _merged(there.metadata or {}, metadata)
    return InputChange(there.id, metadata, one.data.geo.place() if one.data.geo else None, concepts=labels)


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings key by key, lists appended, `{}` and `[]` replacing, null leaving what is there."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if value is None:
            continue
        if isinstance(value, Mapping) and value and isinstance(before, Mapping):
            merged[key] = _merged(before, value)
        elif isinstance(value, list) and value and isinstance(before, list):
            merged[key] = before + [item for item in value if item not in before]
        else:
            merged[key] = value
    return merged


def _without(old: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The named keys taken out; of a mapping those inside it."""
    left = {}
    for key, value in old.items():
        if key not in named:
            left[key] = value
        elif isinstance(named[key], Mapping) and named[key] and isinstance(value, Mapping):
            left[key] = _without(value, named[key])
    return left


def _url(one: InputIn) -> str:
    return (one.data.image and one.data.image.url) or "unknown"


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_ITEMS:
        raise WireError(INVALID_INPUT_REQUEST, f"a request has 1 to {MOST_ITEMS} inputs, not {count}")
