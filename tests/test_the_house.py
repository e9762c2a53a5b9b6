"""The rules that hold the house together: who imports whom, what is packaged, what docstrings show is true."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tenshot

ROOT = Path(__file__).parents[1]
MODULES = [
    module.name
    for module in pkgutil.walk_packages([str(ROOT)], "tenshot.")
    if module.name.split(".")[1] in ("embeddings", "index", "api", "tools") and not module.name.endswith(".env")
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
        for folder in ("embeddings", "index", "api", "tools")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert set(project["tool"]["setuptools"]["packages"]) == folders


@pytest.mark.parametrize("name", ["tenshot", *MODULES])
def test_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, tenshot; print([n for n in ('numpy', 'torch', 'faiss', 'sqlalchemy') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert tenshot.__version__ == project["project"]["version"]


def test_the_face_names_what_the_readme_uses() -> None:
    assert {tenshot.Store.__name__, tenshot.AddRequest.__name__, tenshot.TenshotError.__name__} == set(tenshot.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Shop'"):
        _ = tenshot.Shop
