"""Takes screenshots of the page for README.md and docs/page.md: each view, light, dark, and on a phone.

    python -m tenshot.tools.bench.page_pictures docs/page

Needs the extra `dev` and a Chromium. The page shows pictures of `synthetic_pictures.py`.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ...api.auth.keys import new_key
from ...index.records import AddRequest
from ...index.store import Store
from .server_process import running_server
from .synthetic_pictures import KINDS, draw_pictures

if TYPE_CHECKING:
    from playwright.sync_api import Page, Playwright

EACH = 26
TAUGHT = {"fish": 10, "flower": 10, "house": 7, "boat": 4}
SCREENS = {
    "light": ("light", 1280, 800, 1),
    "dark": ("dark", 1280, 800, 1),
    "phone": ("light", 390, 780, 2),
}
"""Name -> colours, width, height, device pixels per pixel."""
_QUALITY = 80
_SETTLE_MS = 900


def main(folder: Path) -> None:
    """Writes <view>-<screen>.webp into the folder."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium on this machine")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        key = drawn_app(Path(data))
        with running_server(Path(data)) as server:
            _take(playwright, chromium, f"http://{server.host}:{server.port}", key, folder)


def _take(playwright: "Playwright", chromium: str, url: str, key: str, folder: Path) -> None:
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    for screen, (colours, width, height, scale) in SCREENS.items():
        context = browser.new_context(
            color_scheme="dark" if colours == "dark" else "light",
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.goto(url)
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("navigation", name="Views").wait_for()
        for view in ("library", "teach", "suggested", "search", "model", "apps"):
            _open(page, url, view)
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(_SETTLE_MS)
            screenshot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            screenshot.save(folder / f"{view}-{screen}.webp", "WEBP", quality=_QUALITY, method=6)
        context.close()
    browser.close()


def _open(page: "Page", url: str, view: str) -> None:
    """Opens a view in a typical state."""
    paths = {"suggested": "teach/suggested", "search": "search/fish-03.png,boat-02.png", "model": "model/kinds"}
    page.goto(f"{url}/#/{paths.get(view, view)}")
    if view == "teach":
        page.get_by_role("button", name="fish 10 yes").click()
        page.get_by_role("gridcell").nth(1).focus()
        if _wide(page):
            page.locator(".curve .chart").wait_for()
    elif view == "library":
        page.locator(".bar-said").first.wait_for()
    elif view == "search":
        page.get_by_role("button", name="Like", exact=True).last.click()
    elif view == "apps" and _wide(page):
        page.get_by_role("button", name="New app").click()


def _wide(page: "Page") -> bool:
    return page.viewport_size is not None and page.viewport_size["width"] > 500


def drawn_app(data: Path, each: int = EACH) -> str:
    """Fills the folder with `each` drawn pictures of each kind, some of them labelled; returns an admin key."""
    with Store.open(data) as store:
        app = store.create_app("little drawings")
        drawn = list(draw_pictures(each))
        list(app.add_many([AddRequest(image, name, metadata={"file": name}) for name, _, image in drawn]))
        for kind, number in TAUGHT.items():
            names = sorted(name for name, of, _ in drawn if of == kind)
            app.label_many({name: {kind: True} for name in names[:number]})
        noes = sorted(name for name, of, _ in drawn if of == "tree")[:3]
        app.label_many({name: {"flower": False} for name in noes})
        app.create_model("kinds", [kind for kind in KINDS if kind in TAUGHT], mutually_exclusive=True)
        app.create_version("kinds")
        return new_key(store.catalog, None).secret


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/page"))
