"""How other base workflows would do for an app: how many labels each needs, and what an image costs."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ...embeddings.base.embedder import Recipe
from ...embeddings.workflows import VECTORS, recipe_of
from ...runtime.cancellation import check_cancelled
from ..analysis.workflow_benchmark import accuracies, with_advice
from ..bounds import check_count
from ..errors import BadRequest, NothingToLearn
from ..records import FloatArray, Model, WorkflowComparison, WorkflowsCompared
from .embedding import embed_stored, looked_at
from .predictors import model_of
from .reembedding import StoredKey
from .state import AppState

_BATCH = 32
_MOST_COMPARED, _MOST_SHOTS, _MOST_LABELS, _MOST_DRAWS = 20, 20, 1000, 100
"""Of one comparison: base workflows, numbers of labels, each of these numbers, and draws for each."""


def compare_workflows(
    state: AppState,
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
    pictures, labels = _labelled_pictures(state, model_of(state, model))
    if not _can_be_judged(labels):
        raise NothingToLearn("to compare, two concepts need two pictures each that show only one of them")
    for recipe in recipes:  # weights that can't be had are told before anything is embedded
        state.resources.embedders(recipe)
    done = 0

    def embedded(count: int) -> None:
        nonlocal done
        check_cancelled()
        done += count
        if progress:
            progress(done, len(recipes) * len(pictures))

    return with_advice([_compared(state, recipe, pictures, labels, shots, draws, embedded) for recipe in recipes])


def _labelled_pictures(state: AppState, model: Model) -> tuple[list[StoredKey], NDArray[np.int64]]:
    """Inputs with a picture that show exactly one of the model's concepts, and the number of that concept."""
    concepts: dict[int, list[int]] = {}
    for number, labels in enumerate(state.teacher.labels_of(model.concept_ids).values()):
        for key, value in labels.items():
            if value:
                concepts.setdefault(key, []).append(number)
    keys = np.array(sorted(key for key, numbers in concepts.items() if len(numbers) == 1), dtype=np.int64)
    inputs = state.catalog.inputs.by_key(keys)
    pictures = [
        (key, record.sha256, record.crop) for key in keys.tolist() if (record := inputs.get(key)) and record.sha256
    ]
    return pictures, np.array([concepts[key][0] for key, _, _ in pictures], dtype=np.int64)


def _can_be_judged(labels: NDArray[np.int64]) -> bool:
    """Whether two concepts have two pictures each."""
    return len(labels) > 0 and int(np.sum(np.bincount(labels) >= 2)) >= 2


def _compared(
    state: AppState,
    recipe: Recipe,
    pictures: list[StoredKey],
    labels: NDArray[np.int64],
    shots: Sequence[int],
    draws: int,
    embedded: Callable[[int], None],
) -> WorkflowComparison:
    timed = pictures[:_BATCH]
    embedder = state.resources.embedders(recipe)
    embedder.embed_pixels(list(looked_at(state, recipe, timed[:2])[0].values()))  # warm
    start = time.perf_counter()
    embedder.embed_pixels(list(looked_at(state, recipe, timed)[0].values()))
    seconds = (time.perf_counter() - start) / len(timed)
    rows: dict[int, FloatArray] = {}
    for first in range(0, len(pictures), _BATCH):
        rows |= embed_stored(state, recipe, batch := pictures[first : first + _BATCH], keep=True)[0]
        embedded(len(batch))
    # What can't be embedded, as a lost picture, says nothing.
    present = [number for number, (key, _, _) in enumerate(pictures) if key in rows]
    pictures, labels = [pictures[number] for number in present], labels[present]
    if not _can_be_judged(labels):
        raise NothingToLearn(f"too few of the pictures can be embedded with {recipe.workflow!r} to compare it")
    vectors = np.stack([rows[key] for key, _, _ in pictures])
    power = 0.5 if (vectors.min() >= 0 if recipe.nonnegative is None else recipe.nonnegative) else 1.0
    accuracy, interval = accuracies(vectors, labels, power, shots, draws)
    values = [value for value in accuracy if value is not None]
    return WorkflowComparison(
        workflow=recipe.workflow,
        dim=recipe.dim,
        inputs=len(pictures),
        concepts=len(np.unique(labels)),
        shots=tuple(shots),
        accuracy=accuracy,
        interval=interval,
        mean_accuracy=float(np.mean(values)) if values else None,
        ms_per_image=1000 * seconds,
    )
