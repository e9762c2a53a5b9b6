"""App: one tenant's pictures, labels and models."""

import os
from collections.abc import Callable, Generator
from contextlib import closing
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from ...embeddings.base.embedder import Recipe
from ..errors import BadRequest
from ..records import AppRecord, WorkflowChange
from ..transfer.archive import Members, tar_stream, write_folder
from ..transfer.exporting import ExportFormat, export
from ..vectors.protocol import CollectionFacts
from . import adding, benchmarking, comparing, embedding, prediction, predictors, quality, suggesting
from . import concepts as concepts_part
from . import inputs as inputs_part
from . import models as models_part
from . import search as search_part
from . import versions as versions_part
from .changing import BaseWorkflowChange
from .state import AppState, Current, Resources

P = ParamSpec("P")
R = TypeVar("R")


def _does(function: Callable[Concatenate[Current, P], R]) -> Callable[Concatenate["App", P], R]:
    """A method that changes the app, or only asks SQL."""

    @wraps(function)
    def method(app: "App", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(app._current, *args, **kwargs)

    return method


def _says(function: Callable[Concatenate[AppState, P], R]) -> Callable[Concatenate["App", P], R]:
    """A method that answers by the state of the moment at which it is called."""

    @wraps(function)
    def method(app: "App", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(app.state(), *args, **kwargs)

    return method


class App:
    """Opened by a `Store`, never made directly. Thread-safe."""

    def __init__(self, record: AppRecord, resources: Resources) -> None:
        self._current = Current(record, resources)
        self._change = BaseWorkflowChange(self._current)

    def __repr__(self) -> str:
        state = self._current.peek()
        closed = self._current.is_closed
        rows = "closed" if closed else f"inputs={len(state.collection)}" if state else "not in memory"
        return f"App({self.name!r}, workflow={self.recipe.workflow!r}, dim={self.dim}, {rows})"

    @property
    def id(self) -> str:
        return self._current.id

    @property
    def name(self) -> str:
        return self._current.name

    @property
    def created_at(self) -> datetime:
        return self._current.created_at

    @property
    def recipe(self) -> Recipe:
        """The base workflow that it sees with."""
        return self._current.recipe

    @property
    def dim(self) -> int:
        """Of its vectors."""
        return self.recipe.dim

    def state(self) -> AppState:
        """What it is at this moment, for several questions that must be answered alike.

        Raises StoreClosed or AppNotFound.
        """
        return self._current.take()

    # Predicting
    predict = _says(prediction.predict)
    predict_input = _says(prediction.predict_input)
    predict_vectors = _says(prediction.predict_vectors)
    zero_shot = _says(prediction.zero_shot)
    explain = _says(prediction.explain)
    explain_vector = _says(prediction.explain_vector)
    scores = _says(predictors.scores)
    is_ready = _says(predictors.is_ready)
    advice = _says(predictors.advice)

    # Searching
    search = _says(search_part.search)
    search_vectors = _says(search_part.search_vectors)
    rank = _says(search_part.rank)
    rank_inputs = _says(search_part.rank_inputs)
    nearest_inputs = _says(search_part.nearest_inputs)
    concept_for = _says(search_part.concept_for)

    # Embedding
    picture_embedder = _says(AppState.picture_embedder)
    embed = _says(embedding.embed)
    embed_each = _says(embedding.embed_each)
    embed_text = _says(embedding.embed_text)
    classify_each = _says(embedding.classify_each)
    check_vectors = _says(embedding.check_vectors)
    vectors = _says(embedding.vectors)
    base_workflow = _says(embedding.base_workflow)

    @property
    def has_text(self) -> bool:
        """Whether the base workflow understands words."""
        return embedding.has_text(self.state())

    # Inputs and labels
    add = _does(adding.add)
    add_many = _does(adding.add_many)
    add_vectors = _does(adding.add_vectors)
    pending = _does(adding.pending)
    pending_keys = _does(adding.pending_keys)
    arrived = _does(adding.arrived)
    never_arrived = _does(adding.never_arrived)
    label = _does(inputs_part.label)
    label_many = _does(inputs_part.label_many)
    update_many = _does(inputs_part.update_many)
    patch_many = _does(inputs_part.patch_many)
    delete = _does(inputs_part.delete)
    delete_all = _does(inputs_part.delete_all)
    input = _does(inputs_part.input)
    inputs = _does(inputs_part.inputs)
    inputs_by_id = _does(inputs_part.inputs_by_id)
    existing = _does(inputs_part.existing)
    with_pictures = _does(inputs_part.with_pictures)
    counts = _does(inputs_part.counts)
    picture = _does(inputs_part.picture)
    picture_by_hash = _does(inputs_part.picture_by_hash)
    thumbnail = _does(inputs_part.thumbnail)

    # Concepts and feedback
    concepts = _does(concepts_part.concepts)
    concepts_by_id = _does(concepts_part.concepts_by_id)
    concept_names = _does(concepts_part.concept_names)
    concept = _does(concepts_part.concept)
    create_concepts = _does(concepts_part.create_concepts)
    rename_concepts = _does(concepts_part.rename_concepts)
    label_counts = _does(concepts_part.label_counts)
    keep_feedback = _does(concepts_part.keep_feedback)
    feedback = _does(concepts_part.feedback)

    # Models, versions and workflows
    create_model = _does(models_part.create_model)
    model = _says(predictors.model)
    has_model = _says(predictors.has_model)
    models = _does(models_part.models)
    update_model = _does(models_part.update_model)
    patch_models = _does(models_part.patch_models)
    delete_models = _does(models_part.delete_models)
    thresholds = _says(models_part.thresholds)
    set_thresholds = _does(models_part.set_thresholds)
    choose_thresholds = _does(quality.choose_thresholds)
    create_version = _does(versions_part.create_version)
    version = _says(predictors.version)
    versions = _does(versions_part.versions)
    delete_version = _does(versions_part.delete_version)
    create_workflows = _does(models_part.create_workflows)
    workflow = _does(models_part.workflow)
    workflows = _does(models_part.workflows)
    delete_workflow = _does(models_part.delete_workflow)

    # How good its models are, and what to label next
    evaluate = _says(quality.evaluate)
    evaluate_version = _says(quality.evaluate_version)
    request_evaluation = _says(quality.request_evaluation)
    evaluate_requested = _says(quality.evaluate_requested)
    evaluation_failed = _says(quality.evaluation_failed)
    evaluation = _says(quality.evaluation)
    learning_curve = _says(quality.learning_curve)
    doubts = _says(quality.doubts)
    suggest = _says(suggesting.suggest)
    compare = _says(comparing.compare)

    # The base workflow
    compare_workflows = _says(benchmarking.compare_workflows)

    def change_workflow(self, workflow: str, *, wait: bool = False) -> WorkflowChange:
        """Begins to embed all inputs with another base workflow; the present one serves until that is done.

        Where that is under way already it goes on as it is. wait: returns when it is done, cancelled or failed. Else
        the app works on it in the background, also after a restart, whenever it is open. Raises WorkflowError, or
        BadRequest where that can't be.
        """
        return self._change.begin(workflow, wait=wait)

    def workflow_change(self) -> WorkflowChange | None:
        """The latest change of the base workflow, with its progress; None if there never was one."""
        return self._change.latest()

    def cancel_workflow_change(self) -> bool:
        """Ends the change under way; what it made goes, and everything stays as it is. False: there is none."""
        return self._change.cancel()

    # Memory
    @property
    def in_memory(self) -> bool:
        """Whether its vectors and labels are; if not, who asks for them waits until they are read."""
        return self._current.peek() is not None

    @property
    def used_at(self) -> float:
        """When anybody asked for them, by the monotonic clock."""
        return self._current.used_at

    def load(self) -> None:
        """Reads them, if they are not in memory. Raises StoreClosed or AppNotFound."""
        self._current.take()

    def rest(self) -> bool:
        """Lets them go, until somebody asks for them again; False where the app is written or changed."""
        return not self._change.is_running and self._current.rest()

    def close(self) -> None:
        """When what is being written is; afterwards everything raises StoreClosed, or AppNotFound if it was deleted.

        A change of the base workflow stays where it is; the next one who opens the app goes on with it. May be called
        again.
        """
        self._change.stop()
        self._current.close()

    @property
    def tail(self) -> int:
        """Vectors that every search looks at one by one."""
        return self.state().collection.tail

    def collection_facts(self) -> CollectionFacts:
        """How the searchable vectors are kept, and where."""
        return self.state().collection.facts()

    # Exporting

    def export(self, folder: str | os.PathLike[str], format: ExportFormat | str = ExportFormat.FOLDER) -> None:
        """Writes the app into a folder: all of it, or (`coco`, `imagefolder`, `csv`) its pictures and labels.

        `Store.import_app` makes the same app again of a `folder`. Raises BadRequest for an unknown format.
        """
        write_folder(Path(folder), self._members(format))

    def export_stream(self, format: ExportFormat | str = ExportFormat.FOLDER) -> Generator[bytes, None, None]:
        """The same files as one tar, in blocks; what they hold belongs to one moment. Raises BadRequest.

        The first blocks are empty, while rows are gathered. Who wants no more of it closes it.
        """
        return tar_stream(self._members(format))

    def _members(self, format: ExportFormat | str) -> Members:
        try:
            wanted = ExportFormat(format)
        except ValueError:
            raise BadRequest(f"there is no format {format!r}, only {', '.join(ExportFormat)}") from None
        app = self._current
        app.check_open()
        return _while_open(app, export(app.catalog, app.blobs, app.id, wanted))


def _while_open(app: Current, members: Members) -> Members:
    """The same, as long as the store is open; the app may be deleted meanwhile."""
    with closing(members):
        for member in members:
            app.blobs.check_open()
            yield member
