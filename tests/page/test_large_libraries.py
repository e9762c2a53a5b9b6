"""A hundred thousand inputs: only what is in sight is in the document, and the last one is a key away."""

from collections.abc import Callable
from typing import Any

import numpy as np
from playwright.sync_api import expect

MANY = 100_000


def test_a_hundred_thousand_inputs_scroll_like_a_hundred(server: Any, tab: Callable[..., Any]) -> None:
    app = server.store.create_app("large", "vectors", dim=4)
    vectors = np.random.default_rng(0).normal(size=(MANY, 4)).astype(np.float32)
    app.add_vectors(vectors, ids=[f"v{number}" for number in range(MANY)])
    page = tab(app).page
    expect(page.get_by_text("100,000 pictures")).to_be_visible()
    grid = page.get_by_role("grid", name="Pictures")
    cells = grid.get_by_role("gridcell")
    expect(cells.first).to_have_attribute("data-id", f"v{MANY - 1}")
    cells.first.focus()
    page.keyboard.press("End")
    expect(grid.locator("[data-id=v0]")).to_be_focused()
    assert cells.count() < 150
    # The middle, as somebody who drags the scroll bar.
    grid.evaluate("one => (one.scrollTop = one.scrollHeight / 2)")
    page.wait_for_function("() => document.querySelectorAll('.cell:not(.waiting)').length > 20")
    assert cells.count() < 150
