"""tenshot: teach a computer to see what you mean from about ten labelled images.

>>> import tempfile
>>> from tenshot import Store
>>> folder = tempfile.TemporaryDirectory()
>>> with Store.open(folder.name) as store:
...     app = store.create_app("birds", workflow="vectors", dim=3)
...     _ = app.add_vectors([[1, 0, 0], [0, 1, 0]], ["a", "b"], [{"robin": True}, {"robin": False}])
...     scores = app.predict_vectors([[0.9, 0.1, 0]])
...     [nearest] = app.search(vector=[0.9, 0.1, 0], k=1)
>>> scores.concept_ids, scores.decisions.tolist(), nearest.input_id
(['robin'], [[True]], 'a')
>>> folder.cleanup()

Here are the store, its apps, the records that they give and the errors that they raise. Nothing is imported until it is
asked for, so `import tenshot` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .embeddings.base.embedder import Recipe as Recipe
    from .embeddings.base.embedder import WorkflowError as WorkflowError
    from .embeddings.pictures.images import BadCrop as BadCrop
    from .embeddings.pictures.images import EmptyImage as EmptyImage
    from .embeddings.pictures.images import ImageError as ImageError
    from .embeddings.pictures.images import ImageNotFound as ImageNotFound
    from .embeddings.pictures.images import ImageTooLarge as ImageTooLarge
    from .embeddings.pictures.images import TruncatedImage as TruncatedImage
    from .embeddings.pictures.images import UndecodableImage as UndecodableImage
    from .embeddings.pictures.images import UnsupportedFormat as UnsupportedFormat
    from .errors import Busy as Busy
    from .errors import TenshotError as TenshotError
    from .index.analysis.reports import Comparison as Comparison
    from .index.analysis.reports import Doubt as Doubt
    from .index.analysis.reports import Evaluation as Evaluation
    from .index.analysis.reports import LearningCurve as LearningCurve
    from .index.analysis.reports import Strategy as Strategy
    from .index.analysis.reports import Suggestion as Suggestion
    from .index.app import App as App
    from .index.app.ranking import Term as Term
    from .index.errors import AlreadyExists as AlreadyExists
    from .index.errors import AppExists as AppExists
    from .index.errors import AppNotFound as AppNotFound
    from .index.errors import BadArchive as BadArchive
    from .index.errors import BadFilter as BadFilter
    from .index.errors import BadRequest as BadRequest
    from .index.errors import BadVector as BadVector
    from .index.errors import ConceptExists as ConceptExists
    from .index.errors import ConceptNotFound as ConceptNotFound
    from .index.errors import DuplicateUrl as DuplicateUrl
    from .index.errors import InputExists as InputExists
    from .index.errors import InputNotFound as InputNotFound
    from .index.errors import InputNotReady as InputNotReady
    from .index.errors import ModelExists as ModelExists
    from .index.errors import ModelNotFound as ModelNotFound
    from .index.errors import NoDatabase as NoDatabase
    from .index.errors import NotFound as NotFound
    from .index.errors import NothingToLearn as NothingToLearn
    from .index.errors import NotSupported as NotSupported
    from .index.errors import StorageFailed as StorageFailed
    from .index.errors import StoreBusy as StoreBusy
    from .index.errors import StoreClosed as StoreClosed
    from .index.errors import StoreDamaged as StoreDamaged
    from .index.errors import StoreInUse as StoreInUse
    from .index.errors import StoreTooNew as StoreTooNew
    from .index.errors import VersionNotFound as VersionNotFound
    from .index.errors import WorkflowExists as WorkflowExists
    from .index.errors import WorkflowNotFound as WorkflowNotFound
    from .index.records import AddRequest as AddRequest
    from .index.records import AddResult as AddResult
    from .index.records import Concept as Concept
    from .index.records import Confidence as Confidence
    from .index.records import Deleted as Deleted
    from .index.records import Explanation as Explanation
    from .index.records import Feedback as Feedback
    from .index.records import Geo as Geo
    from .index.records import Hit as Hit
    from .index.records import Input as Input
    from .index.records import InputStatus as InputStatus
    from .index.records import LabelSource as LabelSource
    from .index.records import Matches as Matches
    from .index.records import Model as Model
    from .index.records import ModelVersion as ModelVersion
    from .index.records import Neighbour as Neighbour
    from .index.records import Prediction as Prediction
    from .index.records import Progress as Progress
    from .index.records import Scores as Scores
    from .index.records import StoredEvaluation as StoredEvaluation
    from .index.records import WorkflowChange as WorkflowChange
    from .index.records import WorkflowsCompared as WorkflowsCompared
    from .index.store import Store as Store
    from .index.vectors.settings import CollectionSettings as CollectionSettings

__version__ = "0.1.0"

_FACE = {
    ".embeddings.base.embedder": (
        "Recipe",
        "WorkflowError",
    ),
    ".embeddings.pictures.images": (
        "BadCrop",
        "EmptyImage",
        "ImageError",
        "ImageNotFound",
        "ImageTooLarge",
        "TruncatedImage",
        "UndecodableImage",
        "UnsupportedFormat",
    ),
    ".errors": (
        "Busy",
        "TenshotError",
    ),
    ".index.analysis.reports": (
        "Comparison",
        "Doubt",
        "Evaluation",
        "LearningCurve",
        "Strategy",
        "Suggestion",
    ),
    ".index.app": ("App",),
    ".index.app.ranking": ("Term",),
    ".index.errors": (
        "AlreadyExists",
        "AppExists",
        "AppNotFound",
        "BadArchive",
        "BadFilter",
        "BadRequest",
        "BadVector",
        "ConceptExists",
        "ConceptNotFound",
        "DuplicateUrl",
        "InputExists",
        "InputNotFound",
        "InputNotReady",
        "ModelExists",
        "ModelNotFound",
        "NoDatabase",
        "NotFound",
        "NotSupported",
        "NothingToLearn",
        "StorageFailed",
        "StoreBusy",
        "StoreClosed",
        "StoreDamaged",
        "StoreInUse",
        "StoreTooNew",
        "VersionNotFound",
        "WorkflowExists",
        "WorkflowNotFound",
    ),
    ".index.records": (
        "AddRequest",
        "AddResult",
        "Concept",
        "Confidence",
        "Deleted",
        "Explanation",
        "Feedback",
        "Geo",
        "Hit",
        "Input",
        "InputStatus",
        "LabelSource",
        "Matches",
        "Model",
        "ModelVersion",
        "Neighbour",
        "Prediction",
        "Progress",
        "Scores",
        "StoredEvaluation",
        "WorkflowChange",
        "WorkflowsCompared",
    ),
    ".index.store": ("Store",),
    ".index.vectors.settings": ("CollectionSettings",),
}
_MODULES = {name: module for module, names in _FACE.items() for name in names}
__all__ = sorted(_MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
