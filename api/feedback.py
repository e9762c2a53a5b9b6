"""Feedback on predictions and on searches (contract, section 10): kept, and taught from where the app is set so."""

from typing import Any

from ..index.records import LabelSource
from .access import Caller, Writer
from .answers import Answer, Json, ok
from .inputs import labels_of
from .models import shown_version
from .public import check_version, public_model
from .route import new_router
from .wire import FeedbackIn

router = new_router("/v2", "feedback")


@router.post("/models/{id}/feedback", response_model=Answer)
def on_model(id: str, body: FeedbackIn, caller: Writer) -> Json:
    """What a picture really shows, or where. It need not be an input of the app.

    Where the app teaches from feedback, the concepts of an input that it has become labels.
    """
    return _keep(caller, {"model_id": id}, body)


@router.post("/models/{id}/versions/{version_id}/feedback", response_model=Answer)
def on_version(id: str, version_id: str, body: FeedbackIn, caller: Writer) -> Json:
    """The same on a version."""
    return _keep(caller, {"model_id": id, "version_id": version_id}, body)


@router.post("/searches/feedback", response_model=Answer)
def on_search(body: FeedbackIn, caller: Writer) -> Json:
    """Which hit of a search was chosen."""
    info = body.input.feedback_info
    caller.app.keep_feedback("search", {"search_id": info.search_id}, body.model_dump(exclude_none=True))
    return ok()


def _keep(caller: Caller, about: dict[str, Any], body: FeedbackIn) -> Json:
    model_id, version_id = about["model_id"], about.get("version_id")
    if public := public_model(caller.app, model_id):
        check_version(public, version_id)
    else:
        shown_version(caller, caller.app.model(model_id), version_id)
    labels = labels_of(body.input.data.concepts)
    caller.app.keep_feedback("model", about, body.model_dump(exclude_none=True))
    id = body.input.id
    if labels and id and caller.store.catalog.apps.get(caller.app.id).teach_from_feedback and caller.app.existing([id]):
        caller.app.label(id, labels, source=LabelSource.FEEDBACK)
    return ok()
