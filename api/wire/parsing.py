"""From a request's bytes to the model of its body: within limits that hold before any of it becomes an object."""

from collections.abc import Sequence
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.exceptions import HTTPException

from .requests import TOO_MANY
from .status import WireError

MOST_VALUES = 1_000_000
"""Values in lists of a body: 128 vectors of 7,800 numbers. They cost at most 100 ns each, and 64 bytes."""
MOST_PARTS = 100_000
"""Keys, objects and lists of a body, which cost up to 1,000 ns each, and 300 bytes."""
MOST_ESCAPES = 8_000_000
"""Backslashes of a body. Some clients write a `/` so, of which base64 has one in 64 characters."""
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")

B = TypeVar("B", bound=BaseModel)


def body_of(kind: type[B], content: bytes | bytearray, content_type: str = "") -> B:
    """What a body says; an empty one is an empty object. content_type: only for the words of an error.

    Holds the interpreter's lock for as long as it takes: within `memory_of` 0.2 seconds, or 0.3 for 128 MiB of base64.

    Raises RequestValidationError for what isn't JSON or of a wrong type, WireError for a list of the wire that is too
    long.
    """
    try:
        # No answer could carry NaN, lone surrogates or bottomless nesting either.
        return kind.model_validate(from_json(content or b"{}", allow_inf_nan=False))
    except ValidationError as error:
        # Models go on behind a wrong key, lists don't behind a wrong item: so there are few.
        wrong = error.errors(include_url=False, include_input=False)
        _check_lists(wrong)
        raise RequestValidationError([{**first, "loc": ("body", *first["loc"])} for first in wrong[:1]]) from error
    except ValueError as error:
        form = content_type.partition(";")[0].strip().lower()
        hint = f"; a body is JSON, not {form}" if form in _FORMS else ""
        no_json = {"type": "json_invalid", "loc": ("body",), "msg": f"no JSON in UTF-8: {error}{hint}"}
        raise RequestValidationError([no_json]) from error


def memory_of(content: bytes | bytearray) -> int:
    """Bytes that a body's values take beside their text, roughly; before it is parsed, as fast as it can be read.

    Counted in all of its bytes, text included. Raises HTTPException for more than is looked at.
    """
    values = _counted(content, b",", MOST_VALUES, "values")
    _counted(content, b":[{", MOST_PARTS, "keys, objects and lists")
    _counted(content, b"\\", MOST_ESCAPES, "escaped characters")
    return 64 * values


def _counted(content: bytes | bytearray, characters: bytes, most: int, what: str) -> int:
    count = sum(content.count(character) for character in characters)
    if count > most:
        raise HTTPException(413, f"a request may have {most} {what}, not {count}: send fewer at once")
    return count


def _check_lists(wrong: Sequence[Any]) -> None:
    """Raises WireError where a list that has a status of its own is too long."""
    for error in wrong:
        if error["type"] == "too_long" and (name := error["loc"][-1]) in TOO_MANY:
            place = ".".join(str(part) for part in error["loc"][:-1]) or "a request"
            most, count = error["ctx"]["max_length"], error["ctx"]["actual_length"]
            raise WireError(TOO_MANY[name], f"{place} has at most {most} {name}, not {count}")
