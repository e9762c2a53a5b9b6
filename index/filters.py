"""Filters as plain data, read into a small tree.

    {"label": "robin"}                                       labelled yes; with "value": False labelled no
    {"metadata": {"year": 2024, "tags": ["red"]}}            these are contained, at any depth
    {"geo": {"longitude": 2.3, "latitude": 48.9, "within_km": 5}}     or within_miles, within_degrees, within_radians
    {"geo": {"box": [[2.2, 48.8], [2.5, 49.0]]}}             (longitude, latitude) of opposite corners, borders included
    {"created": {"after": "2024-01-01T00:00:00Z"}}           after and before, ISO text or datetime, borders included
    {"ids": ["a", "b"]}   {"url": "https://..."}
    {"and": [...]}   {"or": [...]}   {"not": {...}}

Several keys in one mapping must all hold; an empty mapping matches everything. A tree has at most 100 parts, and is no
deeper than databases read: 10 levels, in `metadata` 6.
"""

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import BadFilter
from .records import Where

_MAX_PARTS = 100
_MAX_DEPTH = 10
_MAX_METADATA_DEPTH = 6
"""SQLite's parser before 3.46 takes a hundred open brackets and words in all."""
_EARTH_KM = 6371.0088


@dataclass(frozen=True)
class Labelled:
    concept_id: str
    value: bool


@dataclass(frozen=True)
class HasMetadata:
    wanted: Mapping[str, Any]


@dataclass(frozen=True)
class Near:
    """Within an angle (radians on the sphere) of a place in degrees."""

    longitude: float
    latitude: float
    radians: float


@dataclass(frozen=True)
class InBox:
    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True)
class Created:
    after: datetime | None
    before: datetime | None


@dataclass(frozen=True)
class HasId:
    ids: tuple[str, ...]


@dataclass(frozen=True)
class HasUrl:
    url: str


@dataclass(frozen=True)
class All:
    parts: tuple["Filter", ...]


@dataclass(frozen=True)
class Either:
    parts: tuple["Filter", ...]


@dataclass(frozen=True)
class Not:
    part: "Filter"


Filter = Labelled | HasMetadata | Near | InBox | Created | HasId | HasUrl | All | Either | Not


def parse(where: Where) -> Filter:
    """Raises BadFilter, which names the part that is wrong."""
    filter = _parse(where, _MAX_DEPTH)
    if _size(filter) > _MAX_PARTS:
        raise BadFilter(f"the filter has more than {_MAX_PARTS} parts")
    return filter


def _size(filter: object) -> int:
    """How many conditions a database is asked for, about."""
    match filter:
        case All(parts) | Either(parts):
            return 1 + sum(map(_size, parts))
        case Not(part):
            return 1 + _size(part)
        case HasMetadata(wanted) | (Mapping() as wanted):
            return 1 + sum(map(_size, wanted.values()))
        case list() | tuple():
            return 1 + sum(map(_size, filter))
        case _:
            return 1


def _parse(where: object, depth: int) -> Filter:
    if depth == 0:
        raise BadFilter(f"the filter is nested deeper than {_MAX_DEPTH}")
    if not isinstance(where, Mapping):
        raise BadFilter(f"a filter is a mapping, not {_short(where)}")
    if "value" in where and "label" not in where:
        raise BadFilter("'value' belongs beside 'label'")
    parts: list[Filter] = []
    for key, value in where.items():
        if key == "value":
            continue
        if key == "label":
            parts.append(_label(value, where.get("value", True)))
        elif key in ("and", "or"):
            branches = tuple(_parse(part, depth - 1) for part in _list(value, key))
            parts.append(All(branches) if key == "and" else Either(branches))
        elif key == "not":
            parts.append(Not(_parse(value, depth - 1)))
        elif key in _LEAVES:
            parts.append(_LEAVES[key](value))
        else:
            known = ", ".join(["and", "label", "not", "or", *sorted(_LEAVES)])
            raise BadFilter(f"unknown filter {_short(key)}; there are {known}")
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _label(concept: object, value: object) -> Labelled:
    if not isinstance(value, bool):
        raise BadFilter(f"the 'value' of a label is True or False, not {_short(value)}")
    return Labelled(_text(concept, "label"), value)


