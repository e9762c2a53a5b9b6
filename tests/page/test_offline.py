"""While the server doesn't answer the page says so, and goes on by itself when it does."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tenshot.index.app import App


def test_a_server_that_is_away_is_told_and_forgotten_when_it_is_back(tab: Callable[..., Any], taught: App) -> None:
    opened = tab(taught)
    page = opened.go("teach")
    grid = page.get_by_role("grid", name="Pictures to teach with")
    # All that the view asks for is there: it is the label that can't be sent.
    expect(grid.get_by_role("button", name="Yes: ").first).to_be_visible()
    expect(page.get_by_role("button", name="mammal 10 yes, 0 no")).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.context.set_offline(True)
    grid.get_by_role("button", name="Yes: ").first.click()
    expect(page.get_by_text("What you see may be old")).to_be_visible()
    # What could not be kept is not shown as if it were.
    expect(page.get_by_role("button", name="mammal 10 yes, 0 no")).to_be_visible()
    page.context.set_offline(False)
    expect(page.get_by_text("What you see may be old")).to_be_hidden(timeout=10_000)
    expect(page.get_by_role("gridcell").first).to_be_visible()
    assert taught.label_counts()["mammal"] == (10, 0)
    opened.excuse("ERR_INTERNET_DISCONNECTED")


def test_a_failed_view_can_be_tried_again(tab: Callable[..., Any], taught: App) -> None:
    opened = tab(taught)
    page = opened.page
    page.route(
        "**/v2/models/all/evaluation*",
        lambda route: route.fulfill(
            status=500,
            json={"status": {"code": 98004, "description": "Internal server error", "details": "something went wrong"}},
        ),
    )
    page = opened.go("model")
    expect(page.get_by_role("alert").filter(has_text="something went wrong")).to_be_visible()
    page.unroute("**/v2/models/all/evaluation*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Concept by concept")).to_be_visible()
    opened.excuse("500")
