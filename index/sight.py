"""Sight: an app's base workflow, how others would do in its place, and changing it while the app serves.

All inputs are embedded again in the background; what SQL holds of new vectors is the progress, so it survives whatever
ends the process. When none is missing, one transaction makes the app see with the new workflow. Labels, concepts and
models belong to inputs and carry over. A few pictures that can't be embedded, lost ones say, don't hold up the others:
their inputs fail. Readers who were caught by the switch are asked again.
"""

import errno
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..embeddings.base import Pixels, Recipe
from ..embeddings.batcher import Batcher
from ..embeddings.cancellation import check_cancelled
from ..embeddings.images import ImageError, Opener, open_image
from ..embeddings.parallel import side_by_side
from ..embeddings.workflows import VECTORS, recipe_of
from .blobs import Blobs
from .bounds import check_count
from .catalog import Catalog
from .collection import Collection
from .errors import BadRequest, NotFound, NothingToLearn
from .records import (
    AppRecord,
    ChangeState,
    FloatArray,
    Model,
    WorkflowChange,
    WorkflowComparison,
    WorkflowsCompared,
)
from .reembedding import Embedded, Reembedding, StoredKey, forget
from .review import Review
from .vector_cache import VectorCache
from .workflow_comparison import accuracies, with_advice

_BATCH = 32
_MOST_COMPARED, _MOST_SHOTS, _MOST_LABELS, _MOST_DRAWS = 20, 20, 1000, 100
"""Of one comparison: base workflows, numbers of labels, each of these numbers, and draws for each."""

T = TypeVar("T")


