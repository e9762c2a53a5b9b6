"""What a caller may ask for: each number and each text that sizes memory or work is checked here first."""

import numpy as np
from numpy.typing import NDArray

from .errors import BadRequest
from .records import FloatArray

MAX_TEXT = 1000
"""Characters of a text to search by: SQL's patterns, encoders and logs are made for no longer ones."""
MOST_JSON = 1 << 25
"""Bytes of one JSON document that is kept, as a text: what is larger no import would take."""
MOST_CONTAINERS = 1 << 20
"""Brackets and braces that open in it: each may be an object in memory."""

_LEAST_NORM = 1e-12
_MOST_ROWS = 1 << 62
"""What SQL counts to, and more than there are."""


def has_direction(norms: FloatArray) -> NDArray[np.bool_]:
    """(n,): which of vectors of these lengths, (n,), have a direction worth trusting: neither zero nor not finite."""
    return np.isfinite(norms) & (norms > _LEAST_NORM)


def check_text(value: object, what: str, most: int = MAX_TEXT) -> str:
    """Words to search by: no longer than a name could be, give or take."""
    if not isinstance(value, str):
        raise BadRequest(f"{what} must be a text, not {type(value).__name__}")
    if len(value) > most:
        raise BadRequest(f"{what} is {len(value):,} characters long, more than the {most:,} allowed")
    return value


def check_count(value: object, what: str, most: int | None = None, *, least: int = 1) -> int:
    """A whole number, NumPy's too, but neither True nor 3.0. most: None where what there is bounds it."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise BadRequest(f"{what} must be a whole number, not {value!r}")
    if value < least or (most is not None and value > most):
        allowed = f"{least} or more" if most is None else f"between {least} and {most}"
        raise BadRequest(f"{what} must be {allowed}, not {value}")
    return int(value)


def page_bounds(page: int, per_page: int) -> tuple[int, int]:
    """How many items come before a page, and how many it has at most; as SQL can count. Raises BadRequest."""
    page, per_page = check_count(page, "page"), check_count(per_page, "per_page")
    return min((page - 1) * per_page, _MOST_ROWS), min(per_page, _MOST_ROWS)
