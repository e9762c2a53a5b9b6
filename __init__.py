"""tenshot: teach a computer to see what you mean from about ten labelled images.

>>> from tenshot import Store                                              # doctest: +SKIP
>>> app = Store.open("data").create_app("birds", workflow="general")       # doctest: +SKIP

Nothing is imported until it is asked for, so `import tenshot` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .index.errors import TenshotError as TenshotError
    from .index.records import AddRequest as AddRequest
    from .index.store import Store as Store

__version__ = "0.1.0"

_FACE = {"Store": ".index.store", "AddRequest": ".index.records", "TenshotError": ".index.errors"}
__all__ = ["AddRequest", "Store", "TenshotError"]


def __getattr__(name: str) -> Any:
    if name in _FACE:
        return getattr(importlib.import_module(_FACE[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
