"""Teaching by keys alone: every value in sight changes after each label, and every step can be taken back."""

from collections.abc import Callable
from typing import Any

from patience import becomes
from playwright.sync_api import Page, expect

from tenshot.index.app import App


def test_two_concepts_are_taught_by_ten_keys_each_and_values_change_by_themselves(
    tab: Callable[..., Any], filled: App
) -> None:
    page = tab(filled).go("teach")
    for name in ("vehicle", "mammal"):
        page.get_by_label("New concept").fill(name)
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name=f"{name} 0 yes, 0 no")).to_have_attribute("aria-pressed", "true")
    grid = page.get_by_role("grid", name="Pictures to teach with")
    # The newest are first: 25 vehicles, then the sky, produce, and mammals at the end.
    grid.get_by_role("gridcell").first.focus()
    page.keyboard.press("1")
    expect(page.get_by_role("button", name="vehicle 1 yes, 0 no")).to_be_visible()
    seen = [_values(page)]
    for number in range(2, 11):
        page.keyboard.press("y")
        expect(page.get_by_role("button", name=f"vehicle {number} yes, 0 no")).to_be_visible()
        page.wait_for_function(
            "before => document.title && [...document.querySelectorAll('.bar-said')]"
            ".map(one => one.textContent).join() !== before",
            arg=seen[-1],
        )
        seen.append(_values(page))
    assert len(set(seen)) == 10
    expect(page.get_by_text("10 yes labels: that is usually enough.")).to_be_visible()
    page.keyboard.press("End")
    for _ in range(10):
        page.keyboard.press("2")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("button", name="mammal 10 yes, 0 no")).to_be_visible()
    becomes(filled.label_counts, {"vehicle": (10, 0), "mammal": (10, 0)})
    shown = filled.input(_first_of(filled, "vehicle"))
    assert filled.predict_input(shown.id)[0].concept_id == "vehicle"


def test_each_step_is_taken_back_by_z(tab: Callable[..., Any], taught: App) -> None:
    page = tab(taught).go("teach")
    grid = page.get_by_role("grid", name="Pictures to teach with")
    grid.get_by_role("gridcell").first.focus()
    page.wait_for_function("() => document.querySelector('.bar-said')?.textContent")
    before = _values(page)
    page.keyboard.press("3")
    page.keyboard.press("Shift+2")
    expect(page.get_by_role("button", name="vehicle 11 yes, 0 no")).to_be_visible()
    expect(page.get_by_role("button", name="produce 10 yes, 1 no")).to_be_visible()
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="produce 10 yes, 0 no")).to_be_visible()
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="vehicle 10 yes, 0 no")).to_be_visible()
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_disabled()
    page.get_by_role("button", name="mammal 10 yes").click()
    page.wait_for_function(
        "before => [...document.querySelectorAll('.bar-said')].map(one => one.textContent).join() === before",
        arg=before,
    )
    becomes(lambda: taught.label_counts()["vehicle"], (10, 0))


def test_a_click_says_yes_and_once_more_takes_it_back(tab: Callable[..., Any], taught: App) -> None:
    page = tab(taught).go("teach")
    yes = page.get_by_role("grid").get_by_role("button", name="Yes: ").first
    yes.click()
    expect(yes).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="mammal 11 yes, 0 no")).to_be_visible()
    yes.click()
    expect(page.get_by_role("button", name="mammal 10 yes, 0 no")).to_be_visible()


def test_the_queue_asks_about_one_picture_after_the_other(tab: Callable[..., Any], taught: App) -> None:
    page = tab(taught).go("teach")
    page.get_by_role("tab", name="Suggested next").click()
    picture = page.locator(".card-picture img")
    expect(picture).to_be_visible()
    names = []
    for key in "yns":
        names.append(picture.get_attribute("alt"))
        page.keyboard.press(key)
        expect(picture).not_to_have_attribute("alt", names[-1] or "")
    assert len(set(names)) == 3
    expect(page.get_by_role("button", name="mammal 11 yes, 1 no")).to_be_visible()
    becomes(lambda: taught.label_counts()["mammal"], (11, 1))


def test_a_wrong_label_is_doubted_and_made_right(tab: Callable[..., Any], taught: App) -> None:
    wrong = _first_of(taught, "vehicle")
    taught.label(wrong, {"vehicle": None, "mammal": True})
    page = tab(taught).go("teach")
    page.get_by_role("tab", name="Doubtful labels").click()
    doubt = page.get_by_role("listitem").filter(has=page.get_by_label(f"Look closer at {wrong}.png"))
    expect(doubt).to_contain_text("mammal")
    doubt.get_by_role("button", name="Make it a no").click()
    expect(doubt).to_have_count(0)
    page.wait_for_function("() => document.querySelector('.undo:not(:disabled)')")
    expect(page.get_by_role("button", name="mammal 10 yes, 1 no")).to_be_visible()
    becomes(lambda: taught.input(wrong).concepts, {"mammal": False})


def _values(page: Page) -> str:
    return str(page.evaluate("[...document.querySelectorAll('.bar-said')].map(one => one.textContent).join()"))


def _first_of(app: App, kind: str) -> str:
    return next(one.id for one in app.inputs(per_page=200) if (one.metadata or {})["kind"] == kind)
