"""A shelf opens each thing once, and waiting for one thing holds up nobody who wants another."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tenshot.index.errors import StoreClosed
from tenshot.index.resource_cache import Shelf


def test_many_threads_get_the_same_thing_opened_once() -> None:
    opened: list[object] = []
    gate = threading.Barrier(8)

    def open() -> object:
        opened.append(thing := object())
        return thing

    def ask(_: int) -> object:
        gate.wait()
        return shelf.get("a", open)

    shelf: Shelf[str, object] = Shelf(lambda _: None)
    with ThreadPoolExecutor(8) as pool:
        things = set(pool.map(ask, range(8)))
    assert things == set(opened)
    assert len(opened) == 1


def test_opening_one_thing_does_not_hold_up_another() -> None:
    shelf: Shelf[str, str] = Shelf(lambda _: None)
    started, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        started.set()
        assert go_on.wait(10)
        return "slow"

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(shelf.get, "slow", slow)
        assert started.wait(10)
        assert shelf.opened("slow") is None
        assert shelf.get("quick", lambda: "quick") == "quick"
        go_on.set()
        assert waiting.result(10) == "slow"
    assert shelf.opened("slow") == "slow"


def test_what_could_not_be_opened_is_tried_again() -> None:
    shelf: Shelf[str, str] = Shelf(lambda _: None)

    def fail() -> str:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        shelf.get("a", fail)
    assert shelf.get("a", lambda: "there") == "there"


def test_closing_closes_each_thing_once_and_nothing_can_be_had_any_more() -> None:
    closed: list[str] = []
    shelf: Shelf[str, str] = Shelf(closed.append)
    shelf.get("a", lambda: "a")
    shelf.get("b", lambda: "b")
    shelf.remove("a")
    shelf.remove("never there")
    shelf.close()
    shelf.close()
    assert closed == ["a", "b"]
    with pytest.raises(StoreClosed):
        shelf.get("c", lambda: "c")
