"""What a concept is called counts: untaught it is all there is, then labels join and outweigh it."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from worlds import FORMS, World, world

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.errors import StorageFailed
from tenshot.index.scoring.examples import Texts
from tenshot.index.scoring.predictor import Predictor
from tenshot.index.scoring.scorer import Scorer
from tenshot.index.scoring.space import unit

PLACE = world(clusters=4, count=240, noise=1.1, seed=2)
NAMED = ("cat", "coffee", "rocket")


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def names_of(place: World, *, wrong: bool = False) -> Texts:
    """Concept -> where pictures of it are, roughly; or where those of another concept are."""
    centres = [place.vectors[place.truth == c].mean(axis=0) for c in range(place.truth.max() + 1)]
    centres = centres[1:] + centres[:1] if wrong else centres
    return {f"c{c}": 20 * row for c, row in enumerate(unit(np.array(centres) - np.mean(centres, axis=0)))}


def named(place: World, shots: int, form: str, texts: Texts) -> Scorer:
    labels = place.labels(shots) if shots else {concept: {} for concept in texts}
    scorer = place.scorer(labels, form)
    scorer.read(texts)
    return scorer


def accuracy(predictor: Predictor, place: World, shots: int) -> float:
    taught = [key for given in place.labels(shots).values() for key in given] if shots else []
    held_out = np.setdiff1d(np.arange(len(place.truth)), taught)
    return float((predictor.values(place.vectors[held_out]).argmax(axis=1) == place.truth[held_out]).mean())


def test_without_labels_the_names_decide(form: str) -> None:
    predictor = named(PLACE, 0, form, names_of(PLACE)).predictor()
    assert predictor.concept_ids == ("c0", "c1", "c2", "c3")
    assert accuracy(predictor, PLACE, 0) > 0.7
    assert accuracy(named(PLACE, 0, form, names_of(PLACE, wrong=True)).predictor(), PLACE, 0) < 0.2


def test_with_one_label_names_help(form: str) -> None:
    with_names = accuracy(named(PLACE, 1, form, names_of(PLACE)).predictor(), PLACE, 1)
    assert with_names > accuracy(named(PLACE, 1, form, {}).predictor(), PLACE, 1) + 0.05


def test_wrong_names_are_outvoted_by_labels(form: str) -> None:
    without = accuracy(named(PLACE, 20, form, {}).predictor(), PLACE, 20)
    assert accuracy(named(PLACE, 20, form, names_of(PLACE, wrong=True)).predictor(), PLACE, 20) > without - 0.05


def test_a_concept_without_labels_is_judged_by_its_name_beside_taught_ones(form: str) -> None:
    texts = names_of(PLACE)
    labels = {**PLACE.labels(5), "c3": {}}
    scorer = PLACE.scorer(labels, form)
    scorer.read(texts)
    values = scorer.predictor().values(PLACE.vectors)[:, 3]
    assert values[PLACE.truth == 3].mean() > values[PLACE.truth != 3].mean() + 0.1


@pytest.mark.parametrize("size", ["small", "large"])
def test_numbers_are_the_same_whatever_was_read_and_taught_first(form: str, size: str) -> None:
    place = PLACE if size == "small" else world(clusters=3, count=1400, dim=24)
    shots, texts = (6, names_of(place)) if size == "small" else (400, names_of(place))
    expected = named(place, shots, form, texts).predictor().values(place.vectors)
    scorer = place.scorer(place.labels(shots - 1), form)
    scorer.read(names_of(place, wrong=True))
    scorer.predictor()
    for concept, given in place.labels(shots).items():
        for key in given:
            scorer.set(key, concept, True)
    scorer.read(texts)
    np.testing.assert_allclose(scorer.predictor().values(place.vectors), expected, atol=1e-4)


def test_names_that_are_not_there_any_more_leave_no_trace(form: str) -> None:
    expected = named(PLACE, 5, form, {}).predictor().values(PLACE.vectors)
    scorer = named(PLACE, 5, form, names_of(PLACE))
    scorer.predictor()
    scorer.read({})
    np.testing.assert_allclose(scorer.predictor().values(PLACE.vectors), expected, atol=1e-6)


def test_leave_one_out_counts_the_name_too(form: str) -> None:
    scorer = named(PLACE, 3, form, names_of(PLACE))
    keys = np.array(sorted(key for given in PLACE.labels(3).values() for key in given))
    before = named(PLACE, 3, form, {}).leave_one_out(keys)()
    assert (scorer.leave_one_out(keys)().argmax(axis=1) == PLACE.truth[keys]).sum() >= (
        before.argmax(axis=1) == PLACE.truth[keys]
    ).sum()


def test_a_predictor_with_names_is_kept_whole(form: str) -> None:
    predictor = named(PLACE, 2, form, names_of(PLACE)).predictor()
    again = Predictor.from_bytes(predictor.to_bytes())
    np.testing.assert_array_equal(again.values(PLACE.vectors), predictor.values(PLACE.vectors))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("named") / "data"
    with Store.open(folder) as store:
        app = store.create_app("mine")
        for picture in (data.chelsea(), data.coffee(), data.rocket(), data.astronaut(), data.camera()):
            app.add(_png(picture))
        app.create_model("things", NAMED, mutually_exclusive=True, closed_environment=True)
    return folder


@pytest.fixture
def app(folder: Path) -> Iterator[App]:
    with Store.open(folder) as store:
        yield store.app("mine")


def _png(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "png")
    return out.getvalue()


def test_general_knows_things_by_their_names(app: App) -> None:
    for input, concept in zip(app.inputs(), NAMED, strict=False):
        assert app.predict_input(input.id, "things")[0].concept_id == concept


def test_after_a_restart_names_say_the_same(folder: Path) -> None:
    with Store.open(folder) as store:
        before = [one.value for one in store.app("mine").predict_input(store.app("mine").inputs()[0].id, "things")]
    with Store.open(folder) as store:
        after = [one.value for one in store.app("mine").predict_input(store.app("mine").inputs()[0].id, "things")]
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_an_explanation_tells_the_names_part(app: App) -> None:
    found = app.explain("cat", input_id=app.inputs()[0].id, model="things")
    assert found.text_prior > 0
    assert found.score == pytest.approx(found.prototype + found.neighbours + found.background + found.text_prior)


def test_a_new_name_is_read_at_once(app: App) -> None:
    cat = app.inputs()[0].id
    app.create_model("renamed", ["first", "second"], mutually_exclusive=True, closed_environment=True)
    for names, best in (
        ({"first": "tabby cat", "second": "rocket"}, "first"),
        ({"first": "rocket", "second": "tabby cat"}, "second"),
    ):
        app.rename_concepts(list(names.items()))
        assert app.predict_input(cat, "renamed")[0].concept_id == best


def test_a_name_that_can_not_be_kept_is_read_all_the_same(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageFailed("the disk is full")

    monkeypatch.setattr("tenshot.index.catalog.concept_texts.ConceptTexts.save", full)
    app.create_model("unkept", ["tabby", "space shuttle"], mutually_exclusive=True, closed_environment=True)
    assert app.predict_input(app.inputs()[0].id, "unkept")[0].concept_id == "tabby"


def test_the_built_in_model_still_has_only_what_was_taught(app: App) -> None:
    cat = app.inputs()[0].id
    assert app.predict_input(cat) == []
    app.label(cat, {"cat": True})
    assert [one.concept_id for one in app.predict_input(cat)] == ["cat"]
    app.label(cat, {"cat": None})
    assert app.predict_input(cat) == []
