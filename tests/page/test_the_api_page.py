"""The OpenAPI page in a browser: everything comes from this server, under its policy, and requests can be tried."""

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tenshot.api.auth.keys import new_key
from tenshot.index.app import App


def test_operations_are_shown_and_one_is_tried_with_a_key_that_nothing_keeps(
    opened: Callable[..., Any], server: Any
) -> None:
    app: App = server.store.create_app("seen by the API page", "vectors", dim=4)
    app.add_vectors([[1, 0, 0, 0]], ["only"])
    key = new_key(server.store.catalog, app.id).secret
    page = opened().page
    # What the policy forbids is an error on the console, which the tab does not forgive; nor does it other origins.
    answer = page.goto(f"{server.url}/docs")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    operation = page.locator("[id^='operations-inputs-'][id$='v2_inputs_get']").first
    expect(operation).to_be_visible(timeout=60_000)
    assert page.locator(".opblock").count() > 40

    page.get_by_role("button", name="Authorize").first.click()
    page.locator(".auth-container input").fill(f"Key {key}")
    page.get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close").click()
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    with page.expect_response(f"{server.url}/v2/inputs**") as waited:
        operation.get_by_role("button", name="Execute").click()
    assert [one["id"] for one in waited.value.json()["inputs"]] == ["only"]
    expect(operation.locator(".live-responses-table")).to_contain_text('"only"')

    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert key not in kept
    assert json.loads(kept)[2] == ""
