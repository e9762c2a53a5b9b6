"""Models and their versions (contract, sections 7 and 8)."""

import fnmatch
import re
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query

from ..index.errors import ModelNotFound, NotFound
from ..index.records import Model, ModelVersion
from .access import Caller, Id, Page, Paged, Reader, VersionId, Writer, page_of
from .status import INVALID_REQUEST, MODEL_BAD, WireError
from .wire import (
    MOST_ITEMS,
    ConceptIn,
    CreateModelIn,
    DeleteIn,
    ModelIn,
    ModelSearchIn,
    OutputConfigIn,
    PatchModelsIn,
    model_out,
    ok,
    version_out,
)

router = APIRouter(prefix="/v2/models", tags=["models"])


@router.post("")
def create(body: CreateModelIn, caller: Writer) -> dict[str, Any]:
    """A set of concepts scored together. It is never trained: its head version predicts from the labels as they are."""
    given = body.model
    config = given.output_info.output_config or OutputConfigIn()
    concepts = given.output_info.data and given.output_info.data.concepts
    model = caller.app.create_model(
        given.id or None,
        _concept_ids(concepts or []),
        name=given.name or None,
        mutually_exclusive=bool(config.concepts_mutually_exclusive),
        closed_environment=bool(config.closed_environment),
        settings=config.hyper_params,
    )
    return ok(model=_shown(caller, [model])[0])


@router.get("")
def page(caller: Reader, page: Paged) -> dict[str, Any]:
    """Past the end: an empty list."""
    return ok(models=_shown(caller, caller.app.models(page.page, page.per_page)))


@router.patch("")
def change(body: PatchModelsIn, caller: Writer) -> dict[str, Any]:
    """Names, concepts and flags. action: merge, overwrite or remove (of concepts)."""
    if body.action not in ("merge", "overwrite", "remove"):
        raise WireError(INVALID_REQUEST, f"the action is merge, overwrite or remove, not {body.action!r}")
    if not 1 <= len(body.models) <= MOST_ITEMS:
        raise WireError(MODEL_BAD, f"a request has 1 to {MOST_ITEMS} models, not {len(body.models)}")
    # All of them are looked up before the first is changed.
    there = [caller.app.model(_id(one)) for one in body.models]
    changed = [_change(caller, one, model, body.action) for one, model in zip(body.models, there, strict=True)]
    return ok(models=_shown(caller, changed))


@router.delete("")
def delete_many(body: DeleteIn, caller: Writer) -> dict[str, Any]:
    """By ids, or all that were made with delete_all; unknown ids are ignored."""
    if body.delete_all:
        caller.app.delete_models()
    elif body.ids:
        from urllib.parse import unquote

        # One client escapes ids inside the body too.
        caller.app.delete_models([*body.ids, *(unquote(id) for id in body.ids)])
    else:
        raise WireError(INVALID_REQUEST, "give ids, or delete_all: true")
    return ok()


@router.post("/searches")
def search(body: ModelSearchIn, caller: Reader) -> dict[str, Any]:
    """By name, where * stands for any run of characters, and by output type."""
    wanted = body.model_query
    page = page_of(body.pagination.page, body.pagination.per_page)
    found = [model for model in caller.app.models(per_page=1_000_000) if _matches(model, wanted.name, wanted.type)]
    start = (page.page - 1) * page.per_page
    return ok(models=_shown(caller, found[start : start + page.per_page]))


@router.get("/{id}")
def get(id: Id, caller: Reader, version_id: Annotated[str | None, Query()] = None) -> dict[str, Any]:
    return ok(model=_shown(caller, [caller.app.model(id)], version_id)[0])


@router.get("/{id}/output_info")
def output_info(id: Id, caller: Reader) -> dict[str, Any]:
    return ok(model=_shown(caller, [caller.app.model(id)])[0])


@router.get("/{id}/versions/{version_id}/output_info")
def version_output_info(id: Id, version_id: VersionId, caller: Reader) -> dict[str, Any]:
    return ok(model=_shown(caller, [caller.app.model(id)], version_id)[0])


@router.delete("/{id}")
def delete(id: Id, caller: Writer) -> dict[str, Any]:
    if not caller.app.delete_models(id):
        raise ModelNotFound(f"no model {id!r}")
    return ok()


@router.get("/{id}/inputs")
def inputs(id: Id, caller: Reader, page: Paged) -> dict[str, Any]:
    """Inputs that have a label for one of the model's concepts."""
    return _inputs(caller, caller.app.model(id).concept_ids, page)