class Sight(Review):
    """The part of an `App` that knows what it sees with."""

    def __init__(
        self,
        record: AppRecord,
        catalog: Catalog,
        blobs: Blobs,
        collections: Callable[[AppRecord], Collection],
        embedders: Callable[[Recipe], Batcher],
        opener: Opener = open_image,
        cache: VectorCache | None = None,
    ) -> None:
        super().__init__(record, catalog, blobs, collections, embedders, opener, cache)
        self._turn = 0
        self._switching = threading.Lock()
        self._worker: Reembedding | None = None
        latest = catalog.changes.latest(self.id)
        if latest and latest.state is ChangeState.RUNNING:
            self._work_on(latest)

    def change_workflow(self, workflow: str, *, wait: bool = False) -> WorkflowChange:
        """Begins to embed all inputs with another base workflow; the present one serves until that is done.

        Where that is under way already it goes on as it is. wait: returns when it is done, cancelled or failed. Else
        the app works on it in the background, also after a restart, whenever it is open. Raises WorkflowError, or
        BadRequest where that can't be.
        """
        recipe = recipe_of(workflow) if workflow != VECTORS else None
        if recipe is None or self.recipe.workflow == VECTORS:
            raise BadRequest("vectors that were made elsewhere can't be embedded again: make another app for them")
        if recipe.workflow == self.recipe.workflow:
            raise BadRequest(f"the app sees with {workflow!r} already")
        self._embedders(recipe)  # before anything is noted: weights that can't be had are told at once
        with self._lock:
            latest = self._catalog.changes.latest(self.id)
            if not (latest and latest.state is ChangeState.RUNNING and latest.recipe == asdict(recipe)):
                self._work_on(self._catalog.changes.begin(self.id, asdict(recipe)))
            elif not (self._worker and self._worker.alive):
                self._work_on(latest)
            worker = self._worker
        if wait and worker:
            worker.join()
        found = self.workflow_change()
        assert found
        return found

    def workflow_change(self) -> WorkflowChange | None:
        """The latest change of the base workflow, with its progress; None if there never was one."""
        with self._lock:  # so that one which is done has been switched to in memory too
            return self._catalog.changes.latest(self.id)

    def cancel_workflow_change(self) -> bool:
        """Ends the change under way; what it made goes, and everything stays as it is. False: there is none."""
        ended = self._catalog.changes.give_up(self.id, ChangeState.CANCELLED)
        forget(self._catalog.changes, self.id)
        return ended

    def close(self) -> None:
        """Stops a change where it is; the next one who opens the app goes on with it."""
        if self._worker:
            self._worker.stop()
            self._worker.join()
        super().close()

    def rest(self) -> bool:
        """Lets the memory go, until somebody asks for it again; False where the app is written or changed."""
        return not (self._worker and self._worker.alive) and super().rest()

    def compare_workflows(
        self,
        workflows: Sequence[str],
        model: Model | str | None = None,
        *,
        shots: Sequence[int] = (1, 2, 5, 10),
        draws: int = 10,
        progress: Callable[[int, int], None] | None = None,
    ) -> WorkflowsCompared:
        """How many labels each of these base workflows would need here, and what it costs; nothing is changed.

        Judged on the inputs that show exactly one of the model's concepts. progress is told how many pictures are
        embedded, of how many. Raises NothingToLearn without two concepts of two such inputs each, and WorkflowError
        for a workflow that can't be opened.
        """
        check_count(draws, "draws", _MOST_DRAWS)
        check_count(len(workflows), "the number of base workflows", _MOST_COMPARED)
        check_count(len(shots), "the number of shots", _MOST_SHOTS)
        for few in shots:
            check_count(few, "shots", _MOST_LABELS)
        if VECTORS in workflows:
            raise BadRequest("vectors that were made elsewhere can't be compared: nothing here makes them of pictures")
        recipes = list(dict.fromkeys(recipe_of(workflow) for workflow in workflows))
        pictures, labels = self._labelled_pictures(self._model(model))
        if len(labels) == 0 or np.sum(np.bincount(labels) >= 2) < 2:
            raise NothingToLearn("to compare, two concepts need two pictures each that show only one of them")
        for recipe in recipes:  # weights that can't be had are told before anything is embedded
            self._embedders(recipe)
        done = 0

        def embedded(count: int) -> None:
            nonlocal done
            check_cancelled()
            done += count
            if progress:
                progress(done, len(recipes) * len(pictures))

        return with_advice(
            [self._compared_workflow(recipe, pictures, labels, shots, draws, embedded) for recipe in recipes]
        )

    def _labelled_pictures(self, model: Model) -> tuple[list[StoredKey], NDArray[np.int64]]:
        """Inputs with a picture that show exactly one of the model's concepts, and the number of that concept."""
        shown: dict[int, list[int]] = {}
        for number, given in enumerate(self._teacher.labels_of(model.concept_ids).values()):
            for key, value in given.items():
                if value:
                    shown.setdefault(key, []).append(number)
        keys = np.array(sorted(key for key, numbers in shown.items() if len(numbers) == 1), dtype=np.int64)
        inputs = self._catalog.inputs.by_key(keys)
        pictures = [(key, one.sha256, one.crop) for key in keys.tolist() if (one := inputs.get(key)) and one.sha256]
        return pictures, np.array([shown[key][0] for key, _, _ in pictures], dtype=np.int64)

    def _compared_workflow(
        self,
        recipe: Recipe,
        pictures: list[StoredKey],
        labels: NDArray[np.int64],
        shots: Sequence[int],
        draws: int,
        embedded: Callable[[int], None],
    ) -> WorkflowComparison:
        timed = pictures[:_BATCH]
        embedder = self._embedders(recipe)
        embedder.embed_pixels(list(self._looked_at(recipe, timed[:2])[0].values()))  # warm
        start = time.perf_counter()
        embedder.embed_pixels(list(self._looked_at(recipe, timed)[0].values()))
        seconds = (time.perf_counter() - start) / len(timed)
        found: dict[int, FloatArray] = {}
        for first in range(0, len(pictures), _BATCH):
            found |= self._embed_stored(recipe, batch := pictures[first : first + _BATCH], keep=True)[0]
            embedded(len(batch))
        # What can't be embedded, as a lost picture, says nothing.
        there = [number for number, (key, _, _) in enumerate(pictures) if key in found]
        pictures, labels = [pictures[number] for number in there], labels[there]
        if len(labels) == 0 or np.sum(np.bincount(labels) >= 2) < 2:
            raise NothingToLearn(f"too few of the pictures can be embedded with {recipe.workflow!r} to compare it")
        vectors = np.stack([found[key] for key, _, _ in pictures])
        power = 0.5 if (vectors.min() >= 0 if recipe.nonnegative is None else recipe.nonnegative) else 1.0
        accuracy, interval = accuracies(vectors, labels, power, shots, draws)
        known = [value for value in accuracy if value is not None]
        return WorkflowComparison(
            workflow=recipe.workflow,
            dim=recipe.dim,
            inputs=len(pictures),
            concepts=len(np.unique(labels)),
            shots=tuple(shots),
            accuracy=accuracy,
            interval=interval,
            mean_accuracy=float(np.mean(known)) if known else None,
            ms_per_image=1000 * seconds,
        )

    def _steadily(self, answer: Callable[[], T]) -> T:
        """What answer gives while the app sees with one base workflow: asked again if that was changed meanwhile."""
        while True:
            with self._switching:
                turn = self._turn
            try:
                found = answer()
            except Exception:
                if turn == self._turn:
                    raise
            else:
                if turn == self._turn:
                    return found

    def _work_on(self, change: WorkflowChange) -> None:
        if self._worker:
            self._worker.stop()
        self._worker = Reembedding(self.id, change, self._catalog, self._embed_stored, self._switch)

    def _embed_stored(self, recipe: Recipe, pictures: Sequence[StoredKey], *, keep: bool = False) -> Embedded:
        """Under any base workflow, without embedding again what some app has embedded.

        keep: in memory, for the next who asks; for vectors that nothing stores.
        """
        eye = self.eye(recipe)
        known = eye.known((sha256, box) for _, sha256, box in pictures)
        vectors = {key: known[sha256, box] for key, sha256, box in pictures if (sha256, box) in known}
        looks, lost = self._looked_at(recipe, [picture for picture in pictures if picture[0] not in vectors])
        rows: Iterable[FloatArray] = eye.embedder.see_pixels(list(looks.values())) if looks else ()
        named = {key: (sha256, box) for key, sha256, box in pictures}
        for key, row in zip(looks, rows, strict=True):
            if not np.isfinite(row).all():
                lost[key] = "the model gave numbers that are not finite"
                continue
            vectors[key] = row[: recipe.dim]
            if keep:
                eye.cache.put(recipe, named[key], row)
        return vectors, lost

    def _looked_at(self, recipe: Recipe, pictures: Sequence[StoredKey]) -> tuple[dict[int, Pixels], dict[int, str]]:
        """What the base workflow looks at by input key, and why there is nothing to look at for the others."""
        eye = self.eye(recipe)

        def look(picture: StoredKey) -> Pixels | str:
            try:
                return eye.look(self._blobs.get(picture[1]), picture[2])
            except NotFound:
                return "the picture is lost"
            except ImageError as error:
                return str(error)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return "the disk can't read the picture"

        looks = dict(zip([key for key, _, _ in pictures], side_by_side(look, pictures), strict=True))
        lost = {key: look for key, look in looks.items() if isinstance(look, str)}
        return {key: look for key, look in looks.items() if not isinstance(look, str)}, lost

    def _switch(self, change: WorkflowChange, lost: Mapping[int, str]) -> bool:
        recipe = Recipe(**change.recipe)
        with self._lock:
            left = self._catalog.changes.missing(self.id, recipe.workflow, len(lost) + 1)
            if any(key not in lost for key, _, _ in left):
                return False
            record = replace(self._catalog.apps.get(self.id), recipe=change.recipe, dim=recipe.dim)
            # Made first, for it may fail: from the transaction on, everything has to see with the new workflow.
            memory = self._remembered(record)
            try:
                switched = self._catalog.changes.switch(self.id, change, lost)
            except BaseException:
                memory.collection.close()
                raise
            if switched is None:
                memory.collection.close()
                return False
            ended, failed = switched
            memory.teacher.forget(failed)
            with self._switching:
                self._turn += 1
                old, self._memory = self._memory, memory
                self.recipe, self.dim, self._space_saved = recipe, recipe.dim, None
                self._changes = [*self._changes, ended]
        if old:
            old.collection.close()
        return True
