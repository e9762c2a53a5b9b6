"""`tenshot bench page`: the time from a key on the page to changed values, compared with the bare requests."""

import json
import shutil
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console import errors, fail, output, table
from .server_process import running_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

_MOST_MS = 20_000
# Measures the time from a key press to a change of the visible values.
_WATCH = """() => {
    const values = () => [...document.querySelectorAll(".bar-said")].map((one) => one.textContent).join();
    window.waited = null;
    let start = 0, before = "";
    addEventListener("keydown", () => { start = performance.now(); before = values(); window.waited = null; }, true);
    new MutationObserver(() => {
        if (start && values() !== before) { window.waited = performance.now() - start; start = 0; }
    }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""

_IS_THERE = "() => document.activeElement.getAttribute('aria-busy') !== 'true'"


@dataclass(frozen=True)
class Wait:
    """Times on one screen: from a key to changed values, and of the same label and predictions over bare HTTP."""

    screen: str
    pictures: int
    """Visible pictures, and a few beyond."""
    key_ms: float
    """Median."""
    slowest_ms: float
    http_ms: float
    """Median."""
    ratio: float
    """key_ms divided by http_ms."""


def page(
    context: typer.Context,
    repeats: Annotated[int, typer.Option(min=3, help="Keys pressed on each screen.")] = 15,
    each: Annotated[int, typer.Option(min=12, help="Pictures of each of five kinds.")] = 26,
) -> None:
    """Measure labelling by a key in Chromium until values change. Example: tenshot bench page --repeats 30

    Needs the extra `dev` and a Chromium.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        fail("bench page needs playwright: pip install 'tenshot[dev]'")
    from .page_pictures import drawn_app

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        fail("bench page needs Chromium; on Debian: apt-get install chromium")
    waits = []
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        errors.print("drawing and embedding pictures ...")
        key = drawn_app(Path(data), each)
        with running_server(Path(data)) as server:
            url = f"http://{server.host}:{server.port}"
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for width, height in ((1280, 800), (2560, 1300)):
                opened = browser.new_page(viewport={"width": width, "height": height})
                waits.append(_measure(opened, url, key, f"{width} x {height}", repeats))
                opened.close()
            browser.close()
    columns = ["screen", "pictures", "key to values ms", "slowest", "bare HTTP ms", "ratio"]
    rows = [
        [w.screen, w.pictures, f"{w.key_ms:.0f}", f"{w.slowest_ms:.0f}", f"{w.http_ms:.0f}", f"{w.ratio:.1f}"]
        for w in waits
    ]
    output(context.obj, [asdict(wait) for wait in waits], table(None, columns, rows))


def _measure(opened: "Page", url: str, key: str, screen: str, repeats: int) -> Wait:
    import numpy as np

    opened.goto(url)
    opened.get_by_label("API key").fill(key)
    opened.get_by_role("button", name="Sign in").click()
    opened.get_by_role("navigation", name="Views").wait_for()
    opened.goto(f"{url}/#/teach")
    opened.locator(".bar-said").nth(3).wait_for()
    opened.wait_for_load_state("networkidle")
    opened.evaluate(_WATCH)
    # A key says nothing about a cell whose picture has not come yet.
    opened.locator('[role="gridcell"][aria-busy="false"]').first.focus()
    ids = opened.evaluate("[...document.querySelectorAll('.cell')].map((one) => one.dataset.id).filter(Boolean)")
    keys, bare = [], []
    for turn in range(repeats):
        # The focus is on the next cell now, whose picture may still be on its way.
        opened.wait_for_function(_IS_THERE, timeout=_MOST_MS)
        opened.keyboard.press("n" if turn % 3 else "y")
        try:
            opened.wait_for_function("() => window.waited !== null", timeout=_MOST_MS)
        except Exception:
            continue  # the label changed no displayed value
        keys.append(float(opened.evaluate("window.waited")))
        opened.wait_for_load_state("networkidle")
        bare.append(_bare(url, key, ids))
    for _ in range(repeats):
        opened.keyboard.press("z")
    opened.wait_for_load_state("networkidle")
    if not keys:
        fail("no key changed any displayed value")
    middle, without = float(np.median(keys)), float(np.median(bare))
    return Wait(screen, len(ids), middle, max(keys), without, middle / without)


def _bare(url: str, key: str, ids: list[str]) -> float:
    """Milliseconds for one label and the predictions of these pictures; removes the label afterwards."""

    def ask(method: str, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Key {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(url + path, json.dumps(body).encode(), headers, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return json.load(answer)

    [app] = ask("GET", "/v2/users/me/apps", None)["apps"]
    base = f"/v2/users/me/apps/{app['id']}"
    label = {"inputs": [{"id": ids[-1], "data": {"concepts": [{"id": "boat", "value": 1}]}}]}
    selection = {"model": {"output_info": {"output_config": {"select_concepts": [{"id": "boat"}]}}}}
    start = time.perf_counter()
    ask("PATCH", f"{base}/inputs", label | {"action": "merge"})
    for first in range(0, len(ids), 128):
        ask(
            "POST",
            f"{base}/models/all/outputs",
            selection | {"inputs": [{"id": id} for id in ids[first : first + 128]]},
        )
    waited = 1000 * (time.perf_counter() - start)
    ask("PATCH", f"{base}/inputs", label | {"action": "remove"})
    return waited
