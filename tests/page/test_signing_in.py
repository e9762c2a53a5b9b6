"""Signing in: with a key, or by the link that the server printed; and out again."""

from collections.abc import Callable
from typing import Any

import httpx
from playwright.sync_api import expect

from tenshot.index.app import App


def test_the_printed_link_signs_in_once(server: Any, opened: Callable[..., Any], filled: App) -> None:
    token = server.service.state.context.sign_in.issue()
    first = opened().page
    first.goto(f"{server.url}/#token={token}")
    expect(first.get_by_role("navigation", name="Views")).to_be_visible()
    assert token not in first.url
    key = first.evaluate("JSON.parse(sessionStorage.getItem('tenshot')).key")
    first.get_by_role("button", name="Sign out").click()
    expect(first.get_by_label("API key")).to_be_visible()
    assert first.evaluate("sessionStorage.length") == 0
    # The key that the link made is gone with its user.
    assert httpx.get(f"{server.url}/v2/session", headers={"Authorization": f"Key {key}"}).status_code == 401
    second = opened()
    second.page.goto(server.url)
    expect(second.page.get_by_label("API key")).to_be_visible()
    # Where the page is open already, only the part after the # changes.
    second.page.goto(f"{server.url}/#token={token}")
    expect(second.page.get_by_role("alert")).to_contain_text("used already")
    second.excuse("401")


def test_a_key_stays_in_its_tab(server: Any, opened: Callable[..., Any], tab: Callable[..., Any], filled: App) -> None:
    page = tab(filled).page
    expect(page.get_by_text("100 pictures")).to_be_visible()
    page.reload()
    expect(page.get_by_text("100 pictures")).to_be_visible()
    other = page.context.new_page()
    other.goto(server.url)
    expect(other.get_by_label("API key")).to_be_visible()


def test_a_wrong_key_is_told(server: Any, opened: Callable[..., Any]) -> None:
    tab = opened()
    tab.page.goto(server.url)
    tab.page.get_by_label("API key").fill("0" * 32)
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("alert")).to_contain_text("nobody knows this API key")
    tab.excuse("401")
