"""Evaluations take few threads, and none for whoever has hung up while waiting for a turn."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest


def test_evaluations_take_two_threads_and_none_for_who_has_left(
    server: Any, taught: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate = [], threading.Event()
    curve = taught.app.learning_curve

    def learning_curve(model: str, *, draws: int) -> Any:
        begun.append(draws)
        assert gate.wait(60)
        return curve(model, draws=draws)

    monkeypatch.setattr(taught.app, "learning_curve", learning_curve)
    path = "/v2/models/abc/learning_curve?draws="

    def ask(draws: int) -> int:
        return taught.client.get(f"{path}{draws}").status_code

    with ThreadPoolExecutor(2) as threads:
        staying = [threads.submit(ask, draws) for draws in (1, 1)]
        while len(begun) < 2:
            time.sleep(0.005)
        for _ in range(45):
            with pytest.raises(httpx.TimeoutException):
                taught.client.get(f"{path}2", timeout=0.02)
        assert taught.client.get("/v2/inputs/x1").status_code == 200
        gate.set()
        assert [one.result() for one in staying] == [200, 200]
    assert taught.client.get(f"{path}3").status_code == 200
    assert begun == [1, 1, 3]
