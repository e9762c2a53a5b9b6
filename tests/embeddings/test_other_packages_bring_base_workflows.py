"""The entry-point group `tenshot.workflows`: the package of docs/architecture.md, built and installed."""

import base64
import hashlib
import importlib
import io
import logging
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from tenshot import NotSupported, Store
from tenshot.embeddings.base.embedder import WorkflowError
from tenshot.embeddings.workflows import catalogue, listed, open_embedder, recipe_of

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
[MODULE] = re.findall(r"```python\n(# tenshot_colours\.py\n.*?)```", PAGE, re.DOTALL)


def wheel(folder: Path, module: str, entries: str) -> Path:
    """A package of one module, as build tools make it."""
    about = "tenshot_colours-1.0.dist-info"
    files = {
        "tenshot_colours.py": module,
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: tenshot-colours\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[tenshot.workflows]\n{entries}\n",
    }
    digests = {name: hashlib.sha256(text.encode()).digest() for name, text in files.items()}
    hashes = {name: base64.urlsafe_b64encode(digest).decode().rstrip("=") for name, digest in digests.items()}
    record = "".join(f"{name},sha256={hashes[name]},{len(text)}\n" for name, text in files.items())
    path = folder / "tenshot_colours-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{about}/RECORD": f"{record}{about}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that Python imports from."""
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    catalogue.cache_clear()
    yield tmp_path / "site"
    sys.modules.pop("tenshot_colours", None)
    catalogue.cache_clear()


def install(site: Path, module: str = MODULE, entries: str = "colours = tenshot_colours:workflow") -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site)]
    subprocess.run([*pip, str(wheel(site.parent, module, entries))], check=True)
    catalogue.cache_clear()


def wall(colour: str, dots: int) -> bytes:
    """A picture of one colour, with some dots of grey."""
    image, file = Image.new("RGB", (64, 64), colour), io.BytesIO()
    for dot in range(dots):
        image.putpixel((dot, dot), (dot, dot, dot))
    image.save(file, "PNG")
    return file.getvalue()


def module() -> ModuleType:
    return importlib.import_module("tenshot_colours")


def test_the_package_of_the_documentation_teaches_and_answers(site: Path, tmp_path: Path) -> None:
    install(site)
    assert [entry["id"] for entry in listed() if entry["ready"]][-1] == "colours"
    with Store.open(tmp_path / "data") as store:
        app = store.create_app("walls", workflow="colours")
        for number in range(4):
            app.add(wall("red" if number % 2 else "blue", number), f"x{number}", {"red": bool(number % 2)})
        [before], [other] = app.predict(wall("red", 9)), app.predict(wall("blue", 9))
        assert before.value > other.value
    with Store.open(tmp_path / "data") as store:
        assert store.app("walls").predict(wall("red", 9)) == [before]


def test_without_the_package_the_app_says_what_is_missing_and_still_searches(site: Path, tmp_path: Path) -> None:
    install(site)
    with Store.open(tmp_path / "data") as store:
        store.create_app("walls", workflow="colours").add(wall("red", 1), "x", {"red": True})
    for path in site.iterdir():
        path.rename(tmp_path / path.name)
    catalogue.cache_clear()
    with Store.open(tmp_path / "data") as store:
        app = store.app("walls")
        with pytest.raises(NotSupported, match="'colours' comes from a package that is not installed here"):
            app.embed([wall("red", 2)])
        assert [hit.input_id for hit in app.search(input_id="x")] == ["x"]


def test_another_release_whose_vectors_differ_is_refused(site: Path) -> None:
    install(site)
    older = replace(recipe_of("colours"), model="colours:0")
    with pytest.raises(WorkflowError, match="is colours:1 with none here, and colours:0 with none made the app's"):
        open_embedder(older)


def test_its_embedder_has_the_manners_of_the_others(site: Path) -> None:
    install(site)
    embedder = open_embedder(recipe_of("colours"))
    assert isinstance(embedder, module().Colours)
    vectors = embedder.embed_images([Image.new("RGB", (9, 5), "red"), Image.new("RGB", (1, 1), "blue")])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert embedder.embed_images([]).shape == (0, 64)
    assert not embedder.has_text
    with pytest.raises(WorkflowError, match="images only"):
        embedder.embed_texts(["red"])
    embedder.close()


@pytest.mark.parametrize(
    ("old", "new", "entries", "message"),
    [
        ("import numpy", "import nothing_of_that_name", "colours = tenshot_colours:workflow", "nothing_of_that_name"),
        ("open=Colours,", "", "colours = tenshot_colours:workflow", "no tenshot.embeddings.catalogue.Workflow"),
        ('id="colours"', 'id="general"', "general = tenshot_colours:workflow", "tenshot has a workflow 'general'"),
        ('id="colours"', 'id="Colours"', "Colours = tenshot_colours:workflow", "its id 'Colours' is not"),
        ('id="colours"', 'id="colour"', "colours = tenshot_colours:workflow", "its id 'colour' is not"),
        ("dim=64", "dim=None", "colours = tenshot_colours:workflow", "its dim must be from 2 to 65536"),
    ],
)
def test_what_can_not_be_used_is_named_once_and_harms_nothing_else(
    site: Path, caplog: pytest.LogCaptureFixture, old: str, new: str, entries: str, message: str
) -> None:
    install(site, MODULE.replace(old, new), entries)
    with caplog.at_level(logging.WARNING, "tenshot.embeddings"):
        assert "colours" not in [entry["id"] for entry in listed()]
        assert recipe_of("general").dim == 1280
        listed()
    [record] = caplog.records
    assert message in record.message
    assert "tenshot-colours" in record.message


def test_what_its_function_raises_is_told_as_a_fault_of_the_workflow(site: Path) -> None:
    install(site, MODULE.replace("open=Colours", "open=lambda recipe: 1 // 0"))
    with pytest.raises(WorkflowError, match=r"workflow 'colours' can't be opened: .* by zero"):
        open_embedder(recipe_of("colours"))
