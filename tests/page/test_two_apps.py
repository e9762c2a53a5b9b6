"""What is begun in one app, or by one key, never ends in another, and late answers of one don't show in the other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tenshot.api.auth.keys import new_key
from tenshot.index.app import App
from tenshot.index.records import InputStatus


@pytest.fixture
def admin(opened: Callable[..., Any], server: Any) -> Any:
    tab = opened()
    tab.sign_in(server.admin)
    return tab


@pytest.fixture
def empty(server: Any, request: pytest.FixtureRequest) -> App:
    app: App = server.store.create_app(f"{request.node.name} pictures")
    return app


def test_pictures_go_to_the_app_that_was_open_when_they_were_dropped(
    admin: Any, empty: App, vectors: Callable[..., App], files: dict[str, Path]
) -> None:
    other = vectors()
    page = admin.enter(empty)
    expect(page.get_by_text("Begin with pictures")).to_be_visible()
    held = admin.hold("/inputs\\?wait", "POST")
    page.get_by_label("Pictures", exact=True).set_input_files(list(files.values())[:20])
    held.wait(2)
    admin.enter(other)
    expect(page.get_by_text("12 pictures", exact=True)).to_be_visible()
    # They are not this app's, so it doesn't show them.
    expect(page.get_by_role("region", name="Upload")).to_be_hidden()
    held.release()
    admin.becomes(lambda: empty.counts()[InputStatus.READY], 20)
    assert other.counts()[InputStatus.FAILED] == 0
    admin.enter(empty)
    expect(page.get_by_text("20 pictures added")).to_be_visible()


def test_labels_of_many_go_to_the_app_whose_pictures_were_selected(admin: Any, vectors: Callable[..., App]) -> None:
    first, second = vectors("1", many=300), vectors("2", many=300)
    page = admin.enter(first)
    _label_all(page, 300)
    held = admin.hold("/inputs$", "PATCH")
    page.get_by_role("button", name="Yes", exact=True).click()
    held.wait()
    admin.enter(second)
    _teach(page, admin)
    held.release()
    admin.becomes(lambda: first.label_counts().get("even"), (300, 0))
    assert second.label_counts().get("even", (0, 0)) == (0, 0)
    expect(page.get_by_role("button", name="even 0 yes, 0 no")).to_be_visible()


def test_a_label_that_fails_in_one_app_changes_no_number_in_another(admin: Any, vectors: Callable[..., App]) -> None:
    first, second = vectors("1"), vectors("2")
    second.label("v0", {"even": True})
    page = admin.enter(first)
    _label_all(page, 12)
    held = admin.hold("/inputs$", "PATCH")
    page.get_by_role("button", name="Yes", exact=True).click()
    held.wait()
    admin.enter(second)
    _teach(page, admin)
    expect(page.get_by_role("button", name="even 1 yes, 0 no")).to_be_visible()
    held.fail()
    expect(page.get_by_text("Not kept: 12 pictures labelled yes: even")).to_be_visible()
    expect(page.get_by_role("button", name="even 1 yes, 0 no")).to_be_visible()
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_disabled()


def test_from_one_app_to_another_and_back_shows_the_concepts_of_the_first(
    admin: Any, vectors: Callable[..., App]
) -> None:
    first, second = vectors("1", ["here"]), vectors("2", ["there"])
    page = admin.enter(first)
    _teach(page, admin)
    held = admin.hold(f"{second.id}/concepts/status", first=1)
    admin.enter(second)
    held.wait()
    admin.enter(first)
    _teach(page, admin)
    expect(page.get_by_role("button", name="here 0 yes")).to_be_visible()
    held.release()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("button", name="here 0 yes")).to_be_visible()
    expect(page.get_by_role("button", name="there 0 yes")).to_have_count(0)


def test_a_view_that_comes_late_takes_no_keys_from_the_one_that_is_shown(
    admin: Any, vectors: Callable[..., App]
) -> None:
    first, second = vectors("1"), vectors("2")
    page = admin.enter(first)
    _teach(page, admin)
    held = admin.hold(f"{first.id}/inputs/status", first=1)
    admin.go("library")
    held.wait()
    admin.enter(second)
    expect(page.get_by_text("12 pictures", exact=True)).to_be_visible()
    held.release()
    page.wait_for_load_state("networkidle")
    page.get_by_role("gridcell").first.focus()
    page.keyboard.press("1")
    admin.becomes(lambda: second.label_counts().get("even"), (1, 0))


def test_a_search_of_one_app_is_not_asked_in_another(admin: Any, vectors: Callable[..., App]) -> None:
    first, second = vectors("1"), vectors("2", many=3)
    page = admin.enter(first)
    expect(page.get_by_text("12 pictures", exact=True)).to_be_visible()
    admin.go("search/v11")
    terms = page.get_by_role("list", name="What is searched for").get_by_role("listitem")
    expect(terms).to_have_count(1)
    admin.enter(second)
    expect(page.get_by_text("3 pictures", exact=True)).to_be_visible()
    admin.go("search")
    expect(page.get_by_text("What are you looking for?")).to_be_visible()
    expect(terms).to_have_count(0)


def test_a_late_answer_to_an_old_key_doesnt_sign_the_new_one_out(
    opened: Callable[..., Any], server: Any, vectors: Callable[..., App]
) -> None:
    first, second = vectors("1"), vectors("2", many=3)
    old, new = new_key(server.store.catalog, first.id), new_key(server.store.catalog, second.id)
    tab = opened()
    page = tab.sign_in(old.secret)
    expect(page.get_by_text("12 pictures", exact=True)).to_be_visible()
    held = tab.hold("/models\\?")
    tab.go("model")
    held.wait()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("API key").fill(new.secret)
    page.keyboard.press("Enter")
    tab.go("library")
    expect(page.get_by_text("3 pictures", exact=True)).to_be_visible()
    server.store.catalog.api_keys.revoke(old.record.id)
    with page.expect_response(lambda answer: answer.status == 401):
        held.release()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_text("3 pictures", exact=True)).to_be_visible()
    tab.excuse("401")


def test_who_signs_out_is_asked_about_pictures_on_the_way_and_leaves_none_to_the_next(
    opened: Callable[..., Any], server: Any, empty: App, vectors: Callable[..., App], files: dict[str, Path]
) -> None:
    tab = opened()
    page = tab.sign_in(new_key(server.store.catalog, empty.id).secret)
    expect(page.get_by_text("Begin with pictures")).to_be_visible()
    held = tab.hold("/inputs\\?wait", "POST")
    page.get_by_label("Pictures", exact=True).set_input_files(list(files.values())[:20])
    held.wait(2)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("20 pictures on the way would not be added.")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Sign out").click()
    next_ = vectors()
    page.get_by_label("API key").fill(new_key(server.store.catalog, next_.id).secret)
    page.keyboard.press("Enter")
    expect(page.get_by_text("12 pictures", exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="Upload")).to_be_hidden()
    held.release()
    # What was sent by then arrives where it belongs, and nothing else.
    tab.becomes(lambda: empty.counts()[InputStatus.READY], 16)
    page.wait_for_load_state("networkidle")
    assert len(held.routes) == 2


def test_a_sign_in_link_works_where_somebody_is_signed_in(
    opened: Callable[..., Any], server: Any, vectors: Callable[..., App]
) -> None:
    app = vectors()
    tab = opened()
    page = tab.sign_in(new_key(server.store.catalog, app.id).secret)
    tab.first_cell().click()
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.goto(f"{server.url}/#token={server.service.state.context.sign_in.issue()}")
    expect(page.get_by_role("navigation", name="Views")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("Signing in …")).to_have_count(0)


def _label_all(page: Page, many: int) -> None:
    """Selects all pictures, for the concept `even`."""
    expect(page.get_by_text(f"{many} pictures", exact=True)).to_be_visible()
    page.get_by_role("gridcell").first.focus()
    page.keyboard.press("Control+a")
    selected = page.get_by_role("toolbar", name="Selected pictures")
    expect(selected).to_contain_text(f"{many} pictures")
    selected.get_by_label("Concept").select_option(label="even")


def _teach(page: Page, tab: Any) -> None:
    tab.go("teach")
    page.get_by_role("grid", name="Pictures to teach with").wait_for()
