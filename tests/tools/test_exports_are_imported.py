"""`tenshot export` in every format, and `tenshot import` of what it wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenshot import Store
from tenshot.index.app import App


@pytest.fixture
def drawn(tenshot: Callable[..., Any], pictures: Path, tmp_path: Path) -> Path:
    """An app of twelve pictures: two concepts on one, a negative, one without labels."""
    tenshot("apps", "create", "drawn", "--workflow", "general-fast")
    tenshot("import", pictures, "--app", "drawn")
    with Store.open(tmp_path / "data") as store:
        app = store.app("drawn")
        ids = files(app)
        app.label_many({ids["discs/0.png"]: {"round": True}, ids["discs/1.png"]: {"stripes": False}})
        app.label(ids["checks/0.png"], {"checks": None})
        app.create_model("kinds", ["discs", "stripes", "checks"], mutually_exclusive=True)
    return tmp_path / "data"


def files(app: App) -> dict[str, str]:
    return {str((one.metadata or {})["file"]): one.id for one in app.inputs()}


def said(app: App) -> dict[str, dict[str, bool]]:
    """Picture -> labels."""
    return {str(one.sha256): dict(one.concepts) for one in app.inputs()}


def test_a_whole_export_becomes_a_new_app_with_its_models(
    tenshot: Callable[..., Any], drawn: Path, tmp_path: Path
) -> None:
    done = tenshot("export", "drawn", tmp_path / "out", "--json").json
    assert (done["format"], done["inputs"]) == ("folder", 12)
    done = tenshot("import", tmp_path / "out", "--app", "copy", "--json").json
    assert (done["added"], done["already_there"], done["without_picture"]) == (12, 0, [])
    with Store.open(drawn) as store:
        assert said(store.app("copy")) == said(store.app("drawn"))
        for id in files(store.app("drawn")).values():
            assert store.app("copy").predict_input(id, "kinds") == store.app("drawn").predict_input(id, "kinds")
    assert "copy" in tenshot("import", tmp_path / "out", "--app", "copy", expect=1).err


@pytest.mark.parametrize(("format", "negatives", "ids"), [("coco", True, True), ("csv", True, True)])
def test_tables_beside_pictures_are_recognised(
    tenshot: Callable[..., Any], drawn: Path, tmp_path: Path, format: str, negatives: bool, ids: bool
) -> None:
    tenshot("export", "drawn", tmp_path / "out", "--format", format)
    tenshot("apps", "create", "again", "--workflow", "general-fast")
    done = tenshot("import", tmp_path / "out", "--app", "again", "--json").json
    assert (done["added"], done["failed"]) == (12, [])
    with Store.open(drawn) as store:
        assert said(store.app("again")) == said(store.app("drawn"))
        assert sorted(one.id for one in store.app("again").inputs()) == sorted(files(store.app("drawn")).values())
    assert tenshot("import", tmp_path / "out", "--app", "again", "--json").json["already_there"] == 12


def test_folders_of_concepts_come_back_with_every_positive(
    tenshot: Callable[..., Any], drawn: Path, tmp_path: Path
) -> None:
    tenshot("export", "drawn", tmp_path / "out", "--format", "imagefolder")
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == [
        *("checks", "discs", "round", "stripes")
    ]
    tenshot("apps", "create", "again", "--workflow", "general-fast")
    done = tenshot("import", tmp_path / "out", "--app", "again", "--json").json
    # One picture lies in two folders.
    assert (done["added"], done["same_picture"]) == (12, 1)
    with Store.open(drawn) as store:
        expected = {
            picture: {concept: True for concept, value in labels.items() if value}
            for picture, labels in said(store.app("drawn")).items()
        }
        assert said(store.app("again")) == expected
    done = tenshot("import", tmp_path / "out", "--app", "again", "--json").json
    assert (done["added"], done["already_there"], done["same_picture"]) == (0, 12, 1)


def test_coco_says_what_a_picture_does_not_show_and_how_large_it_is(
    tenshot: Callable[..., Any], drawn: Path, tmp_path: Path
) -> None:
    tenshot("export", "drawn", tmp_path / "out", "--format", "coco")
    coco = json.loads((tmp_path / "out" / "annotations.json").read_text())
    names = {one["id"]: one["name"] for one in coco["categories"]}
    [image] = [one for one in coco["images"] if one["neg_category_ids"]]
    assert [names[number] for number in image["neg_category_ids"]] == ["stripes"]
    assert (image["width"], image["height"]) == (96, 96)
    assert image["metadata"] == {"file": "discs/1.png"}
    shown = [names[one["category_id"]] for one in coco["annotations"] if one["image_id"] == image["id"]]
    assert shown == ["discs"]


def test_cocos_own_layout_needs_its_table_named(tenshot: Callable[..., Any], pictures: Path, tmp_path: Path) -> None:
    table = {
        "images": [{"id": 7, "file_name": "discs/0.png"}, {"id": 9, "file_name": "stripes/0.png"}],
        "annotations": [{"image_id": 7, "category_id": 3, "bbox": [0, 0, 5, 5]}, {"image_id": 7, "category_id": 3}],
        "categories": [{"id": 3, "name": "disc"}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(table))
    tenshot("apps", "create", "a", "--workflow", "general-fast")
    done = tenshot("import", pictures, "--app", "a", "--labels", tmp_path / "instances.json", "--json").json
    assert done["added"] == 2
    with Store.open(tmp_path / "data") as store:
        assert sorted(map(str, said(store.app("a")).values())) == ["{'disc': True}", "{}"]
    (tmp_path / "instances.json").write_text('{"images": 3}')
    assert "COCO" in tenshot("import", pictures, "--app", "a", "--labels", tmp_path / "instances.json", expect=1).err


def test_the_same_picture_in_other_folders_is_one_input_with_all_labels(
    tenshot: Callable[..., Any], pictures: Path, tmp_path: Path
) -> None:
    tenshot("apps", "create", "a", "--workflow", "general-fast")
    (pictures / "round").mkdir()
    (pictures / "round" / "zero.png").write_bytes((pictures / "discs" / "0.png").read_bytes())
    done = tenshot("import", pictures, "--app", "a", "--json").json
    assert (done["added"], done["same_picture"]) == (12, 1)
    with Store.open(tmp_path / "data") as store:
        app = store.app("a")
        assert app.input(files(app)["discs/0.png"]).concepts == {"discs": True, "round": True}


def test_an_unknown_format_is_one_line(tenshot: Callable[..., Any], tmp_path: Path) -> None:
    tenshot("apps", "create", "v", "--workflow", "vectors", "--dim", 4)
    assert "imagefolder" in tenshot("export", "v", tmp_path / "out", "--format", "zip", expect=1).err
