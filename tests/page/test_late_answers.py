"""Answers that come late or not at all: the page shows what was asked last, and asks again, with patience."""

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Route, expect

from tenshot.index.app import App


def test_another_concept_chosen_while_suggestions_load_gets_its_own(
    tab: Callable[..., Any], vectors: Callable[..., App]
) -> None:
    app = vectors()
    for number in range(4):
        app.label(f"v{number}", {"even": number % 2 == 0, "odd": number % 2 == 1})
    opened = tab(app)
    page = opened.go("teach")
    held = opened.hold("/suggestions", first=1)
    page.get_by_role("tab", name="Suggested next").click()
    held.wait()
    page.get_by_role("button", name="odd 2 yes").click()
    expect(page.get_by_text("Does this show odd?")).to_be_visible()
    held.release()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_text("Does this show odd?")).to_be_visible()
    # Renamed, as by another tab, it is still the same concept.
    held = opened.hold("/suggestions", first=1)
    page.get_by_role("button", name="even 2 yes").click()
    held.wait()
    page.get_by_label("New concept").fill("third")
    with page.expect_response(re.compile("/concepts/status")):
        page.get_by_role("button", name="Make the concept").click()
    page.get_by_role("button", name="even 2 yes").click()
    held.release()
    expect(page.get_by_text("Does this show even?")).to_be_visible()


def test_a_list_that_fails_is_asked_again_with_patience_until_it_comes(
    tab: Callable[..., Any], vectors: Callable[..., App]
) -> None:
    opened = tab(vectors())
    page = opened.page
    expect(page.get_by_text("12 pictures", exact=True)).to_be_visible()
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        status = {"code": 98004, "description": "Internal server error", "details": "something went wrong"}
        route.fulfill(status=500, json={"status": status})

    listed = re.compile(r"/inputs\?.*page=")
    page.route(listed, refuse)
    opened.go("teach")
    page.get_by_role("grid", name="Pictures to teach with").wait_for()
    page.wait_for_timeout(2000)
    assert 1 <= len(asked) <= 4
    page.unroute(listed)
    expect(page.locator('.cell[data-id="v3"]')).to_be_visible()
    opened.excuse("500")


def test_what_an_earlier_search_finds_late_says_nothing_of_the_present_one(
    tab: Callable[..., Any], vectors: Callable[..., App]
) -> None:
    opened = tab(vectors())
    page = opened.page
    expect(page.get_by_text("12 pictures", exact=True)).to_be_visible()
    held = opened.hold("/searches", "POST", first=1, answered=True)
    opened.go("search/v0")
    held.wait()
    page.get_by_role("list", name="What is searched for").get_by_role("button", name="Like").click()
    cells = page.get_by_role("grid", name="Found").get_by_role("gridcell")
    expect(cells.first.locator(".bar-said")).to_be_visible()
    before = cells.locator(".bar-said").all_text_contents()
    held.release()
    page.wait_for_load_state("networkidle")
    page.set_viewport_size({"width": 1200, "height": 700})
    page.wait_for_function("() => document.querySelectorAll('.bar-said').length >= 12")
    assert cells.locator(".bar-said").all_text_contents() == before


def test_filters_chosen_while_the_library_reloads_stay(tab: Callable[..., Any], vectors: Callable[..., App]) -> None:
    app = vectors()
    app.label("v1", {"odd": True})
    opened = tab(app)
    page = opened.page
    expect(page.get_by_text("12 pictures", exact=True)).to_be_visible()
    opened.first_cell().click()
    page.get_by_role("button", name="Delete", exact=True).click()
    held = opened.hold(r"/inputs\?.*page=", first=1, answered=True)
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    held.wait()
    page.get_by_label("Label", exact=True).select_option(label="Labelled odd (1)")
    expect(page.locator(".count")).to_have_text("1 picture")
    held.release()
    page.wait_for_load_state("networkidle")
    expect(page.locator(".count")).to_have_text("1 picture")


def test_a_picture_on_its_way_is_shown_when_it_has_come(tab: Callable[..., Any], filled: App) -> None:
    def pending(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        for one in body.get("inputs", []):
            one["status"] = {"code": 30001, "description": "Download pending"}
            one["data"]["image"] = {"url": "https://example.org/robin.png"}
        if "counts" in body:
            body["counts"] |= {"to_process": 100, "processed": 0}
        route.fulfill(response=answer, json=body)

    opened = tab(filled)
    page = opened.page
    expect(page.get_by_text("100 pictures")).to_be_visible()
    listed = re.compile(r"/inputs(/status|\?.*page=)")
    page.route(listed, pending)
    page.reload()
    expect(page.get_by_text("On its way").first).to_be_visible()
    page.unroute(listed)
    expect(page.locator(".cell img.there").first).to_be_visible()
    expect(page.get_by_text("On its way").filter(visible=True)).to_have_count(0)


def test_predictions_that_fail_are_asked_again(tab: Callable[..., Any], vectors: Callable[..., App]) -> None:
    app = vectors()
    app.label("v0", {"even": True})
    opened = tab(app)
    page = opened.page
    expect(page.locator(".bar-said").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    held = opened.hold("/models/all/outputs", "POST", first=1)
    opened.go("teach")
    held.wait()
    with page.expect_response(lambda answer: answer.ok and answer.url.endswith("/models/all/outputs")):
        held.refuse()
    expect(page.get_by_text("something went wrong")).to_be_visible()
    opened.excuse("500")
