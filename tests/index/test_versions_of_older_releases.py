"""Predictors that older releases froze (`frozen/`, with what they answered then) answer the same, and hold less."""

from pathlib import Path

import numpy as np
import pytest

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.app.predictors import predictor_of
from tenshot.index.scoring.predictor import Predictor

FROZEN = sorted((Path(__file__).parent / "frozen").glob("*.npz"))


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_an_older_release_s_predictor_answers_as_it_did_whole_and_slim(path: Path) -> None:
    with np.load(path) as kept:
        data, queries, values = kept["predictor"].tobytes(), kept["queries"], kept["values"]
    predictor = Predictor.from_bytes(data)
    for again in (predictor, predictor.slim(), Predictor.from_bytes(predictor.slim().to_bytes())):
        np.testing.assert_allclose(again.values(queries), values, atol=1e-6)
    assert predictor.slim().size <= predictor.size
    parts = predictor.parts(predictor.space.prepare(queries))
    np.testing.assert_allclose(
        parts.prototype + parts.neighbours + parts.background,
        predictor.scores(predictor.space.prepare(queries)),
        atol=1e-9,
    )


def crowded(app: App) -> None:
    """300 inputs beside those of `taught`, labelled for a concept that the model doesn't have."""
    rows = np.random.default_rng(3).normal(size=(300, 8))
    app.add_vectors(rows, [f"y{i}" for i in range(300)], [{"other": i % 2 == 0} for i in range(300)])
    app.predict_vectors(rows[:1])


@pytest.mark.parametrize("flags", [(False, False), (True, False), (True, True)], ids=["independent", "open", "closed"])
def test_a_version_holds_the_model_s_labelled_inputs_alone(taught: App, flags: tuple[bool, bool]) -> None:
    crowded(taught)
    taught.create_model("m", list("abc"), mutually_exclusive=flags[0], closed_environment=flags[1])
    taught.delete(["x4", "y7"])
    version = taught.create_version("m")
    frozen = taught.state().frozen(version.predictor_sha256 or "")
    labelled = {f"x{i}" for i in range(60) if i % 20 < 5} - {"x4"}
    for part in filter(None, [frozen, frozen.known]):
        assert set(taught.state().catalog.inputs.ids(part.keys).values()) == labelled
        assert len(part.keys) == len(part.rows) == len(labelled)


def test_repairing_a_folder_slims_the_versions_of_older_releases(store: Store, taught: App) -> None:
    crowded(taught)
    taught.create_model("m", list("abc"))
    predictor = predictor_of(taught.state(), taught.model("m"))
    fat = taught.state().blobs.put(predictor.to_bytes())
    version = taught.create_version("m")
    assert version.predictor_sha256
    taught.state().catalog.versions.replace_predictor(version.predictor_sha256, fat)
    path, queries = store.path, np.random.default_rng(1).normal(size=(5, 8))
    before = taught.predict_vectors(queries, "m", version=version.id).values
    store.close()
    with Store.open(path) as again:
        again.examine(repair=True)
        app = again.app("mine")
        slim = app.version("m", version.id).predictor_sha256
        assert slim not in (None, fat)
        assert fat not in app.state().blobs
        np.testing.assert_allclose(app.predict_vectors(queries, "m", version=version.id).values, before, atol=1e-6)
        again_slim = again.examine(repair=True)
        assert again_slim.problems == []
        assert app.version("m", version.id).predictor_sha256 == slim
