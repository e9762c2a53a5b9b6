"""While the base workflow is changed again and again, each answer is the old one or the new one, and none an error."""

import base64
import threading
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from pictures import png

from tenshot.index.app import App
from tenshot.index.records import AddRequest, ChangeState

WORKFLOWS = "general", "general-fast"
SWITCHES = 10
NEAR = 2e-3
"""What the same picture may differ by when it is embedded beside others."""
COUNT = 12
KINDS = "discs", "stripes"
PICTURE = {"data": {"image": {"base64": base64.b64encode(png("discs", 99)).decode()}}}
Answer = dict[str, float]
Questions = Mapping[str, Callable[[], Answer]]


def over_http(client: httpx.Client) -> Questions:
    def post(path: str, body: Mapping[str, Any]) -> Any:
        answer = client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def predicted(asked: Mapping[str, Any]) -> Answer:
        [output] = post("/v2/models/all/outputs", {"inputs": [asked]})["outputs"]
        return {concept["id"]: concept["value"] for concept in output["data"]["concepts"]}

    def explained() -> Answer:
        [output] = post("/v2/models/all/explanations", {"inputs": [PICTURE]})["outputs"]
        return {one["concept_id"]: one["score"] for one in output["explanations"]}

    def searched(asked: Mapping[str, Any]) -> Answer:
        hits = post("/v2/searches", {"query": {"ands": [{"output": {"input": asked}}]}})["hits"]
        return {hit["input"]["id"]: hit["score"] for hit in hits}

    def suggested() -> Answer:
        answer = client.get("/v2/models/all/suggestions?strategy=uncertain")
        assert answer.status_code == 200, answer.text
        return {one["input"]["id"]: one["concept"]["value"] for one in answer.json()["suggestions"]}

    return {
        "predict a picture": lambda: predicted(PICTURE),
        "predict an input": lambda: predicted({"id": "x9"}),
        "explain": explained,
        "search by a picture": lambda: searched(PICTURE),
        "search by an input": lambda: searched({"id": "x9"}),
        "suggest": suggested,
    }


def in_python(app: App) -> Questions:
    picture = png("stripes", 98)
    return {
        "predict": lambda: {one.concept_id: one.value for one in app.predict(picture)},
        "predict an input": lambda: {one.concept_id: one.value for one in app.predict_input("x8")},
        "search": lambda: {hit.input_id: hit.score for hit in app.search(image=picture)},
        "search by a concept": lambda: {hit.input_id: hit.score for hit in app.search(concept="discs")},
        "explain": lambda: {"discs": app.explain("discs", image=picture).score},
        "suggest": lambda: {one.input_id: one.value or 0 for one in app.suggest(strategy="uncertain")},
    }


@pytest.fixture
def birds(tenant_of: Callable[..., Any]) -> Any:
    tenant = tenant_of(WORKFLOWS[0], None)
    requests = [
        AddRequest(png(KINDS[i % 2], i), f"x{i}", {KINDS[i % 2]: True} if i < COUNT // 2 else {}) for i in range(COUNT)
    ]
    assert all(result.error is None for result in tenant.app.add_many(requests))
    return tenant


def test_every_answer_is_the_old_one_or_the_new_one(birds: Any) -> None:
    app: App = birds.app
    asked = {"http": over_http(birds.client), "python": in_python(app)}
    truth = {name: {question: [ask()] for question, ask in questions.items()} for name, questions in asked.items()}
    change(app, WORKFLOWS[1])
    for name, questions in asked.items():
        for question, ask in questions.items():
            truth[name][question].append(ask())
            # Else nothing could be told apart.
            assert not alike(*truth[name][question]), (name, question)
    stop, wrong = threading.Event(), list[object]()

    def go_on(name: str) -> None:
        while not stop.is_set():
            for question, ask in asked[name].items():
                try:
                    answer = ask()
                    if not any(alike(answer, expected) for expected in truth[name][question]):
                        wrong.append((name, question, answer, truth[name][question]))
                except BaseException as error:
                    wrong.append((name, question, error))

    threads = [threading.Thread(target=go_on, args=(name,)) for name in asked]
    for thread in threads:
        thread.start()
    for number in range(SWITCHES):
        change(app, WORKFLOWS[number % 2])
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, f"{len(wrong)} answers are wrong, the first: {wrong[0]}"


def change(app: App, workflow: str) -> None:
    assert app.change_workflow(workflow, wait=True).state is ChangeState.DONE


def alike(answer: Answer, other: Answer) -> bool:
    return answer.keys() == other.keys() and all(abs(answer[key] - other[key]) < NEAR for key in answer)
