"""The library: adding pictures, finding them again, selecting and labelling many."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tenshot.index.app import App
from tenshot.index.records import InputStatus


@pytest.fixture
def empty(server: Any, request: pytest.FixtureRequest) -> App:
    app: App = server.store.create_app(request.node.name)
    return app


def test_a_hundred_pictures_are_uploaded_and_each_failure_has_its_reason(
    tab: Callable[..., Any], empty: App, files: dict[str, Path], tmp_path: Path
) -> None:
    page = tab(empty).page
    expect(page.get_by_text("Begin with pictures")).to_be_visible()
    broken, notes = tmp_path / "broken.png", tmp_path / "notes.txt"
    broken.write_bytes(next(iter(files.values())).read_bytes()[:200])
    notes.write_text("no picture")
    page.get_by_label("Pictures", exact=True).set_input_files([*files.values(), broken, notes])
    upload = page.get_by_role("region", name="Upload")
    expect(upload.get_by_text("100 pictures added, 2 not")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("100 pictures", exact=True)).to_be_visible()
    upload.get_by_text("2 pictures could not be added").click()
    expect(upload.get_by_text("broken.png the picture")).to_be_visible()
    expect(upload.get_by_text("notes.txt not a picture")).to_be_visible()
    assert empty.counts()[InputStatus.READY] == 100


def test_pictures_are_dropped_and_pasted_and_addresses_too(
    tab: Callable[..., Any], empty: App, files: dict[str, Path]
) -> None:
    opened = tab(empty)
    page = opened.page
    expect(page.get_by_text("Begin with pictures")).to_be_visible()
    first, second, *_ = files.values()
    _hand_over(page, "drop", "dataTransfer", first)
    expect(page.get_by_text("1 picture", exact=True)).to_be_visible()
    _hand_over(page, "paste", "clipboardData", second)
    expect(page.get_by_text("2 pictures", exact=True)).to_be_visible()
    page.get_by_role("button", name="Addresses").click()
    page.get_by_label("One address a line").fill("nothing here")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("There is no address in this")
    page.get_by_label("One address a line").fill("http://127.0.0.1:8123/robin.png")
    page.get_by_role("button", name="Add", exact=True).click()
    upload = page.get_by_role("region", name="Upload")
    upload.get_by_text("1 picture could not be added").click()
    # This server was started without leave to fetch from private addresses.
    expect(upload.get_by_text("not at a public address")).to_be_visible()
    ready = empty.inputs(status=InputStatus.READY)
    assert {(one.metadata or {})["file"] for one in ready} == {first.name, second.name}


def test_the_folders_of_dropped_files_may_become_their_labels(
    tab: Callable[..., Any], empty: App, files: dict[str, Path], tmp_path: Path
) -> None:
    for name in list(files)[:3]:
        folder = tmp_path / "pictures" / name.partition("-")[0]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes(files[name].read_bytes())
    page = tab(empty).page
    page.get_by_label("A folder of pictures").set_input_files(tmp_path / "pictures")
    page.get_by_role("button", name="Yes, label them so").click()
    expect(page.get_by_text("3 pictures", exact=True)).to_be_visible()
    assert empty.label_counts() == {"mammal": (3, 0)}
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_have_attribute("title", "Undo: 3 pictures labelled by folder (Z)")
    page.keyboard.press("z")
    expect(page.get_by_text("Undone: 3 pictures labelled by folder")).to_be_visible()
    expect(page.get_by_text("3 pictures", exact=True)).to_be_visible()
    expect(undo).to_be_disabled()
    assert empty.label_counts() in ({}, {"mammal": (0, 0)})


def test_pictures_are_filtered_by_label_and_prediction(tab: Callable[..., Any], taught: App) -> None:
    page = tab(taught).page
    page.get_by_label("Label", exact=True).select_option(label="Labelled vehicle (10)")
    expect(page.get_by_text("10 pictures", exact=True)).to_be_visible()
    page.get_by_label("Label", exact=True).select_option("")
    page.get_by_label("Prediction", exact=True).select_option(label="Looks like vehicle")
    wanted = sum(value >= 0.5 for value in _values(taught, "vehicle"))
    assert wanted >= 10
    expect(page.get_by_text(f"{wanted} pictures", exact=True)).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_text("100 pictures", exact=True)).to_be_visible()
    page.get_by_label("Status", exact=True).select_option("failed")
    expect(page.get_by_text("No picture passes these filters.")).to_be_visible()


def test_many_are_selected_by_keys_shift_and_dragging_and_labelled_in_one_step(
    tab: Callable[..., Any], taught: App
) -> None:
    page = tab(taught).page
    grid = page.get_by_role("grid", name="Pictures")
    cells = grid.get_by_role("gridcell")
    cells.nth(0).click()
    cells.nth(4).click(modifiers=["Shift"])
    selected = page.get_by_role("toolbar", name="Selected pictures")
    expect(selected).to_contain_text("5 pictures")
    cells.nth(7).click(modifiers=["Control"])
    expect(selected).to_contain_text("6 pictures")
    page.keyboard.press("Escape")
    expect(selected).to_be_hidden()
    _drag(page, cells.nth(0).bounding_box(), cells.nth(8).bounding_box())
    expect(selected).to_contain_text("6 pictures")  # two rows of three
    selected.get_by_label("Concept").select_option(label="mammal")
    selected.get_by_role("button", name="No", exact=True).click()
    expect(page.get_by_text("6 pictures labelled no: mammal").first).to_be_visible()
    assert taught.label_counts()["mammal"] == (10, 6)
    cells.nth(20).focus()
    page.keyboard.press("z")
    expect(page.get_by_text("Undone: 6 pictures labelled no: mammal")).to_be_visible()
    assert taught.label_counts()["mammal"] == (10, 0)


def test_a_tap_selects_and_the_bar_opens_it(tab: Callable[..., Any], taught: App) -> None:
    library = tab(taught, has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    page, cell = library.page, library.first_cell()
    cell.tap()
    selected = page.get_by_role("toolbar", name="Selected pictures")
    expect(selected).to_contain_text("1 picture")
    selected.get_by_role("button", name="Open").tap()
    expect(page.get_by_role("dialog")).to_contain_text("What the model sees")
    page.get_by_role("button", name="Close").tap()
    cell.tap()
    expect(selected).to_be_hidden()


def _hand_over(page: Page, event: str, where: str, path: Path) -> None:
    """A file, as a browser hands over what is dropped or pasted."""
    content = base64.b64encode(path.read_bytes()).decode()
    script = """([event, where, name, content]) => {
        const bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0));
        const given = new DataTransfer();
        given.items.add(new File([bytes], name, {type: "image/png"}));
        const options = {bubbles: true, cancelable: true, [where]: given};
        const Kind = event === "drop" ? DragEvent : ClipboardEvent;
        document.body.dispatchEvent(new Kind(event, options));
    }"""
    page.evaluate(script, [event, where, path.name, content])


def _drag(page: Page, start: Any, end: Any) -> None:
    page.mouse.move(start["x"] + 4, start["y"] + 4)
    page.mouse.down()
    page.mouse.move(end["x"] + 20, end["y"] + 20, steps=4)
    page.mouse.up()


def _values(app: App, concept: str) -> list[float]:
    ids = [one.id for one in app.inputs(per_page=200)]
    scores = app.predict_vectors(app.vectors(ids))
    return [float(value) for value in scores.values[:, scores.concept_ids.index(concept)]]
