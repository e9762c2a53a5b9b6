"""tenshot: teach a computer to see what you mean from about ten labelled images.

>>> from tenshot import Store                                              # doctest: +SKIP
>>> app = Store.open("data").create_app("birds", workflow="general")       # doctest: +SKIP

Nothing is imported until it is asked for, so `import tenshot` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .embeddings.pictures.images import ImageError as ImageError
    from .errors import TenshotError as TenshotError
    from .index.app import App as App
    from .index.errors import AlreadyExists as AlreadyExists
    from .index.errors import BadRequest as BadRequest
    from .index.errors import NotFound as NotFound
    from .index.errors import NotSupported as NotSupported
    from .index.records import AddRequest as AddRequest
    from .index.store import Store as Store

__version__ = "0.1.0"

_FACE = {
    "AddRequest": ".index.records",
    "AlreadyExists": ".index.errors",
    "App": ".index.app",
    "BadRequest": ".index.errors",
    "ImageError": ".embeddings.pictures.images",
    "NotFound": ".index.errors",
    "NotSupported": ".index.errors",
    "Store": ".index.store",
    "TenshotError": ".errors",
}
__all__ = [
    "AddRequest",
    "AlreadyExists",
    "App",
    "BadRequest",
    "ImageError",
    "NotFound",
    "NotSupported",
    "Store",
    "TenshotError",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name in _FACE:
        return getattr(importlib.import_module(_FACE[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
