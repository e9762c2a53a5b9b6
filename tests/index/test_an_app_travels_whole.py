"""A whole export, folder or tar, imported elsewhere is the same app: vectors to the bit, predictions alike."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import png

from tenshot import AddRequest, Store
from tenshot.index.app import App
from tenshot.index.errors import AppExists, BadArchive, NotSupported
from tenshot.index.records import Geo, InputChange, LabelSource
from tenshot.index.transfer import parquet_pages, tables, untrusted
from tenshot.index.transfer.columns import TABLES

CONCEPTS = ("a", "b/c", "é")
steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "label", "unlabel", "delete", "model", "freeze", "threshold", "change", "feedback"]),
        st.integers(0, 7),
        st.sampled_from(CONCEPTS),
        st.booleans(),
    ),
    max_size=25,
)


def live(app: App, story: list[tuple[str, int, str, bool]]) -> None:
    """What may happen to an app of vectors."""
    for number, (what, n, concept, yes) in enumerate(story):
        ids = [one.id for one in app.inputs()]
        match what:
            case "add":
                rows = np.random.default_rng([number, n]).normal(size=(n + 1, 4))
                app.add_vectors(rows, [f"i{number}/{i}" for i in range(n + 1)], [{concept: yes}] * (n + 1))
            case "label" if ids:
                app.label(ids[n % len(ids)], {concept: yes}, source=LabelSource.FEEDBACK)
            case "unlabel" if ids:
                app.label(ids[n % len(ids)], {concept: None})
            case "delete" if ids:
                app.delete(ids[n % len(ids)])
            case "model" if not app.has_model(f"m{n}"):
                app.create_model(f"m{n}", [concept, "z"], mutually_exclusive=yes, settings={"n": [n, None, 0.1]})
            case "freeze" if app.models():
                app.create_version(app.models()[0].id, untaught=True)
            case "threshold" if concept in app.concept_names():
                app.set_thresholds({concept: n / 7} if concept in app.model().concept_ids else {})
            case "change" if ids:
                app.update_many([InputChange(ids[n % len(ids)], {"é": [1.5, n]}, Geo(n, -n / 3))])
            case "feedback":
                app.keep_feedback("model", {"n": n}, {"said": concept})


def told(store: Store, name: str) -> dict[str, Any]:
    """All that SQL holds of an app, but for the numbers of its database."""
    with store.catalog.transfers.reading(store.catalog.apps.find(name).id) as rows:
        inputs = [row for part in rows.inputs(7) for row in part]
        tables = {table: [row for part in rows.table(table, 7) for row in part] for table in TABLES}
    names = {row.pop("key"): row["id"] for row in inputs}
    for event in tables["label_events"]:
        assert event.pop("input_key") in names or event["input"] is None
    for version in tables["model_versions"]:
        version["predictor_sha256"] = version["predictor_sha256"] is not None
    for space in tables["spaces"]:
        space["background"] = [names.get(key) for key in np.frombuffer(space["background"], dtype="<i8").tolist()]
    app = {name: rows.app[name] for name in ("recipe", "dim", "seq", "created_at", "teach_from_feedback")}
    return {"app": app, "inputs": inputs, **tables}


def judged(app: App, queries: np.ndarray) -> list[Any]:
    """Every prediction that the app can make of these vectors, and who voted."""
    found: list[Any] = []
    for model in [None, *(one.id for one in app.models())]:
        for version in [None] if model is None else [None, *(one.id for one in app.versions(model))]:
            scores = app.predict_vectors(queries, model, version=version)
            found.append((model, version, scores.concept_ids, scores.values.tolist(), scores.thresholds.tolist()))
            if scores.concept_ids:
                nearest = app.explain(vector=queries[0], model=model, version=version).nearest
                found.append([(one.input_id, one.vote) for one in nearest])
    return found


@given(steps)
@settings(max_examples=12)
def test_every_row_and_every_prediction_is_the_same(tmp_path_factory: pytest.TempPathFactory, story: Any) -> None:
    folder = tmp_path_factory.mktemp("travel")
    queries = np.random.default_rng(1).normal(size=(5, 4))
    with Store.open(folder / "old") as old:
        app = old.create_app("app", "vectors", dim=4)
        live(app, story)
        judged(app, queries)  # so that the space which it is judged in is kept
    with Store.open(folder / "old") as old:
        app = old.app("app")
        app.export(folder / "out")
        (folder / "out.tar").write_bytes(b"".join(app.export_stream()))
        expected = told(old, "app"), judged(app, queries)
    for path in ("out", "out.tar"):
        with Store.open(folder / f"new {path}") as new:
            assert new.import_app(folder / path).added == len(expected[0]["inputs"])
            assert (told(new, "app"), judged(new.app("app"), queries)) == expected
            new.app("app").add_vectors(np.eye(4), concepts=[{"a": True}] * 4)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an app of ten pictures, some alike, one of them a part; its export is beside it."""
    folder = tmp_path_factory.mktemp("made")
    with Store.open(folder / "data") as store:
        app = store.create_app("drawn", "general-fast")
        requests = [
            AddRequest(png("discs" if i % 2 else "stripes", i // 2), f"x/{i}", {"disc": bool(i % 2)}, {"i": i})
            for i in range(8)
        ]
        requests += [
            AddRequest(png("discs", 0), "same", geo=Geo(1.5, 2.25), url="http://x.example/a"),
            AddRequest(png("discs", 0), "part", {"disc": True}, crop=(0.1, 0.1, 0.9, 0.9)),
        ]
        assert not [result.error for result in app.add_many(requests) if result.error]
        app.create_model("m", ["disc"])
        app.create_version("m")
        app.export(folder / "out")
        app.export(folder / "coco", "coco")
        app.export(folder / "imagefolder", "imagefolder")
        app.export(folder / "csv", "csv")
    return folder


def test_pictures_travel_byte_for_byte_each_once(made: Path, tmp_path: Path) -> None:
    assert len([path for path in (made / "out" / "images").rglob("*") if path.is_file()]) == 8
    with Store.open(made / "data") as old, Store.open(tmp_path / "new") as new:
        new.import_app(made / "out", "renamed")
        for one in old.app("drawn").inputs():
            assert new.app("renamed").picture(one.id) == old.app("drawn").picture(one.id)
        assert told(new, "renamed") == told(old, "drawn")


def test_an_app_is_copied_beside_itself_under_another_name(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "data", tmp_path / "data")
    with Store.open(tmp_path / "data") as store:
        store.import_app(made / "out", "copy")
        copy, original = store.app("copy"), store.app("drawn")
        assert copy.id != original.id
        [version, _] = copy.versions("m")
        [other, _] = original.versions("m")
        assert version.id != other.id
        queries = original.vectors(["x/0", "x/1"])
        assert copy.predict_vectors(queries, "m", version=version.id).values.tolist() == (
            original.predict_vectors(queries, "m", version=other.id).values.tolist()
        )
        with pytest.raises(AppExists, match="drawn"):
            store.import_app(made / "out")
        with pytest.raises(AppExists, match="copy"):
            store.import_app(made / "out", "copy")


def test_an_import_that_was_broken_off_goes_on(made: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path / "new") as new, Store.open(made / "data") as old:

        def stop(done: int, total: int) -> None:
            assert (done, total) == (10, 10)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            new.import_app(made / "out", progress=stop)
        found = new.import_app(made / "out")
        assert (found.added, found.already_there) == (0, 10)
        assert told(new, "drawn") == told(old, "drawn")


def _cut(out: Path) -> None:
    (out / "tenshot.json").unlink()


def _newer(out: Path) -> None:
    manifest = json.loads((out / "tenshot.json").read_text())
    (out / "tenshot.json").write_text(json.dumps(manifest | {"format": 99}))


def _flipped(out: Path) -> None:
    path = next((out / "inputs").iterdir())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _swapped(out: Path) -> None:
    [first, second, *_] = sorted(path for path in (out / "images").rglob("*") if path.is_file())
    second.write_bytes(first.read_bytes())


def _outside(out: Path) -> None:
    manifest = json.loads((out / "tenshot.json").read_text())
    manifest["files"]["inputs/../../secret"] = "0"
    (out / "tenshot.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("damage", [_cut, _newer, _flipped, _swapped, _outside])
def test_a_damaged_export_is_refused_clearly(made: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    out = Path(shutil.copytree(made / "out", tmp_path / "out"))
    damage(out)
    with Store.open(tmp_path / "new") as new:
        with pytest.raises(BadArchive):
            new.import_app(out)
        assert new.apps() == []
        assert new.examine().orphans == []


def test_a_lost_picture_leaves_its_input_with_vector_and_labels(made: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(made / "out", tmp_path / "out"))
    with Store.open(made / "data") as old:
        sha256 = str(old.app("drawn").input("x/2").sha256)
        vector = old.app("drawn").vectors(["x/2"])
    next((out / "images").rglob(f"{sha256}*")).unlink()
    with Store.open(tmp_path / "new") as new:
        assert new.import_app(out).lost == ["x/2"]
        app = new.app("drawn")
        assert app.vectors(["x/2"]).tolist() == vector.tolist()
        assert app.input("x/2").concepts == {"disc": False}
        assert app.input("x/2").sha256 is None


def test_an_export_goes_over_what_another_left_behind(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made / "out", out)
    _cut(out)
    (out / "inputs" / "000000.parquet").write_bytes(b"half")
    with Store.open(made / "data") as old:
        old.app("drawn").export(out)
    with Store.open(tmp_path / "new") as new:
        assert new.import_app(out).added == 10


def test_tables_are_cut_so_that_an_import_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With bounds of 64 KB a file."""
    monkeypatch.setattr(tables, "MOST_UNPACKED", 1 << 16)
    monkeypatch.setattr(parquet_pages, "MOST_UNPACKED", 1 << 16)
    monkeypatch.setattr(tables, "_MOST_WRITTEN", 1 << 13, raising=False)
    with Store.open(tmp_path / "old") as old:
        app = old.create_app("a", "vectors", dim=512)
        vectors = np.random.default_rng(0).normal(size=(120, 512))
        app.add_vectors(vectors, metadata=[{"said": f"{i}é" * (200 if i % 40 else 2000)} for i in range(120)])
        app.label(app.inputs()[0].id, {"x" * 200: True})
        app.export(tmp_path / "out")
        with Store.open(tmp_path / "new") as new:
            assert new.import_app(tmp_path / "out").added == 120
            assert told(new, "a") == told(old, "a")
    assert len(list((tmp_path / "out" / "inputs").iterdir())) > 20


def test_what_no_import_would_take_is_told_before_an_export_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Store.open(tmp_path / "old") as old:
        app = old.create_app("a", "vectors", dim=4)
        app.add_vectors(np.eye(4), ["p", "q", "r", "s"], [{"a": True}, {"b": True}, {"a": True}, {"b": True}])
        app.create_model("m", ["a", "b"])
        version = app.create_version("m")
        app.evaluate_version("m", version.id)
        with monkeypatch.context() as bounded:
            bounded.setattr(untrusted, "MOST_JSON", 1000)
            app.export(tmp_path / "out")
        assert "an evaluation is left out of an export" in caplog.text
        with Store.open(tmp_path / "new") as new:
            new.import_app(tmp_path / "out")
            assert new.app("a").evaluation("m", version.id) is None
        app.update_many([InputChange("q", {"said": "é" * 600})])
        monkeypatch.setattr(untrusted, "MOST_JSON", 1000)
        with pytest.raises(NotSupported, match=r"inputs: metadata of 'q' can't be exported: .* 1212 bytes, more than"):
            list(app.export_stream())
