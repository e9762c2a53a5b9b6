"""`Store.examine`: what nothing names goes, what is lost is told, caches are made anew."""

from pathlib import Path

import numpy as np
import pytest
from shop import EAGER

from tenshot import Store
from tenshot.index.storage.blobs import Blobs
from tenshot.index.vectors.settings import CollectionSettings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An app with two frozen versions, and a snapshot of its collection."""
    with Store.open(tmp_path / "data", collections=CollectionSettings(sizes=EAGER)) as store:
        app = store.create_app("a", "vectors", dim=8)
        rows = np.random.default_rng(0).normal(size=(900, 8))
        app.add_vectors(rows, [f"x{i}" for i in range(900)], [{"yes": True} if i < 5 else {} for i in range(900)])
        app.create_model("m", ["yes"])
        app.create_version("m")
        app.label("x7", {"yes": True})
        app.create_version("m")
    return tmp_path / "data"


def blobs(folder: Path) -> Blobs:
    return Blobs(folder / "blobs")


def test_a_folder_that_is_whole_has_no_findings(folder: Path) -> None:
    with Store.open(folder) as store:
        found = store.examine(repair=True)
    assert found.problems == []
    assert (found.orphans, found.strays) == ([], [])


def test_what_nothing_names_is_found_and_deleted(folder: Path) -> None:
    orphan = blobs(folder).put(b"nobody's")
    named = set(blobs(folder).hashes()) - {orphan}
    (folder / "blobs" / orphan[:2] / orphan[2:4] / f"{'0' * 64}.x.new").write_bytes(b"half")
    with Store.open(folder) as store:
        found = store.examine()
        assert (found.orphans, len(found.strays), found.problems) == ([orphan], 1, [])
        assert orphan in blobs(folder)
        store.examine(repair=True)
        assert (store.examine().orphans, store.examine().strays) == ([], [])
    assert set(blobs(folder).hashes()) == named


@pytest.mark.parametrize("lost", [True, False])
def test_what_is_lost_or_damaged_is_told_by_who_names_it(folder: Path, lost: bool) -> None:
    with Store.open(folder) as store:
        version = store.app("a").versions("m")[0]
    path = next((folder / "blobs").rglob(str(version.predictor_sha256)))
    if lost:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    with Store.open(folder) as store:
        [problem] = store.examine(repair=True).problems
        assert version.id in problem
        assert ("lost" if lost else "damaged") in problem
        assert bool(store.examine().problems) is lost


def test_caches_are_made_anew(folder: Path) -> None:
    [app] = (folder / "collections").iterdir()
    before = sorted(path.name for path in app.iterdir())
    assert before
    with Store.open(folder, collections=CollectionSettings(sizes=EAGER)) as store:
        store.examine(repair=True)
        assert not (folder / "collections").exists()
        assert store.app("a").search(input_id="x3", k=1)[0].input_id == "x3"
    assert sorted(path.name for path in app.iterdir()) != before
