"""Filters against plain Python over random inputs; malformed ones are refused."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenshot.index.app import App
from tenshot.index.errors import BadFilter
from tenshot.index.records import Geo, Input, InputChange

LABELS = st.fixed_dictionaries({"label": st.sampled_from("abc")}, optional={"value": st.booleans()})
FACTS: list[dict[str, Any]] = [
    *({"n": 1}, {"n": 2.0}, {"tags": ["x"]}, {"tags": ["x", "y"]}, {"deep": {"flag": True}}, {"deep": {"flag": None}}),
    *({"name": "Zoë"}, {"n": 1, "name": "Zoë"}, {"nothing": 1}, {}),
]
METADATA = st.sampled_from(FACTS).map(lambda wanted: {"metadata": wanted})
PLACES = st.sampled_from(
    [{"longitude": 0, "latitude": 0, "within_km": 1200}, {"box": [[5, -5], [-5, 5]]}, {"box": [[0, 0], [180, 90]]}]
).map(lambda place: {"geo": place})
IDS = st.lists(st.integers(0, 320).map("x{}".format), max_size=5).map(lambda ids: {"ids": ids})
TREES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    LABELS | METADATA | PLACES | IDS,
    lambda parts: st.one_of(
        st.lists(parts, max_size=3).map(lambda some: {"and": some}),
        st.lists(parts, max_size=3).map(lambda some: {"or": some}),
        parts.map(lambda part: {"not": part}),
    ),
    max_leaves=6,
)


@pytest.fixture
def crowd(app: App) -> App:
    """300 inputs with every mixture of labels, metadata and places, or none."""
    rng = np.random.default_rng(0)
    facts: list[dict[str, Any] | None] = [None, {"n": 1}, {"n": 2, "tags": ["x", "y"]}, {"deep": {"flag": True}}]
    facts += [{"name": "Zoë", "n": 1.0, "tags": ["x"]}, {"deep": {"flag": None}, "n": "1"}]
    labels = [{c: bool(rng.random() < 0.5) for c in "abc" if rng.random() < 0.6} for _ in range(300)]
    metadata = [facts[int(rng.integers(len(facts)))] for _ in range(300)]
    app.add_vectors(rng.normal(size=(300, 8)), [f"x{i}" for i in range(300)], labels, metadata)
    places = [InputChange(f"x{i}", geo=Geo(*rng.uniform([-20, -20], [20, 20]).tolist())) for i in range(0, 300, 2)]
    app.update_many(places)
    return app


def holds(tree: Mapping[str, Any], one: Input) -> bool:
    match tree:
        case {"label": concept}:
            return one.concepts.get(concept) is tree.get("value", True)
        case {"metadata": wanted}:
            return contains(one.metadata, wanted)
        case {"geo": {"box": [[west, south], [east, north]]}}:
            place = one.geo
            return place is not None and (
                min(west, east) <= place.longitude <= max(west, east)
                and min(south, north) <= place.latitude <= max(south, north)
            )
        case {"geo": near}:
            return one.geo is not None and kilometres(one.geo, near) <= near["within_km"]
        case {"ids": ids}:
            return one.id in ids
        case {"and": parts}:
            return all(holds(part, one) for part in parts)
        case {"or": parts}:
            return any(holds(part, one) for part in parts)
    return not holds(tree["not"], one)


def contains(there: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(k in there and contains(there[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return isinstance(there, list) and all(any(contains(item, one) for item in there) for one in wanted)
    return (type(there) is type(wanted) and there == wanted) or (
        not isinstance(there, bool | str) and not isinstance(wanted, bool | str) and there == wanted
    )


def kilometres(place: Geo, near: Mapping[str, float]) -> float:
    """The haversine formula on a sphere."""
    a, b, c, d = np.radians([place.latitude, place.longitude, near["latitude"], near["longitude"]])
    h = np.sin((c - a) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((d - b) / 2) ** 2
    return float(2 * 6371.0088 * np.arcsin(np.sqrt(h)))


def test_every_tree_matches_what_plain_python_finds(crowd: App) -> None:
    everything = crowd.inputs(per_page=1000)

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(TREES)
    def check(tree: dict[str, Any]) -> None:
        found = [hit.input_id for hit in crowd.search(where=tree, k=1000)]
        assert found == [one.id for one in everything if holds(tree, one)], tree

    check()


def test_times_and_urls_filter_too(crowd: App) -> None:
    first = crowd.input("x0").created_at
    assert len(crowd.search(where={"created": {"after": first.isoformat()}}, k=1000)) == 300
    assert crowd.search(where={"created": {"before": "2001-01-01T00:00:00Z"}}, k=1000) == []
    assert crowd.search(where={"url": "http://nowhere"}, k=1000) == []


@pytest.mark.parametrize(
    "tree",
    [
        *([], "label", {"colour": 1}, {"label": 3}, {"label": "a", "value": "yes"}, {"value": True}, {"metadata": []}),
        *({"metadata": {"n": float("nan")}}, {"geo": {}}, {"geo": {"longitude": 1, "latitude": 2}}, {"ids": "a"}),
        *({"geo": {"longitude": "x", "latitude": 2, "within_km": 1}}, {"geo": {"box": [[1, 2]]}}, {"and": {}}),
        *({"geo": {"longitude": 1, "latitude": 2, "within_km": -1}}, {"created": {}}, {"created": {"after": "soon"}}),
        *({"not": []}, {"or": [3]}, {"url": 3}),
    ],
    ids=repr,
)
def test_a_malformed_filter_is_refused(app: App, tree: Any) -> None:
    with pytest.raises(BadFilter):
        app.search(where=tree)


def test_a_filter_nested_without_end_is_refused(app: App) -> None:
    deep: dict[str, Any] = {"label": "a"}
    for _ in range(1000):
        deep = {"not": deep}
    with pytest.raises(BadFilter, match="deeper"):
        app.search(where=deep)
