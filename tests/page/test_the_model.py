"""The model's page: its numbers, the pictures behind a confusion, thresholds, versions, and trying it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tenshot.index.app import App


@pytest.fixture
def modelled(taught: App) -> App:
    taught.create_model("kinds", ["mammal", "produce", "vehicle"], mutually_exclusive=True)
    return taught


def test_the_confusion_matrix_opens_the_pictures_of_a_cell(tab: Callable[..., Any], taught: App) -> None:
    found = taught.evaluate(None)
    ids = [one.concept_id for one in found.concepts]
    page = tab(taught).go("model")
    matrix = page.get_by_role("region", name="Confusion matrix").last
    for is_, row in enumerate(found.confusion):
        for seen, number in enumerate(row):
            one = "picture" if number == 1 else "pictures"
            cell = matrix.get_by_role("button", name=f"{number} {one} of {ids[is_]} seen as {ids[seen]}")
            expect(cell).to_have_text(str(number))
    place = ids.index("vehicle")
    matrix.get_by_role("button", name=re.compile("of vehicle seen as vehicle")).click()
    cells = page.get_by_role("grid", name="Pictures of this cell").get_by_role("gridcell").filter(visible=True)
    expect(cells).to_have_count(found.confusion[place][place])
    expect(cells.first).to_have_attribute("data-id", re.compile("^vehicle"))


def test_a_threshold_is_chosen_by_a_slider_and_kept(tab: Callable[..., Any], taught: App) -> None:
    page = tab(taught).go("model")
    page.get_by_role("button", name="vehicle", exact=True).click()
    slider = page.get_by_role("slider", name="Threshold")
    slider.focus()
    before = page.locator(".said-threshold").text_content()
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".said-threshold")).not_to_have_text(before or "")
    page.get_by_role("button", name="Decide from here on").click()
    expect(page.get_by_text("vehicle is a yes from 20 % on")).to_be_visible()
    assert taught.thresholds()["vehicle"] == pytest.approx(0.2)


def test_a_version_is_frozen_compared_and_gone_back_to(tab: Callable[..., Any], modelled: App) -> None:
    page = tab(modelled).go("model/kinds")
    versions = page.get_by_role("region", name="Versions")
    expect(versions.get_by_text("None is frozen yet.")).to_be_visible()
    versions.get_by_role("button", name="Freeze now").click()
    expect(versions.get_by_text("Version 1", exact=True)).to_be_visible()
    frozen = modelled.versions("kinds")[0]
    for name in [one.id for one in modelled.inputs(per_page=200) if one.id.startswith("sky")][:10]:
        modelled.label(name, {"vehicle": True})
    versions.get_by_role("button", name="Compare with now").click()
    expect(
        page.get_by_role("dialog").get_by_text(re.compile(r"\d+ pictures? of 100 .* seen differently now"))
    ).to_be_visible()
    page.keyboard.press("Escape")
    versions.get_by_role("button", name="Freeze now").click()
    expect(versions.get_by_text("Version 2", exact=True)).to_be_visible()
    versions.get_by_role("listitem").filter(has_text="Version 1").get_by_role("button", name="Go back to it").click()
    page.get_by_role("dialog").get_by_role("button", name="Go back").click()
    expect(versions.get_by_text("Version 3", exact=True)).to_be_visible()
    newest = modelled.versions("kinds")[0]
    assert newest.predictor_sha256 == frozen.predictor_sha256


def test_a_picture_is_tried_and_nothing_is_kept(tab: Callable[..., Any], taught: App, files: dict[str, Path]) -> None:
    page = tab(taught).go("model")
    picture = next(path for name, path in files.items() if name.startswith("vehicle"))
    page.get_by_label("A picture to try").set_input_files(picture)
    tried = page.get_by_role("region", name="Try it")
    expect(tried.locator(".value-list li").first).to_contain_text("vehicle")
    expect(tried.locator(".neighbour").first).to_be_visible()
    assert len(taught.inputs(per_page=200)) == 100
