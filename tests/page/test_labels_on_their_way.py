"""The page shows the labels that the server has, and on top those on their way; none is lost without a word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tenshot.index.app import App
from tenshot.index.records import InputStatus


@pytest.fixture
def teach(tab: Callable[..., Any], vectors: Callable[..., App]) -> Callable[..., tuple[Any, Page, App]]:
    """The grid of Teach in an app of vectors, with the concept `even` chosen."""

    def opened(many: int = 12) -> tuple[Any, Page, App]:
        app = vectors(many=many)
        tab_ = tab(app)
        page = tab_.go("teach")
        expect(_cell(page, f"v{many - 1}")).to_be_visible()
        return tab_, page, app

    return opened


def test_of_many_labels_those_that_arrived_are_shown_and_can_be_undone(
    teach: Callable[..., tuple[Any, Page, App]],
) -> None:
    tab, page, app = teach(300)
    page.get_by_role("gridcell").first.focus()
    page.keyboard.press("Control+a")
    expect(_cell(page, "v298")).to_have_attribute("aria-selected", "true")
    held = tab.hold("/inputs$", "PATCH", first=3)
    page.keyboard.press("y")
    for place in range(3):
        held.wait(place + 1)
        if place < 2:
            held.routes[place].continue_()
        else:
            held.refuse(place)
    expect(page.get_by_text("Not kept: 44 pictures labelled yes: even. something went wrong")).to_be_visible()
    expect(_count(page, 256, 0)).to_be_visible()
    assert app.label_counts()["even"] == (256, 0)
    page.keyboard.press("z")
    expect(page.get_by_text("Undone: 256 pictures labelled yes: even")).to_be_visible()
    expect(_count(page, 0, 0)).to_be_visible()
    tab.becomes(lambda: app.label_counts().get("even", (0, 0)), (0, 0))


def test_an_undo_that_fails_can_be_tried_again(teach: Callable[..., tuple[Any, Page, App]]) -> None:
    tab, page, app = teach()
    _yes(page, "v3").click()
    tab.becomes(app.label_counts, {"even": (1, 0)})
    held = tab.hold("/inputs$", "PATCH", first=1)
    page.keyboard.press("z")
    held.wait().refuse()
    expect(page.get_by_text("Not undone: v3 labelled yes: even. something went wrong")).to_be_visible()
    expect(_count(page, 1, 0)).to_be_visible()
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_enabled()
    page.keyboard.press("z")
    expect(_count(page, 0, 0)).to_be_visible()
    tab.becomes(lambda: app.input("v3").concepts, {})


def test_undo_goes_back_to_what_was_stored_not_to_a_label_that_failed(
    teach: Callable[..., tuple[Any, Page, App]],
) -> None:
    tab, page, app = teach()
    held = tab.hold("/inputs$", "PATCH", first=1)
    _yes(page, "v3").click()
    held.wait()
    _no(page, "v3").click()
    expect(_no(page, "v3")).to_have_attribute("aria-pressed", "true")
    held.fail()
    expect(page.get_by_text("Not kept: v3 labelled yes: even")).to_be_visible()
    tab.becomes(lambda: app.input("v3").concepts, {"even": False})
    expect(_count(page, 0, 1)).to_be_visible()
    page.keyboard.press("z")
    expect(_count(page, 0, 0)).to_be_visible()
    expect(page.get_by_text("Undone: v3 labelled no: even")).to_be_visible()
    assert app.input("v3").concepts == {}


def test_a_label_whose_answer_is_lost_is_shown_as_it_is_stored(teach: Callable[..., tuple[Any, Page, App]]) -> None:
    tab, page, app = teach()
    held = tab.hold("/inputs$", "PATCH", first=1, answered=True)
    _yes(page, "v3").click()
    held.wait().fail()
    tab.becomes(lambda: app.input("v3").concepts, {"even": True})
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_enabled()
    expect(_yes(page, "v3")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("z")
    expect(page.get_by_text("Undone: v3 labelled yes: even")).to_be_visible()
    assert app.input("v3").concepts == {}


def test_undo_gives_back_what_another_tab_had_labelled_unseen(teach: Callable[..., tuple[Any, Page, App]]) -> None:
    tab, page, app = teach()
    app.label("v3", {"even": True})
    app.label("v4", {"even": True})
    _no(page, "v3").click()
    tab.becomes(lambda: app.input("v3").concepts, {"even": False})
    _yes(page, "v4").click()
    expect(_yes(page, "v4")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("z")
    expect(page.get_by_text("Undone: v4")).to_be_visible()
    page.keyboard.press("z")
    expect(page.get_by_text("Undone: v3")).to_be_visible()
    assert app.label_counts() == {"even": (2, 0)}
    # Now they are shown.
    expect(_yes(page, "v3")).to_have_attribute("aria-pressed", "true")
    expect(_count(page, 2, 0)).to_be_visible()


def test_undo_leaves_what_another_tab_has_labelled_since_and_says_so(
    teach: Callable[..., tuple[Any, Page, App]],
) -> None:
    tab, page, app = teach()
    _yes(page, "v3").click()
    tab.becomes(app.label_counts, {"even": (1, 0)})
    app.label("v3", {"even": False})
    page.keyboard.press("z")
    expect(page.get_by_text("Changed elsewhere since, and left as it is: v3 labelled yes: even")).to_be_visible()
    assert app.input("v3").concepts == {"even": False}
    expect(_no(page, "v3")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_disabled()


def test_an_answer_from_before_a_label_doesnt_take_it_from_the_page(
    teach: Callable[..., tuple[Any, Page, App]],
) -> None:
    tab, page, app = teach()
    held = tab.hold("/suggestions", answered=True)
    page.get_by_role("tab", name="Suggested next").click()
    held.wait()
    page.get_by_role("tab", name="All pictures").click()
    for number in range(12):
        _yes(page, f"v{number}").click()
    tab.becomes(app.label_counts, {"even": (12, 0)})
    held.release()
    page.wait_for_load_state("networkidle")
    # Drawn anew.
    page.get_by_role("button", name="odd 0 yes").click()
    page.get_by_role("button", name="even 12 yes").click()
    for number in range(12):
        expect(_yes(page, f"v{number}")).to_have_attribute("aria-pressed", "true")


def test_numbers_asked_before_a_label_arrived_dont_take_it_back(teach: Callable[..., tuple[Any, Page, App]]) -> None:
    tab, page, app = teach()
    held = tab.hold("/concepts/status", first=1, answered=True)
    page.get_by_label("New concept").fill("new")
    page.keyboard.press("Enter")
    held.wait()
    _yes(page, "v3").click()
    tab.becomes(app.label_counts, {"even": (1, 0)})
    held.release()
    expect(page.get_by_role("button", name="new 0 yes, 0 no")).to_be_visible()
    expect(_count(page, 1, 0)).to_be_visible()


def test_a_suggestion_or_doubt_whose_label_fails_is_asked_again(teach: Callable[..., tuple[Any, Page, App]]) -> None:
    tab, page, app = teach()
    page.get_by_role("tab", name="Suggested next").click()
    card = page.locator(".card-picture")
    expect(card).to_be_visible()
    first = card.text_content()
    held = tab.hold("/inputs$", "PATCH", first=1)
    page.keyboard.press("y")
    held.wait()
    expect(card).not_to_have_text(first or "")
    held.refuse()
    expect(card).to_have_text(first or "")
    for number in range(4):
        app.label(f"v{2 * number}", {"even": True, "odd": False})
        app.label(f"v{2 * number + 1}", {"odd": True, "even": False})
    app.label("v9", {"even": True})
    page.get_by_role("tab", name="Doubtful labels").click()
    doubt = page.get_by_role("listitem").filter(has=page.get_by_label("Look closer at v9"))
    held = tab.hold("/inputs$", "PATCH", first=1)
    doubt.get_by_role("button", name="Make it a no").click()
    held.wait().refuse()
    expect(page.get_by_text("Not kept: v9 labelled no: even")).to_be_visible()
    expect(doubt).to_be_visible()


def test_an_upload_whose_answer_is_lost_is_there_once_and_can_be_undone(
    server: Any, tab: Callable[..., Any], files: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    app = server.store.create_app(request.node.name)
    for name in list(files)[:3]:
        folder = tmp_path / "pictures" / "mammal"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes(files[name].read_bytes())
    opened = tab(app)
    page = opened.page
    held = opened.hold("/inputs\\?wait", "POST", first=1, answered=True)
    page.get_by_label("A folder of pictures").set_input_files(tmp_path / "pictures")
    page.get_by_role("button", name="Yes, label them so").click()
    held.wait().fail()
    expect(page.get_by_role("region", name="Upload").get_by_text("3 pictures added")).to_be_visible()
    # All three were there already.
    opened.excuse("400")
    assert app.counts()[InputStatus.READY] == 3
    expect(page.get_by_text("3 pictures", exact=True)).to_be_visible()
    page.keyboard.press("z")
    # The first label of a name waits for the model of words.
    expect(page.get_by_text("Undone: 3 pictures labelled by folder")).to_be_visible(timeout=60_000)
    assert app.label_counts() in ({}, {"mammal": (0, 0)})


def test_of_many_deletions_those_that_happened_are_shown(tab: Callable[..., Any], vectors: Callable[..., App]) -> None:
    app = vectors(many=300)
    opened = tab(app)
    page = opened.page
    expect(page.get_by_text("300 pictures", exact=True)).to_be_visible()
    page.get_by_role("gridcell").first.focus()
    page.keyboard.press("Control+a")
    page.get_by_role("button", name="Delete", exact=True).click()
    held = opened.hold("/inputs$", "DELETE", first=2)
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    held.wait().routes[0].continue_()
    held.wait(2).refuse(1)
    expect(page.get_by_text("128 pictures deleted")).to_be_visible()
    expect(page.get_by_text("172 pictures", exact=True).first).to_be_visible()


def _cell(page: Page, id: str) -> Locator:
    return page.locator(f'.cell[data-id="{id}"]')


def _yes(page: Page, id: str) -> Locator:
    return _cell(page, id).get_by_role("button", name="Yes: ")


def _no(page: Page, id: str) -> Locator:
    return _cell(page, id).get_by_role("button", name="No: ")


def _count(page: Page, yes: int, no: int) -> Locator:
    return page.get_by_role("button", name=f"even {yes} yes, {no} no")