def _metadata(value: object) -> HasMetadata:
    if not isinstance(value, Mapping):
        raise BadFilter(f"'metadata' is a mapping, not {_short(value)}")
    _check_json(value, _MAX_METADATA_DEPTH)
    return HasMetadata(value)


def _check_json(value: object, depth: int) -> None:
    if depth == 0:
        raise BadFilter(f"'metadata' is nested deeper than {_MAX_METADATA_DEPTH}")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _text(key, "metadata key")
            _check_json(inner, depth - 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_json(inner, depth - 1)
    elif isinstance(value, str):
        _check_encodable(value, "metadata")
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadFilter("a number in 'metadata' is not finite")
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        raise BadFilter("a number in 'metadata' is too large")
    elif not isinstance(value, int | float | None):
        raise BadFilter(f"'metadata' is plain JSON, which {_short(value)} is not")


def _geo(value: object) -> Near | InBox:
    if not isinstance(value, Mapping):
        raise BadFilter(f"'geo' is a mapping, not {_short(value)}")
    if value.keys() == {"box"}:
        corners = [_list(corner, "box corner") for corner in _list(value["box"], "box")]
        if [len(corner) for corner in corners] != [2, 2]:
            raise BadFilter("a 'box' is two corners of (longitude, latitude)")
        (lon1, lat1), (lon2, lat2) = ((_number(lon, "longitude"), _number(lat, "latitude")) for lon, lat in corners)
        return InBox(min(lon1, lon2), min(lat1, lat2), max(lon1, lon2), max(lat1, lat2))
    units = [unit for unit in _RADIANS if unit in value]
    if len(units) != 1 or value.keys() != {"longitude", "latitude", units[0]}:
        raise BadFilter(f"'geo' is a box, or longitude, latitude and one of {', '.join(_RADIANS)}")
    distance = _number(value[units[0]], units[0])
    if distance < 0:
        raise BadFilter(f"{units[0]!r} must not be negative")
    return Near(
        _number(value["longitude"], "longitude"), _number(value["latitude"], "latitude"), distance * _RADIANS[units[0]]
    )


def _created(value: object) -> Created:
    if not isinstance(value, Mapping) or not value or value.keys() - {"after", "before"}:
        raise BadFilter("'created' has 'after', 'before' or both")
    return Created(*(None if value.get(side) is None else _moment(value[side], side) for side in ("after", "before")))


def _moment(value: object, name: str) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(_text(value, name))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadFilter(f"{name!r} is a time in ISO 8601, not {_short(value)}") from error


def _ids(value: object) -> HasId:
    return HasId(tuple(_text(id, "id") for id in _list(value, "ids")))


def _url(value: object) -> HasUrl:
    return HasUrl(_text(value, "url"))


def _list(value: object, name: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise BadFilter(f"{name!r} is a list, not {_short(value)}")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise BadFilter(f"{name!r} is a text, not {_short(value)}")
    _check_encodable(value, name)
    return value


def _check_encodable(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadFilter(f"{name!r} has half a surrogate pair: {error.reason}") from error


def _number(value: object, name: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadFilter(f"{name!r} is a number, not {_short(value)}")
    return number


def _short(value: object) -> str:
    """For a message: never long, however large or deep it is."""
    try:
        return reprlib.repr(value)[:100]
    except Exception:
        return f"a {type(value).__name__}"


_RADIANS = {
    "within_km": 1 / _EARTH_KM,
    "within_miles": 1.609344 / _EARTH_KM,
    "within_degrees": math.pi / 180,
    "within_radians": 1.0,
}
_LEAVES: Mapping[str, Callable[[object], Filter]] = {
    "metadata": _metadata,
    "geo": _geo,
    "created": _created,
    "ids": _ids,
    "url": _url,
}