@router.get("/{id}/versions/{version_id}/inputs")
def version_inputs(id: Id, version_id: VersionId, caller: Reader, page: Paged) -> dict[str, Any]:
    """Inputs that have a label for one of the version's concepts."""
    version = caller.app.version(id, version_id)
    return _inputs(caller, version.concept_ids if version.frozen else caller.app.model(id).concept_ids, page)


@router.post("/{id}/versions")
def freeze(id: Id, caller: Writer) -> dict[str, Any]:
    """Freezes the labels of this moment as a version whose predictions never change. Done when this answers."""
    version = caller.app.create_version(id)
    return ok(model=_shown(caller, [caller.app.model(id)], version.id)[0])


@router.get("/{id}/versions")
def versions(id: Id, caller: Reader, page: Paged) -> dict[str, Any]:
    """Newest first."""
    model = caller.app.model(id)
    found = caller.app.versions(id, page.page, page.per_page)
    return ok(model_versions=[version_out(version, len(model.concept_ids)) for version in found])


@router.get("/{id}/versions/{version_id}")
def version(id: Id, version_id: VersionId, caller: Reader) -> dict[str, Any]:
    model = caller.app.model(id)
    return ok(model_version=version_out(caller.app.version(id, version_id), len(model.concept_ids)))


@router.delete("/{id}/versions/{version_id}")
def delete_version(id: Id, version_id: VersionId, caller: Writer) -> dict[str, Any]:
    caller.app.delete_version(id, version_id)
    return ok()


def shown_version(caller: Caller, model: Model, version_id: str | None) -> ModelVersion:
    """The version asked for, else the newest; the built-in model has a head only."""
    if version_id is not None:
        return caller.app.version(model.id, version_id)
    found = caller.app.versions(model.id, per_page=1)
    if found:
        return found[0]
    return ModelVersion(f"{model.id}-head", model.id, False, 0, None, (), 0, model.created_at)


def _shown(caller: Caller, models: Sequence[Model], version_id: str | None = None) -> list[dict[str, Any]]:
    concepts = caller.concepts()
    return [model_out(model, shown_version(caller, model, version_id), concepts, caller.app.id) for model in models]


def _change(caller: Caller, one: ModelIn, model: Model, action: str) -> Model:
    info, config = one.output_info, one.output_info.output_config
    concepts = None
    if info.data is not None:
        given = _concept_ids(info.data.concepts or [])
        if action == "overwrite":
            concepts = given
        elif action == "remove":
            concepts = [id for id in model.concept_ids if id not in given]
        else:
            concepts = [*model.concept_ids, *(id for id in given if id not in model.concept_ids)]
    exclusive = None if config is None else config.concepts_mutually_exclusive
    closed = None if config is None else config.closed_environment
    if action == "overwrite" and config is not None:
        # A client can't send false: its empty configuration means that both are.
        exclusive, closed = bool(exclusive), bool(closed)
    return caller.app.update_model(
        model.id,
        name=one.name or None,
        concepts=concepts,
        mutually_exclusive=exclusive,
        closed_environment=closed,
        settings=None if config is None else config.hyper_params,
    )


def _inputs(caller: Caller, concept_ids: Sequence[str], page: Page) -> dict[str, Any]:
    if not concept_ids:
        return ok(inputs=[])
    labelled = [{"label": id, "value": value} for id in concept_ids for value in (True, False)]
    start = (page.page - 1) * page.per_page
    hits = caller.app.rank([], page.per_page, {"or": labelled}, offset=start)
    found = caller.app.inputs_by_id([hit.input_id for hit in hits])
    names = caller.names()
    return ok(inputs=[caller.show(found[hit.input_id], names) for hit in hits if hit.input_id in found])


def _matches(model: Model, name: str | None, kind: str | None) -> bool:
    if kind is not None and kind != "concept":
        return False
    pattern = "*".join(re.sub(r"([\[?])", r"[\1]", part) for part in (name or "*").lower().split("*"))
    return fnmatch.fnmatchcase(model.name.lower(), pattern)


def _concept_ids(concepts: Sequence[ConceptIn]) -> list[str]:
    ids = []
    for concept in concepts:
        if not concept.key:
            raise WireError(MODEL_BAD, "a concept needs an id")
        ids.append(concept.key)
    return ids


def _id(one: ModelIn) -> str:
    if not one.id:
        raise NotFound("a model needs an id")
    return one.id
