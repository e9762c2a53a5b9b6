"""Bodies of requests: from bytes to typed models, within limits that hold before any of it becomes an object.

Unknown fields are ignored, null means absent.
"""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, from_json
from starlette.exceptions import HTTPException

from ...index.bounds import MAX_TEXT
from .status import (
    INVALID_CONCEPT,
    INVALID_INPUT_REQUEST,
    INVALID_REQUEST,
    INVALID_SEARCH,
    MODEL_BAD,
    WORKFLOW_BAD,
    WireError,
)

MOST_VALUES = 1_000_000
"""Values in lists of a body: 128 vectors of 7,800 numbers. They cost at most 100 ns each, and 64 bytes."""
MOST_PARTS = 100_000
"""Keys, objects and lists of a body, which cost up to 1,000 ns each, and 300 bytes."""
MOST_ESCAPES = 8_000_000
"""Backslashes of a body. Some clients write a `/` so, of which base64 has one in 64 characters."""
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
MOST_ITEMS = 128
"""Inputs, concepts or models in one request."""
MOST_NAMES = 10_000
"""Concepts of an input or a model, and ids to delete."""
_MOST_CHARACTERS = 10_000
_MOST_FREE_VALUES = 10_000
_MOST_FREE_CHARACTERS = 1_000_000
_DEEPEST = 32
TOO_MANY = {
    "inputs": INVALID_INPUT_REQUEST,
    "concepts": INVALID_CONCEPT,
    "models": MODEL_BAD,
    "workflows": WORKFLOW_BAD,
    "nodes": WORKFLOW_BAD,
    "ands": INVALID_SEARCH,
    "apps": INVALID_REQUEST,
    "keys": INVALID_REQUEST,
}
"""What the wire says where a list of a request, by its name, is empty or too long."""


def at_most(most: int) -> Any:
    """Of a list: what comes after its first wrong item, or is too much, is not looked at, and costs nothing."""
    return Field(max_length=most, fail_fast=True)


def listed(most: int = MOST_ITEMS, least: int = 1) -> Any:
    """A list that routes refuse where it has fewer than least, with a code of their own; the OpenAPI page tells it."""
    return Field(default_factory=list, max_length=most, fail_fast=True, json_schema_extra={"minItems": least})


def check_some(items: Sequence[object], name: str, most: int = MOST_ITEMS) -> None:
    """most: as the type of the list has it. Raises WireError where there are none."""
    if not items:
        raise WireError(TOO_MANY[name], f"a request has 1 to {most} {name}, not 0")


Text = Annotated[str, Field(max_length=MAX_TEXT)]
"""An id, a name or words: what is looked up, matched or embedded."""
Url = Annotated[str, Field(max_length=_MOST_CHARACTERS)]


def _bounded(free: dict[str, Any]) -> dict[str, Any]:
    """Raises PydanticCustomError for more than a catalog should keep, or than recursion can follow."""
    values = characters = 0
    level: list[Any] = [free]
    for _ in range(_DEEPEST):
        values += len(level)
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                characters += sum(map(len, value))
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, str):
                characters += len(value)
        if values > _MOST_FREE_VALUES or characters > _MOST_FREE_CHARACTERS:
            break
        if not inner:
            return free
        level = inner
    raise PydanticCustomError(
        "too_large",
        "free JSON has at most {values} values, {characters} characters and {levels} levels",
        {"values": _MOST_FREE_VALUES, "characters": _MOST_FREE_CHARACTERS, "levels": _DEEPEST},
    )


FreeJson = Annotated[
    dict[str, Any], Field(json_schema_extra={"maxProperties": _MOST_FREE_VALUES}), AfterValidator(_bounded)
]
"""Whatever a client keeps with an input, a region or a model."""


def one_of(*actions: str) -> Any:
    return Field(actions[0], max_length=_MOST_CHARACTERS, json_schema_extra={"enum": list(actions)})


class Body(BaseModel):
    """Keys with null are taken away before anything is checked."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content: Any) -> Any:
        if isinstance(content, dict):
            return {key: value for key, value in content.items() if value is not None}
        return content

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /) -> dict[str, Any]:
        """Whatever may be absent may be null."""
        made = handler(core_schema)
        schema = handler.resolve_ref_schema(made)
        for name, property in schema.get("properties", {}).items():
            kinds = property.get("anyOf", [])
            if name not in schema.get("required", ()) and {"type": "null"} not in kinds:
                outer = {key: property[key] for key in ("title", "default", "description") if key in property}
                inner = {key: value for key, value in property.items() if key not in outer}
                schema["properties"][name] = {"anyOf": [inner, {"type": "null"}], **outer}
        return made


def _truth(value: Any) -> Any:
    """true, 1 and 1.0 say yes; false, 0 and 0.0 no; words say neither."""
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return value


Truth = Annotated[bool, Field(strict=True), BeforeValidator(_truth)]


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
