"""Every public call with bad input gives one error of the tree, and nothing is stored."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tenshot import Store
from tenshot.embeddings.base.embedder import WorkflowError
from tenshot.embeddings.pictures.images import ImageError
from tenshot.index.app import App
from tenshot.index.bounds import MOST_CONTAINERS, MOST_JSON
from tenshot.index.errors import (
    AppExists,
    AppNotFound,
    BadFilter,
    BadRequest,
    BadVector,
    ConceptExists,
    ConceptNotFound,
    InputExists,
    InputNotFound,
    ModelExists,
    ModelNotFound,
    NotSupported,
    StoreClosed,
    StoreInUse,
    TenshotError,
    VersionNotFound,
)
from tenshot.index.records import InputChange

ROW = np.eye(8)[:1]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)

CALLS: list[tuple[Callable[[App], Any], type[Exception]]] = [
    (lambda app: app.add_vectors(np.full((1, 8), np.nan)), BadVector),
    (lambda app: app.add_vectors([[1.0] * 8, [0.0] * 8]), BadVector),
    (lambda app: app.add_vectors(np.eye(7)), BadVector),
    (lambda app: app.add_vectors("nonsense"), BadVector),
    (lambda app: app.add_vectors(np.eye(8), ids=["only one"]), BadRequest),
    (lambda app: app.add_vectors(np.eye(8)[:2], ids=["new", "x0"]), InputExists),
    (lambda app: app.add_vectors(np.eye(8)[:2], ids=["twice", "twice"]), InputExists),
    (lambda app: app.add_vectors(ROW, ids=[""]), BadRequest),
    (lambda app: app.add_vectors(ROW, ids=["a\x00b"]), BadRequest),
    (lambda app: app.add_vectors(ROW, ids=["x" * 300]), BadRequest),
    (lambda app: app.add_vectors(ROW, concepts=[{"a": "yes"}]), BadRequest),  # type: ignore[dict-item]
    (lambda app: app.add_vectors(ROW, concepts=[{"": True}]), BadRequest),
    (lambda app: app.add_vectors(ROW, metadata=[{"when": object()}]), BadRequest),
    (lambda app: app.add_vectors(ROW, metadata=[{"n": float("nan")}]), BadRequest),
    (lambda app: app.add_vectors(ROW, metadata=[{"n": json.loads("[" * 101 + "]" * 101)}]), BadRequest),
    # What no import of the app would take.
    (lambda app: app.add_vectors(ROW, metadata=[{"n": "x" * MOST_JSON}]), BadRequest),
    (lambda app: app.add_vectors(ROW, metadata=[{"n": [[]] * MOST_CONTAINERS}]), BadRequest),
    (lambda app: app.update_many([InputChange("x0", regions=[{"n": "x" * MOST_JSON}])]), BadRequest),
    (lambda app: app.update_many([InputChange("x0", regions=[{}] * MOST_CONTAINERS)]), BadRequest),
    (
        lambda app: app.patch_many(
            [
                ("x0", lambda x: InputChange(x.id, {"a": "x" * (MOST_JSON // 2), **(x.metadata or {})})),
                ("x0", lambda x: InputChange(x.id, {"b": "x" * (MOST_JSON // 2), **(x.metadata or {})})),
            ]
        ),
        BadRequest,
    ),
    (lambda app: app.keep_feedback("model", {}, {"n": "x" * MOST_JSON}), BadRequest),
    (lambda app: app.add_vectors(ROW, metadata=["text"]), BadRequest),  # type: ignore[list-item]
    (lambda app: app.add(PNG), ImageError),
    (lambda app: app.add(b""), ImageError),
    (lambda app: app.add("/no/such/file.png"), ImageError),
    (lambda app: app.add(7), ImageError),  # type: ignore[arg-type]
    (lambda app: app.label("nobody", {"a": True}), InputNotFound),
    (lambda app: app.label_many({"x0": {"b": True}, "nobody": {"b": True}}), InputNotFound),
    (lambda app: app.label("x0", {"a": 1}), BadRequest),  # type: ignore[dict-item]
    (lambda app: app.label("x0", ["a"]), BadRequest),  # type: ignore[arg-type]
    (lambda app: app.predict_vectors(np.eye(7)), BadVector),
    (lambda app: app.predict_vectors(ROW, "no model"), ModelNotFound),
    (lambda app: app.predict_vectors(ROW, 7), ModelNotFound),  # type: ignore[arg-type]
    (lambda app: app.predict_vectors(ROW, "m", version="none"), VersionNotFound),
    (lambda app: app.predict_input("nobody"), InputNotFound),
    (lambda app: app.search_vectors(np.zeros((1, 8))), BadVector),
    (lambda app: app.search_vectors(ROW, k=-1), BadRequest),
    (lambda app: app.search(where={"nonsense": 1}), BadFilter),
    (lambda app: app.search(where={"and": {"label": "a"}}), BadFilter),
    (lambda app: app.search(k=0), BadRequest),
    (lambda app: app.explain("a"), BadRequest),
    (lambda app: app.explain("nobody", vector=ROW[0]), ConceptNotFound),
    (lambda app: app.create_model("m"), ModelExists),
    (lambda app: app.create_model("all"), BadRequest),
    (lambda app: app.create_model(""), BadRequest),
    (lambda app: app.update_model("no model", name="x"), ModelNotFound),
    (lambda app: app.create_version("no model"), ModelNotFound),
    (lambda app: app.create_version("all"), BadRequest),
    (lambda app: app.delete_version("m", "none"), VersionNotFound),
    (lambda app: app.create_concepts([("new", "new"), ("a", "a")]), ConceptExists),
    (lambda app: app.rename_concepts([("a", "A"), ("nobody", "x")]), ConceptNotFound),
    (lambda app: app.concept("nobody"), ConceptNotFound),
    (lambda app: app.input("nobody"), InputNotFound),
    (lambda app: app.picture("x0"), InputNotFound),
    (lambda app: app.inputs(page=0), BadRequest),
    (lambda app: app.evaluate("no model"), ModelNotFound),
]


def _state(app: App) -> tuple[Any, ...]:
    return app.inputs(per_page=1000), app.concepts(), app.models(), app.predict_vectors(np.eye(8)).values.tolist()


@pytest.mark.parametrize(("call", "error"), CALLS)
def test_a_bad_call_gives_its_error_and_changes_nothing(
    taught: App, call: Callable[[App], Any], error: type[Exception]
) -> None:
    taught.create_model("m", ["a"])
    before = _state(taught)
    with pytest.raises(error) as caught:
        call(taught)
    assert isinstance(caught.value, TenshotError | ImageError)
    assert str(caught.value)
    assert "\n" not in str(caught.value)
    assert _state(taught) == before


def test_a_vectors_app_refuses_pictures_and_says_what_to_do(taught: App, png_bytes: bytes) -> None:
    with pytest.raises(NotSupported, match="add_vectors"):
        taught.add(png_bytes)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda store: store.create_app("mine", workflow="vectors", dim=8), AppExists),
        (lambda store: store.create_app("x", workflow="generall"), WorkflowError),
        (lambda store: store.create_app("x", workflow="vectors"), WorkflowError),
        (lambda store: store.create_app("", workflow="vectors", dim=8), BadRequest),
        (lambda store: store.app("nobody"), AppNotFound),
        (lambda store: store.delete_app("nobody"), AppNotFound),
        (lambda store: Store.open(store.path), StoreInUse),
    ],
)
def test_a_bad_call_of_the_store_changes_nothing(
    app: App, store: Store, call: Callable[[Store], Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call(store)
    assert [record.name for record in store.apps()] == ["mine"]


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreClosed):
        store.apps()


def test_a_vector_whose_length_is_beyond_single_precision_has_a_direction(app: App) -> None:
    rows = np.ones((3, 8)) * [[1e25], [1.0], [3e38]]
    np.testing.assert_allclose(app.check_vectors(rows), np.full((3, 8), 8**-0.5), rtol=1e-6)
    for bad in ([np.inf] * 8, [np.nan] * 8, [0.0] * 8, [1e39] * 8):
        with pytest.raises(BadVector, match="row 1 is zero or not finite in single precision"):
            app.check_vectors([[1e25] * 8, bad])
