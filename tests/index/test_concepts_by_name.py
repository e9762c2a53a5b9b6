"""Concepts are found by name in any case of any script, however accents are written, with * for anything."""

import re
from itertools import product

import pytest

from tenshot.index.app import App


def _named(app: App, *names: str) -> None:
    app.create_concepts([(f"c{number}", name) for number, name in enumerate(names)])


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("Äpfel", "äpfel"),
        ("ÄPFEL", "ä*"),
        ("Straße", "STRASSE"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("МОСКВА", "моск*"),
        ("Cafe\u0301", "CAF\u00c9"),
        ("caf\u00e9", "cafe\u0301*"),
        ("100 %_\\", "100 %_\\"),
    ],
)
def test_a_name_is_found_in_any_case(app: App, name: str, asked: str) -> None:
    app.create_concepts([("wanted", name), ("other", "something else")])
    assert [one.id for one in app.concepts(name=asked)] == ["wanted"]


@pytest.mark.parametrize("asked", ["cafe", "cafe*", "_af*", "%", "c%", "caf", "", "é", "*x*"])
def test_nothing_else_is_found(app: App, asked: str) -> None:
    _named(app, "café")
    assert app.concepts(name=asked) == []


def test_stars_match_as_a_regular_expression_would(app: App) -> None:
    names = ["".join(letters) for count in (1, 2, 3, 4) for letters in product("ab", repeat=count)]
    _named(app, *names)
    for pattern in ("".join(letters) for count in (1, 2, 3, 4, 5) for letters in product("a*b", repeat=count)):
        wanted = [name for name in names if re.fullmatch(pattern.replace("*", ".*"), name)]
        assert [one.name for one in app.concepts(name=pattern)] == wanted


def test_pages_are_parts_of_what_is_found_in_the_order_of_making(app: App) -> None:
    _named(app, *(f"{kind} {number}" for number in range(5) for kind in ("Apfel", "Birne")))
    found = [one.name for page in (1, 2, 3) for one in app.concepts(page, 2, "APFEL*")]
    assert found == [f"Apfel {number}" for number in range(5)]
