"""Apps: made with a base workflow, given keys, changed to another base workflow while they serve."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import expect

from tenshot.index.app import App


def test_an_app_is_made_by_choosing_what_it_is_good_for(server: Any, opened: Callable[..., Any], filled: App) -> None:
    page = opened().sign_in(server.admin)
    page.goto(f"{server.url}/#/apps")
    page.get_by_role("button", name="New app").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Make the app").click()
    expect(dialog.get_by_role("alert")).to_contain_text("It needs a name.")
    dialog.get_by_label("Name").fill("made on the page")
    dialog.get_by_role("radio", name="General, fast").check()
    dialog.get_by_role("button", name="Make the app").click()
    expect(page.get_by_text("Begin with pictures")).to_be_visible()
    assert server.store.app("made on the page").recipe.workflow == "general-fast"


def test_a_key_is_shown_once_and_revoked(server: Any, opened: Callable[..., Any], filled: App) -> None:
    tab = opened()
    page = tab.sign_in(server.admin)
    _enter(page, server, filled)
    keys = page.get_by_role("region", name="Keys", exact=True)
    keys.get_by_role("button", name="New key").click()
    page.get_by_label("What is it for?").fill("a robot")
    page.get_by_label("It may").select_option("Read")
    page.get_by_role("button", name="Make it").click()
    secret = page.get_by_role("dialog").locator(".secret").text_content()
    headers = {"Authorization": f"Key {secret}"}
    assert httpx.get(f"{server.url}/v2/session", headers=headers).json()["session"]["scopes"] == ["Read"]
    page.keyboard.press("Escape")
    row = keys.get_by_role("row").filter(has_text="a robot")
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    assert httpx.get(f"{server.url}/v2/session", headers=headers).status_code == 401


def test_the_base_workflow_is_compared_and_changed(server: Any, opened: Callable[..., Any], taught: App) -> None:
    page = opened().sign_in(server.admin)
    _enter(page, server, taught)
    page.get_by_text("Another one may be nearer to your task").click()
    page.get_by_role("radio", name="General, fast").check()
    page.get_by_role("button", name="Compare with the present one").click()
    rows = page.get_by_role("region", name="Base workflows compared").get_by_role("row")
    expect(rows.filter(has_text="general-fast")).to_contain_text("%", timeout=30_000)
    expect(page.get_by_text("Recommended: general")).to_be_visible()
    page.get_by_role("button", name="Change to it").click()
    page.get_by_role("dialog").get_by_role("button", name="Change", exact=True).click()
    expect(page.get_by_text("The app sees with general-fast now")).to_be_visible(timeout=30_000)
    assert taught.recipe.workflow == "general-fast"


def test_an_app_is_taken_along_in_one_file(
    server: Any, opened: Callable[..., Any], filled: App, tmp_path: Path
) -> None:
    page = opened().sign_in(server.admin)
    _enter(page, server, filled)
    with page.expect_download() as saving:
        page.get_by_role("region", name="Export").get_by_role("button", name="Download").click()
    assert saving.value.suggested_filename == f"{filled.name}.tar"
    saving.value.save_as(tmp_path / "app.tar")
    server.store.import_app(tmp_path / "app.tar", "taken along")
    made = server.store.app("taken along")
    assert len(made.inputs(per_page=1000)) == len(filled.inputs(per_page=1000))


def _enter(page: Any, server: Any, app: App) -> None:
    """Opens this app's page; an app that is the only one is open already."""
    page.goto(f"{server.url}/#/apps")
    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=app.name, exact=True))
    card.get_by_role("button", name="Open", exact=True).or_(card.get_by_role("link")).click()
    expect(page.get_by_text("100 pictures", exact=True)).to_be_visible()
    page.goto(f"{server.url}/#/apps")
