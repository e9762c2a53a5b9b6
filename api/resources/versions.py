"""Versions of models, frozen or following the labels, and how good they are (contract, section 8)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

from fastapi import Query

from ...index.records import EvaluationState, Model, ModelVersion, StoredEvaluation
from ..wire.body import Body
from ..wire.evaluation_metrics import PARTS, metrics_out
from ..wire.requests import FieldsIn, VersionIn
from ..wire.responses import Json, ok, version_out
from ..wire.schemas import Answer, InputsAnswer, ModelAnswer, VersionAnswer, VersionOut, VersionsAnswer
from .dependencies import Caller, Paged, Reader, Writer
from .models import inputs_of, shown
from .public_models import check_version, public_model, public_out
from .route import new_router

router = new_router("/v2/models/{id}/versions", "versions")


@router.post("", response_model=ModelAnswer)
def freeze(id: str, body: VersionIn, caller: Writer) -> Json:
    """Freezes the labels of this moment as a version whose predictions never change. Done when this answers.

    With `from_version_id` it goes back: the new version predicts as that earlier one does.
    """
    version = caller.app.create_version(id, like=body.from_version_id, untaught=True)
    return ok(model=shown(caller, caller.app.model(id), version.id))


@router.get("", response_model=VersionsAnswer)
def page(id: str, caller: Reader, page: Paged) -> Json:
    """Newest first."""
    if public := public_model(caller.state, id):
        return ok(model_versions=[public_out(public)["model_version"]] if page.page == 1 else [])
    model = caller.app.model(id)
    return ok(model_versions=[_shown(caller, model, one) for one in caller.app.versions(id, page.page, page.per_page)])


@router.get("/{version_id}", response_model=VersionAnswer)
def get(id: str, version_id: str, caller: Reader) -> Json:
    """With its metrics, where they were asked for."""
    if public := public_model(caller.state, id):
        check_version(public, version_id)
        return ok(model_version=public_out(public)["model_version"])
    return ok(model_version=_shown(caller, caller.app.model(id), caller.app.version(id, version_id)))


@router.delete("/{version_id}", response_model=Answer)
def delete(id: str, version_id: str, caller: Writer) -> Json:
    """A model never is without a version: in the place of the last one comes one that follows the labels."""
    caller.app.delete_version(id, version_id)
    return ok()


@router.get("/{version_id}/inputs", response_model=InputsAnswer)
def inputs(id: str, version_id: str, caller: Reader, page: Paged) -> Json:
    """Inputs that have a label for one of the version's concepts."""
    version = caller.app.version(id, version_id)
    return inputs_of(caller, version.concept_ids if version.frozen else caller.app.model(id).concept_ids, page)


@router.post("/{version_id}/metrics", response_model=VersionAnswer)
def evaluate(id: str, version_id: str, _body: Body, caller: Writer) -> Json:
    """Asks for an evaluation by leave-one-out; GET has it when it is made."""
    model, version = caller.app.model(id), caller.app.version(id, version_id)
    caller.app.request_evaluation(id, version_id)
    caller.service.evaluations.wake()
    queued = StoredEvaluation(EvaluationState.QUEUED, None)
    return ok(model_version=_with_metrics(caller, model, version, queued))


@router.get("/{version_id}/metrics", response_model=VersionAnswer)
def metrics(id: str, version_id: str, caller: Reader, fields: Annotated[FieldsIn, Query()]) -> Json:
    """How good the version is: each labelled input judged by the others. All of it, or the `fields.` that are true."""
    model, version = caller.app.model(id), caller.app.version(id, version_id)
    stored = caller.app.evaluation(id, version_id)
    return ok(model_version=_with_metrics(caller, model, version, stored, fields.wanted() or PARTS))


def _shown(caller: Caller, model: Model, version: ModelVersion) -> VersionOut:
    stored = caller.app.evaluation(model.id, version.id)
    if stored is None:
        return version_out(version, model)
    return _with_metrics(caller, model, version, stored)


def _with_metrics(
    caller: Caller,
    model: Model,
    version: ModelVersion,
    stored: StoredEvaluation | None,
    parts: Collection[str] = PARTS,
) -> VersionOut:
    def url_of(ids: Sequence[str]) -> Mapping[str, str]:
        return {id: caller.url(one) for id, one in caller.app.inputs_by_id(ids).items()}

    wanted = len(version.concept_ids if version.frozen else model.concept_ids)
    found = metrics_out(stored, wanted, caller.names(), caller.app.id, url_of, parts)
    return {**version_out(version, model), "metrics": found}
