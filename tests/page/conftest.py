"""A live server, and Chromium on the page that it serves. Without Chromium these tests are skipped."""

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import uvicorn
from playwright.sync_api import APIResponse, Browser, BrowserContext, Locator, Page, Route, expect, sync_playwright
from threadpoolctl import threadpool_limits

from tenshot import Store
from tenshot.api.auth.keys import new_key
from tenshot.api.service import create_service
from tenshot.api.settings import Settings
from tenshot.index.app import App
from tenshot.index.records import AddRequest
from tenshot.tools.demo.samples import Sample, tasks

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KINDS = ("mammal", "produce", "sky", "vehicle")
EACH = 25
# Seconds: the first picture waits for its model.
LONG = 60
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
    said: list[str] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)

    def go(self, view: str) -> Page:
        self.page.goto(f"{self.server.url}/#/{view}")
        return self.page

    def first_cell(self) -> Locator:
        """The first picture of a grid, when it is there: until then its place is empty, and a click does nothing."""
        cell = self.page.get_by_role("gridcell").first
        expect(cell).to_have_attribute("aria-busy", "false")
        return cell

    def excuse(self, text: str) -> None:
        """What the browser reports as an error by itself, though the page deals with it."""
        self.excused.append(text)

    @property
    def wrong(self) -> list[str]:
        return [said for said in self.said if not any(text in said for text in self.excused)]

    def becomes(self, found: Callable[[], Any], wanted: Any) -> None:
        """As `patience.becomes`, while the page and what is held of its requests go on."""
        end = time.monotonic() + LONG
        while (now := found()) != wanted and time.monotonic() < end:
            self.page.wait_for_timeout(20)
        assert now == wanted

    def enter(self, app: App) -> Page:
        """Opens another app, which only an admin can."""
        self.go("apps")
        card = self.page.get_by_role("listitem").filter(has=self.page.get_by_role("heading", name=app.name, exact=True))
        card.get_by_role("button", name="Open", exact=True).click()
        return self.page

    def hold(self, url: str, method: str = "GET", *, first: int = 1_000, answered: bool = False) -> "Held":
        """From now on requests wait, at most so many; with `answered` it is their answers that wait."""
        return Held(self, url, method, first, answered)

    def sign_in(self, key: str) -> Page:
        self.page.goto(self.server.url)
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("navigation", name="Views").wait_for()
        return self.page


class Held:
    """Requests that the browser has made and the server has not seen; or whose answers the browser has not seen."""

    def __init__(self, tab: Opened, url: str, method: str, first: int, answered: bool) -> None:
        self.page = tab.page
        self.tab = tab
        self.routes: list[Route] = []
        self.answers: list[APIResponse] = []
        self._answered = answered
        self._url, self._method, self._first = re.compile(url), method, first
        self.page.route(self._url, self._hold)

    def _hold(self, route: Route) -> None:
        if route.request.method != self._method or len(self.routes) >= self._first:
            route.fallback()
        else:
            if self._answered:
                self.answers.append(route.fetch(timeout=1000 * LONG))
            self.routes.append(route)

    def wait(self, number: int = 1) -> Self:
        """Until so many wait."""
        end = time.monotonic() + LONG
        while len(self.routes) < number:
            assert time.monotonic() < end, f"{len(self.routes)} of {number} requests"
            self.page.wait_for_timeout(20)
        return self

    def release(self) -> None:
        """They go on; none is held any more."""
        self._first = 0
        for place, route in enumerate(self.routes):
            if self._answered:
                route.fulfill(response=self.answers[place])
            else:
                route.continue_()

    def fail(self, place: int = 0) -> None:
        """The server can't be reached by this one."""
        self.routes[place].abort()
        self.tab.excuse("ERR_FAILED")

    def refuse(self, place: int = 0) -> None:
        """The server breaks down at this one."""
        status = {"code": 98004, "description": "Internal server error", "details": "something went wrong"}
        self.routes[place].fulfill(status=500, json={"status": status})
        self.tab.excuse("500")


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
        tab.page.on("console", lambda said: tab.said.extend([said.text] if said.type == "error" else []))
        tab.page.on("pageerror", lambda error: tab.said.append(str(error)))
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
        tab.said.append(f"asked {url}")


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
def vectors(server: Server, request: pytest.FixtureRequest) -> Callable[..., App]:
    """Makes apps of vectors v0, v1, ..., of two kinds in turn, with concepts that nothing is labelled with."""

    def made(name: str = "", concepts: Sequence[str] = ("even", "odd"), many: int = 12) -> App:
        app = server.store.create_app(f"{request.node.name}{name}", "vectors", dim=4)
        kinds = np.eye(4)[np.arange(many) % 2] + np.random.default_rng(0).normal(0, 0.1, (many, 4))
        app.add_vectors(kinds.astype(np.float32), ids=[f"v{number}" for number in range(many)])
        app.create_concepts([(concept, concept) for concept in concepts])
        return app

    return made


@pytest.fixture
def tab(opened: Callable[..., Opened], server: Server) -> Callable[..., Opened]:
    """A tab that is signed in to an app."""

    def signed_in(app: App, **options: Any) -> Opened:
        tab = opened(**options)
        tab.sign_in(new_key(server.store.catalog, app.id).secret)
        return tab

    return signed_in
