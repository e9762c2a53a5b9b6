"""An imported folder says nothing of the rest of the machine: its tables and links name files in it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pictures import png


@pytest.fixture
def folder(tenshot: Callable[..., Any], tmp_path: Path) -> Path:
    """One picture in it, and one beside it."""
    tenshot("apps", "create", "a", "--workflow", "vectors", "--dim", 4)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.png").write_bytes(png("discs", 0))
    (tmp_path / "beside.png").write_bytes(png("discs", 1))
    return tmp_path / "in"


def run(tenshot: Callable[..., Any], folder: Path, *more: object) -> str:
    return str(tenshot("import", folder, "--app", "a", *more, expect=1).err)


@pytest.mark.parametrize("name", ["/dev/zero", "../beside.png", "sub/../../beside.png", "/etc/passwd"])
@pytest.mark.parametrize("table", ["labels.csv", "annotations.json"])
def test_a_table_names_files_in_the_folder(tenshot: Callable[..., Any], folder: Path, name: str, table: str) -> None:
    if table == "labels.csv":
        (folder / table).write_text(f"file,concept\n0.png,disc\n{name},disc\n")
    else:
        images = [{"id": 0, "file_name": "0.png"}, {"id": 1, "file_name": name}]
        (folder / table).write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    assert "--outside" in run(tenshot, folder)


def test_a_link_in_the_folder_leads_to_files_in_it(tenshot: Callable[..., Any], folder: Path) -> None:
    (folder / "1.png").symlink_to(folder / "0.png")
    # An app of vectors takes no pictures, but they were read: one is the same as the other.
    assert tenshot("import", folder, "--app", "a", "--json").json["same_picture"] == 1
    (folder / "2.png").symlink_to("../beside.png")
    assert "2.png leads out" in run(tenshot, folder)
    assert len(tenshot("import", folder, "--app", "a", "--outside", "--json").json["failed"]) == 2


def test_what_never_ends_is_no_picture_even_when_asked_for(tenshot: Callable[..., Any], folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    for name in ("pipe.png", "/dev/zero"):
        (folder / "labels.csv").write_text(f"file,concept\n{name},disc\n")
        assert "no regular file" in run(tenshot, folder, "--outside")


@pytest.mark.parametrize("name", ["labels.csv", "labels.json"])
def test_a_table_that_never_ends_is_refused(tenshot: Callable[..., Any], folder: Path, name: str) -> None:
    os.mkfifo(folder.parent / name)
    assert "no regular file" in run(tenshot, folder, "--labels", folder.parent / name)


def test_a_table_beside_the_pictures_is_no_link_to_elsewhere(tenshot: Callable[..., Any], folder: Path) -> None:
    (folder.parent / "table.csv").write_text("file,concept\n0.png,disc\n")
    (folder / "labels.csv").symlink_to(folder.parent / "table.csv")
    assert "labels.csv leads out" in run(tenshot, folder)
    assert "none of the 1" in run(tenshot, folder, "--labels", folder.parent / "table.csv")
