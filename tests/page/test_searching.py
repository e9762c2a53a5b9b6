"""Searching on the page: by a part of a picture, by words, and by more and less of what was found."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import expect

from tenshot.index.app import App


def test_a_part_chosen_by_dragging_finds_what_it_shows(
    tab: Callable[..., Any], filled: App, files: dict[str, Path], tmp_path: Path
) -> None:
    names = [name for name in files if name.startswith(("mammal", "vehicle"))]
    left, right = names[0], names[-1]
    both = Image.new("RGB", (256, 128))
    for place, name in enumerate((left, right)):
        with Image.open(files[name]) as picture:
            both.paste(picture.resize((128, 128)), (128 * place, 0))
    both.save(tmp_path / "both.png")
    page = tab(filled).go("search")
    page.get_by_label("A picture to search by").set_input_files(tmp_path / "both.png")
    first = page.get_by_role("grid", name="Found").get_by_role("gridcell").first
    expect(first).to_be_visible()
    for name, start, end in ((left, 0.0, 0.5), (right, 0.5, 1.0)):
        page.get_by_role("button", name="Crop").click()
        stage = page.locator(".crop-stage").bounding_box()
        assert stage
        page.mouse.move(stage["x"] + start * stage["width"] + 1, stage["y"] + 1)
        page.mouse.down()
        page.mouse.move(stage["x"] + end * stage["width"] - 1, stage["y"] + stage["height"] - 1, steps=5)
        page.mouse.up()
        page.get_by_role("button", name="Search for this part").click()
        expect(first).to_have_attribute("data-id", name)
    expect(page.get_by_role("list", name="What is searched for")).to_contain_text("a part of it")


def test_more_like_this_and_less_like_that(tab: Callable[..., Any], filled: App) -> None:
    page = tab(filled).go("search/vehicle-1f682")
    grid = page.get_by_role("grid", name="Found")
    expect(grid.get_by_role("gridcell").first).to_have_attribute("data-id", "vehicle-1f682")
    second = grid.get_by_role("gridcell").nth(1)
    also = second.get_attribute("data-id")
    second.get_by_role("button", name="More like").click()
    terms = page.get_by_role("list", name="What is searched for").get_by_role("listitem")
    expect(terms).to_have_count(2)
    grid.get_by_role("gridcell").nth(2).focus()
    unlike = grid.get_by_role("gridcell").nth(2).get_attribute("data-id")
    page.keyboard.press("l")
    expect(terms).to_have_count(3)
    expect(terms.nth(2)).to_contain_text("Unlike")
    wanted = [hit.input_id for hit in filled.rank(_terms(filled, ["vehicle-1f682", str(also)], str(unlike)), 3)]
    expect(grid.get_by_role("gridcell").first).to_have_attribute("data-id", wanted[0])
    # Turned round it is wanted as well.
    terms.nth(2).get_by_role("button", name="Unlike").click()
    expect(terms.nth(2)).to_contain_text("Like")


def test_concepts_and_filters_narrow_a_search(tab: Callable[..., Any], taught: App) -> None:
    page = tab(taught).go("search")
    page.get_by_label("A concept to search for").select_option(label="vehicle")
    cells = page.get_by_role("grid", name="Found").get_by_role("gridcell")
    expect(cells.first).to_have_attribute("data-id", re.compile("^vehicle"))
    page.get_by_text("Only some of them").click()
    page.get_by_label("Metadata name").fill("kind")
    page.get_by_label("Metadata value").fill("mammal")
    page.keyboard.press("Enter")
    page.get_by_label("Metadata value").blur()
    expect(cells.first).to_have_attribute("data-id", re.compile("^mammal"))


def test_words_find_pictures_and_a_closer_look_says_why(tab: Callable[..., Any], taught: App) -> None:
    page = tab(taught).go("search")
    words = page.get_by_label("Words", exact=True)
    if not taught.has_text:
        expect(words).to_be_disabled()
        return
    expect(words).to_be_enabled()
    page.keyboard.press("/")
    page.keyboard.type("a tractor")
    page.keyboard.press("Enter")
    cells = page.get_by_role("grid", name="Found").get_by_role("gridcell")
    expect(cells.first).to_have_attribute("aria-busy", "false")
    cells.first.dblclick()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("The nearest labelled pictures, and their share of the vote:").first).to_be_visible()
    expect(dialog.locator(".neighbour")).not_to_have_count(0)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def _terms(app: App, like: list[str], unlike: str) -> Any:
    from tenshot.index.app.ranking import Term

    return [*(Term(vector=vector) for vector in app.vectors(like)), Term(vector=app.vectors([unlike])[0], negate=True)]
