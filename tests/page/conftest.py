"""A live server, and Chromium on the page that it serves. Without Chromium these tests are skipped."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from threadpoolctl import threadpool_limits

from tenshot import Store
from tenshot.api.keys import new_key
from tenshot.api.service import create_service
from tenshot.api.settings import Settings
from tenshot.index.app import App
from tenshot.index.records import AddRequest
from tenshot.tools.samples import Sample, tasks

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KINDS = ("mammal", "produce", "sky", "vehicle")
EACH = 25
expect.set_options(timeout=15_000)


@dataclass(frozen=True)
class Server:
    """A live service on loopback."""

    url: str
    store: Store
    admin: str
    service: Any


@dataclass
class Opened:
    """The page in a tab, and what it should not have done."""

    page: Page
    server: Server
    wrong: list[str] = field(default_factory=list)

    def go(self, view: str) -> Page:
        self.page.goto(f"{self.server.url}/#/{view}")
        return self.page

    def excuse(self, text: str) -> None:
        """What the browser reports as an error by itself, though the page deals with it."""
        self.wrong = [said for said in self.wrong if text not in said]

    def sign_in(self, key: str) -> Page:
        self.page.goto(self.server.url)
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("navigation", name="Views").wait_for()
        return self.page


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = Settings(data=Path(tmp_path_factory.mktemp("page")))
    with Store.open(settings.data) as store:
        service = create_service(settings, store)
        # As `tenshot serve` does.
        threadpool_limits(1, user_api="blas")
        running = uvicorn.Server(uvicorn.Config(service, host="127.0.0.1", port=0, log_level="error"))
        thread = threading.Thread(target=running.run)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        port = running.servers[0].sockets[0].getsockname()[1]
        yield Server(f"http://127.0.0.1:{port}", store, new_key(store.catalog, None).secret, service)
        running.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser, server: Server) -> Iterator[Callable[..., Opened]]:
    """Opens a tab of its own; at the end nothing may have gone wrong in any of them."""
    contexts: list[BrowserContext] = []
    tabs: list[Opened] = []

    def open_(**options: Any) -> Opened:
        options = {"viewport": {"width": 1280, "height": 800}} | options
        contexts.append(browser.new_context(reduced_motion="reduce", **options))
        contexts[-1].set_default_timeout(15_000)
        tab = Opened(contexts[-1].new_page(), server)
        tab.page.on("console", lambda said: tab.wrong.extend([said.text] if said.type == "error" else []))
        tab.page.on("pageerror", lambda error: tab.wrong.append(str(error)))
        tab.page.on("request", lambda asked: _check(tab, asked.url))
        tabs.append(tab)
        return tab

    yield open_
    for context in contexts:
        context.close()
    assert [tab.wrong for tab in tabs] == [[]] * len(tabs)


def _check(tab: Opened, url: str) -> None:
    """The page asks nobody but the server that it came from."""
    if not url.startswith((tab.server.url, "blob:", "data:")):
        tab.wrong.append(f"asked {url}")


@pytest.fixture(scope="session")
def drawings() -> list[Sample]:
    """A hundred of the demo's drawings, of four kinds."""
    [task] = [one for one in tasks() if one.id == "drawings"]
    samples = list(task.load())
    return [one for kind in KINDS for one in [sample for sample in samples if sample.label == kind][:EACH]]


@pytest.fixture(scope="session")
def files(drawings: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same as files by name, <kind>-<code>.png."""
    folder = tmp_path_factory.mktemp("drawings")
    found = {}
    for sample in drawings:
        found[sample.name] = folder / f"{sample.name}.png"
        sample.image.save(found[sample.name])
    return found


@pytest.fixture
def filled(server: Server, drawings: list[Sample], request: pytest.FixtureRequest) -> App:
    """An app with the hundred drawings, nothing taught. It stays: a tab may still ask for it at the end."""
    app = server.store.create_app(request.node.name)
    requests = [
        AddRequest(one.image, one.name, metadata={"file": f"{one.name}.png", "kind": one.label}) for one in drawings
    ]
    assert all(result.input for result in app.add_many(requests))
    return app


@pytest.fixture
def taught(filled: App, drawings: list[Sample]) -> App:
    """With ten yes labels of three concepts."""
    for kind in ("mammal", "produce", "vehicle"):
        for sample in [one for one in drawings if one.label == kind][:10]:
            filled.label(sample.name, {kind: True})
    return filled


@pytest.fixture
def tab(opened: Callable[..., Opened], server: Server) -> Callable[..., Opened]:
    """A tab that is signed in to an app."""

    def signed_in(app: App, **options: Any) -> Opened:
        tab = opened(**options)
        tab.sign_in(new_key(server.store.catalog, app.id).secret)
        return tab

    return signed_in
