"""Evaluations take few threads, one for an app, and none for whoever has hung up."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from patience import becomes

from tenshot.index.app import App
from tenshot.index.app.scorers import Teacher

PATH = "/v2/models/abc/learning_curve?draws="


class Held:
    """Learning curves that wait until they may go on: apps and draws, in the order in which they are begun."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[tuple[str, int]] = []
        self.gate = threading.Event()
        curve = App.learning_curve

        def learning_curve(app: App, model: str, *, draws: int) -> Any:
            self.begun.append((app.id, draws))
            assert self.gate.wait(60)
            return curve(app, model, draws=draws)

        monkeypatch.setattr(App, "learning_curve", learning_curve)


@pytest.fixture
def others(tenant_of: Callable[..., Any]) -> list[Any]:
    """Two more apps with a model of the same name."""
    tenants = [tenant_of(), tenant_of()]
    for tenant in tenants:
        tenant.app.add_vectors(np.eye(8)[:3], concepts=[{"a": True}, {"b": True}, {"c": True}])
        tenant.app.create_model("abc", concepts=["a", "b", "c"])
    return tenants


def test_an_app_has_one_evaluation_at_a_time_and_another_app_has_the_other_thread(
    taught: Any, others: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)

    def ask(tenant: Any, draws: int) -> int:
        return int(tenant.client.get(f"{PATH}{draws}").status_code)

    with ThreadPoolExecutor(7) as threads:
        answers = [threads.submit(ask, taught, draws) for draws in (1, 2, 3)]
        becomes(lambda: len(held.begun), 1)
        answers += [threads.submit(ask, others[0], draws) for draws in (1, 2)]
        becomes(lambda: len(held.begun), 2)
        answers.append(threads.submit(ask, others[1], 1))
        assert {app for app, _ in held.begun} == {taught.id, others[0].id}
        assert taught.client.get("/v2/inputs/x1").status_code == 200
        held.gate.set()
        assert [one.result() for one in answers] == [200] * 6
    # The third app's turn comes before more of those that have had theirs.
    assert others[1].id in {app for app, _ in held.begun[:4]}


def test_who_has_left_before_its_turn_is_not_evaluated_for(
    server: Any, taught: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)
    with ThreadPoolExecutor(1) as threads:
        staying = threads.submit(lambda: taught.client.get(f"{PATH}1").status_code)
        becomes(lambda: len(held.begun), 1)
        for _ in range(45):
            with pytest.raises(httpx.TimeoutException):
                taught.client.get(f"{PATH}2", timeout=0.02)
        assert taught.client.get("/v2/inputs/x1").status_code == 200
        becomes(lambda: server.service.state.context.threads.judging.depth, 1)
        held.gate.set()
        assert staying.result() == 200
    assert taught.client.get(f"{PATH}3").status_code == 200
    assert [draws for _, draws in held.begun] == [1, 3]


@pytest.mark.parametrize("path", [f"{PATH}20", "/v2/models/abc/comparison?before=v"])
def test_who_leaves_meanwhile_is_evaluated_for_no_longer(
    server: Any, taught: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path.replace("=v", f"={taught.app.create_version('abc').id}")
    judged, gate = 0, threading.Event()
    judge = Teacher.leave_one_out_with

    def leave_one_out_with(teacher: Teacher, labels: Any) -> Any:
        nonlocal judged
        judged += 1
        assert gate.wait(60)
        return judge(teacher, labels)

    monkeypatch.setattr(Teacher, "leave_one_out_with", leave_one_out_with)
    with pytest.raises(httpx.TimeoutException):
        taught.client.get(path, timeout=0.5)
    becomes(lambda: judged, 1)
    # Its place is free, though its thread is not yet.
    becomes(lambda: server.in_flight, 0, seconds=5)
    gate.set()
    # The thread is free for the next one.
    assert taught.client.get("/v2/models/abc/evaluation").status_code == 200
    assert judged == 1
