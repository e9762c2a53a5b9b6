"""axe-core finds nothing serious on any view, light and dark, wide and narrow; and nothing is wider than the screen."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tenshot.index.app import App

AXE = "axe-core@4.14.1"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tenshot-tests"
VIEWS = ("library", "teach", "teach/suggested", "teach/doubtful", "search", "model", "apps")


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, from npm, once for this machine."""
    script = CACHE / AXE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        if shutil.which("npm") is None:
            pytest.skip("no npm on this machine, which axe-core comes from")
        command = ["npm", "install", "--prefix", str(CACHE / AXE), "--no-audit", "--no-fund", AXE]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"axe-core can't be had: {done.stderr.strip().splitlines()[-1:]}")
    return script.read_text()


@pytest.fixture
def wrong(axe: str) -> Callable[[Page], list[str]]:
    """What axe calls serious or critical, in one line each."""

    def find(page: Page) -> list[str]:
        # Through the debugger, which the page's policy doesn't hold for.
        page.evaluate(axe)
        found = page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    return find


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_no_view_has_a_serious_violation(
    tab: Callable[..., Any], taught: App, wrong: Callable[[Page], list[str]], scheme: str, width: int
) -> None:
    opened = tab(taught, color_scheme=scheme, viewport={"width": width, "height": 844 if width < 500 else 1000})
    for view in VIEWS:
        page = opened.go(view)
        _ready(page)
        assert wrong(page) == [], view
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, view


def test_signing_in_and_dialogs_have_none_either(
    opened: Callable[..., Any], tab: Callable[..., Any], taught: App, wrong: Callable[[Page], list[str]], server: Any
) -> None:
    alone = opened().page
    alone.goto(server.url)
    alone.get_by_label("API key").wait_for()
    assert wrong(alone) == []
    library = tab(taught)
    page = library.go("library")
    library.first_cell().dblclick()
    page.locator(".neighbour").first.wait_for()
    assert wrong(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("gridcell").first.click()
    assert wrong(page) == []
    page.keyboard.press("?")
    assert wrong(page) == []


def test_everything_is_reached_by_tab_and_the_focus_is_seen(tab: Callable[..., Any], taught: App) -> None:
    page = tab(taught).go("library")
    _ready(page)
    page.reload()
    _ready(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('role') ?? document.activeElement.tagName"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline in ("solid", "auto") or page.evaluate("document.activeElement === document.body")
    assert {"BUTTON", "SELECT", "gridcell"} <= reached


def test_colours_follow_the_system_until_somebody_chooses(tab: Callable[..., Any], taught: App) -> None:
    page = tab(taught, color_scheme="dark").page
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.get_by_role("button", name="Colours: system").click()
    light = page.evaluate(paper)
    assert light != dark
    page.reload()
    page.get_by_role("button", name="Colours: light").wait_for()
    assert page.evaluate(paper) == light
    page.get_by_role("button", name="Colours: light").click()
    assert page.evaluate(paper) == dark


def _ready(page: Page) -> None:
    page.locator(".view").wait_for()
    page.wait_for_load_state("networkidle")
    page.wait_for_function("() => !document.querySelector('.view > .loading, [aria-busy=true]')")
