"""A filter tree as an SQL condition on `inputs`. Every text from a user is a bound parameter."""

import json
import math
from collections.abc import Mapping
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, cast, exists, false, func, literal, not_, or_, select, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import Text

from ..filters import All, Created, Either, Filter, HasId, HasMetadata, HasUrl, InBox, Labelled, Near, Not
from . import schema

_inputs, _labels, _concepts = schema.inputs, schema.labels, schema.concepts
Condition = ColumnElement[bool]


def condition(filter: Filter, app_id: str, dialect: str) -> Condition:
    """True or false for each row, never NULL, so that `not` is the exact opposite."""

    def part_condition(part: Filter) -> Condition:
        return condition(part, app_id, dialect)

    match filter:
        case All(parts):
            return and_(true(), *(part_condition(part) for part in parts))
        case Either(parts):
            return or_(false(), *(part_condition(part) for part in parts))
        case Not(part):
            return not_(part_condition(part))
        case Labelled(concept_id, value):
            return _labelled(app_id, concept_id, value)
        case HasId(ids):
            return _inputs.c.id.in_(_texts(ids, dialect))
        case HasUrl(url):
            return func.coalesce(_inputs.c.url == url, false())
        case Created(after, before):
            bounds = [_inputs.c.created_at >= after] if after else []
            return and_(true(), *bounds, *([_inputs.c.created_at <= before] if before else []))
        case InBox(west, south, east, north):
            inside = and_(_inputs.c.longitude.between(west, east), _inputs.c.latitude.between(south, north))
            return and_(_inputs.c.longitude.is_not(None), inside)
        case Near():
            return and_(_inputs.c.longitude.is_not(None), _near(filter))
        case HasMetadata(metadata):
            if dialect == "postgresql":
                return func.coalesce(cast(_inputs.c.metadata, JSONB).contains(dict(metadata)), false())
            return and_(_inputs.c.metadata.is_not(None), _contains(_inputs.c.metadata, metadata, count()))


def _labelled(app_id: str, concept_id: str, value: bool) -> Condition:
    keys = (
        select(_labels.c.input_key)
        .join(_concepts, _concepts.c.key == _labels.c.concept_key)
        .where(_concepts.c.app_id == app_id, _concepts.c.id == concept_id, _labels.c.value.is_(value))
    )
    return _inputs.c.key.in_(keys)


def _texts(texts: tuple[str, ...], dialect: str) -> Any:
    """A list of texts, however long, as one parameter."""
    array = json.dumps(texts)
    if dialect == "postgresql":
        return select(func.jsonb_array_elements_text(cast(literal(array, Text), JSONB)))
    return select(func.json_each(array).table_valued("value").c.value)


def _near(near: Near) -> Condition:
    """Great-circle distance by the haversine, which stays exact for small ones."""
    latitude, longitude = func.radians(_inputs.c.latitude), func.radians(_inputs.c.longitude)
    half_lat = func.sin((latitude - math.radians(near.latitude)) / 2)
    half_lon = func.sin((longitude - math.radians(near.longitude)) / 2)
    square = half_lat * half_lat + math.cos(math.radians(near.latitude)) * func.cos(latitude) * half_lon * half_lon
    return square <= math.sin(min(near.radians, math.pi) / 2) ** 2 + 1e-15


def _contains(json_value: Any, value: object, names: "count[int]") -> Condition:
    """Whether a JSON value in SQLite contains another one: mappings by key, lists by item, the rest by equality."""
    kind = func.json_type(json_value)
    if isinstance(value, Mapping):
        return and_(kind == "object", *(_member(json_value, key, inner, names) for key, inner in value.items()))
    if isinstance(value, list | tuple):
        return and_(kind == "array", *(_member(json_value, None, inner, names) for inner in value))
    raise AssertionError("only containers are asked for as a whole")


def _member(json_value: Any, key: str | None, value: object, names: "count[int]") -> Condition:
    """Whether a mapping has this key with this value or, where key is None, a list has an item of this value."""
    each = func.json_each(json_value).table_valued("key", "value", "type", name=f"each_{next(names)}")
    conditions = [] if key is None else [each.c.key == bindparam(None, key, type_=Text)]
    if isinstance(value, Mapping | list | tuple):
        kind = "object" if isinstance(value, Mapping) else "array"
        # `json_each` gives containers as text; with `and_` alone SQLite would try to parse other values too.
        container = func.iif(each.c.type == kind, each.c.value, "{}" if kind == "array" else "[]")
        conditions.append(_contains(container, value, names))
    elif value is None or isinstance(value, bool):
        conditions.append(each.c.type == {None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, str):
        conditions.append(and_(each.c.type == "text", each.c.value == bindparam(None, value, type_=Text)))
    else:
        conditions.append(and_(each.c.type.in_(["integer", "real"]), each.c.value == literal(value)))
    return exists(select(literal(1)).select_from(each).where(*conditions))
