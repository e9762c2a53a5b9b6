"""The rules that hold the house together: who imports whom, what is packaged, what docstrings show is true."""

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import tenshot
from tenshot import errors
from tenshot.embeddings.pictures.images import open_image

ROOT = Path(__file__).parents[1]
FOLDERS = ("runtime", "embeddings", "index", "api", "tools")
FLAGS = doctest.IGNORE_EXCEPTION_DETAIL | doctest.ELLIPSIS
MODULES = [
    module.name
    for module in pkgutil.walk_packages([str(ROOT)], "tenshot.")
    if module.name.split(".")[1] in FOLDERS and not module.name.endswith(".env")
]


def test_imports_go_downward_only() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_every_folder_with_modules_is_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {"tenshot"} | {
        ".".join(("tenshot", *path.parent.relative_to(ROOT).parts))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
    }
    # Benchmarks are run from the source, and need more than the package brings.
    assert set(project["tool"]["setuptools"]["packages"]) == folders - {"tenshot.tools.bench"}


def test_examples_in_docstrings_are_true_and_there_are_some() -> None:
    done = [doctest.testmod(importlib.import_module(name), optionflags=FLAGS) for name in ("tenshot", *MODULES)]
    assert sum(results.failed for results in done) == 0
    assert sum(results.attempted for results in done) > 10


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, tenshot; print([n for n in ('numpy', 'torch', 'faiss', 'sqlalchemy') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert tenshot.__version__ == project["project"]["version"]


def test_the_face_has_what_it_names_and_shows_it() -> None:
    assert [getattr(tenshot, name).__name__ for name in tenshot.__all__] == tenshot.__all__
    assert set(tenshot.__all__) <= set(dir(tenshot))
    with pytest.raises(AttributeError, match="has no attribute 'Shop'"):
        _ = tenshot.Shop


def test_checkers_are_told_of_the_face_what_is_there() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    told = {(f".{node.module}", name.name) for node in imports for name in node.names}
    assert told == {(module, name) for module, names in tenshot._FACE.items() for name in names}


def test_every_error_of_the_core_can_be_caught_by_its_name() -> None:
    importlib.import_module("tenshot.index.store")
    core = {error.__name__ for error in _below(errors.TenshotError) if not error.__module__.startswith("tenshot.api")}
    assert core - {"BatcherClosed", "NoDecoder"} <= set(tenshot.__all__)  # these two never leave it


def test_one_root_catches_every_error_that_is_raised_on_purpose_and_one_page_draws_them() -> None:
    for name in ("index.store", "api.service", "api.wire.status"):
        importlib.import_module(f"tenshot.{name}")
    drawn = re.findall(r"^[│ ├└─]*── (\w+)", errors.__doc__ or "", re.MULTILINE)
    assert sorted(drawn) == sorted(error.__name__ for error in _below(errors.TenshotError))


def test_a_picture_that_can_not_be_used_is_an_error_of_tenshot() -> None:
    with pytest.raises(tenshot.TenshotError):
        open_image(b"no picture")


def _below(error: type[Exception]) -> Iterator[type[Exception]]:
    for kind in error.__subclasses__():
        yield kind
        yield from _below(kind)
