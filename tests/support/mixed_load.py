"""What users do to an app, as plain operations: made up at random, done to the real thing, followed in a dictionary.

Each worker has ids of its own, so that after a kill its state is what its last acknowledged operation left, or what the
one under way would have: anything else is a loss, or something half done.
"""

import copy
import random
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from clouds import SMALL
from pictures import KINDS, png

from tenshot import AddRequest, Store
from tenshot.index.app import App
from tenshot.index.ops.repair import examine
from tenshot.index.records import InputChange

DIM = 16
SIZES = replace(SMALL, exact=300, lists=1200, tail=32, merge=64, dead=40, inline=60, save=60, save_at_end=0)
"""Seals, compactions and snapshots all the time."""
CONCEPTS = ("red", "green", "blue")
WORKERS = ("a", "b", "c")
SEES = ("general-fast", "general")
_MOST = 150

State = dict[str, Any]
Operation = list[Any]


def empty() -> State:
    return {"inputs": {}, "models": {}, "app": None}


def vector(id: str) -> np.ndarray:
    """(DIM,) unit length; always the same for an id."""
    row = np.random.default_rng(zlib.crc32(id.encode())).normal(size=DIM)
    return np.asarray(row / np.linalg.norm(row), dtype=np.float32)


def made_up(rng: random.Random, worker: str, state: State) -> Operation:
    """Something that can be done to this state."""
    ids, models = list(state["inputs"]), list(state["models"])
    some = rng.sample(ids, min(len(ids), rng.randint(1, 4)))
    crowded = len(ids) > _MOST
    kinds = ["add", "label", "label", "meta", "delete", "model", "freeze", "unfreeze", "drop", "app"]
    match rng.choice([*kinds, *(["delete"] * 4 if crowded else ["add"] * 3)]):
        case "add":
            count = rng.choice([1, 1, 2, 20])
            new = [f"{worker}/{rng.getrandbits(40):x}" for _ in range(count)]
            return ["add", {id: {rng.choice(CONCEPTS): rng.random() < 0.7} for id in new}]
        case "label" if some:
            return ["label", {id: {rng.choice(CONCEPTS): rng.choice([True, False, None])} for id in some}]
        case "meta" if some:
            return ["meta", some[0], {"n": rng.randint(0, 9)}]
        case "delete" if some:
            return ["delete", rng.sample(ids, min(len(ids), 30)) if crowded else some]
        case "freeze" if models:
            return ["freeze", rng.choice(models)]
        case "unfreeze" if frozen := [id for id in models if state["models"][id] > 1]:
            return ["unfreeze", rng.choice(frozen)]
        case "drop" if len(models) > 3:
            return ["drop", rng.choice(models)]
        case "app":
            return ["app", None if state["app"] else f"app of {worker} {rng.getrandbits(30):x}"]
    return ["model", f"{worker}{rng.getrandbits(30):x}"]


def after(state: State, operation: Operation) -> State:
    """What it leaves."""
    state = copy.deepcopy(state)
    inputs, models = state["inputs"], state["models"]
    match operation:
        case ["add", new]:
            inputs.update({id: [dict(labels), None] for id, labels in new.items()})
        case ["label", labels]:
            for id, given in labels.items():
                for concept, value in given.items():
                    inputs[id][0].pop(concept, None)
                    if value is not None:
                        inputs[id][0][concept] = value
        case ["meta", id, metadata]:
            inputs[id][1] = metadata
        case ["delete", ids]:
            for id in ids:
                del inputs[id]
        case ["model", id]:
            models[id] = 1
        case ["freeze", id]:
            models[id] += 1
        case ["unfreeze", id]:
            models[id] -= 1
        case ["drop", id]:
            del models[id]
        case ["app", name]:
            state["app"] = name
    return state


def do(store: Store, app: App, operation: Operation, state: State) -> None:
    match operation:
        case ["add", new]:
            app.add_vectors(np.stack([vector(id) for id in new]), list(new), list(new.values()))
        case ["label", labels]:
            app.label_many(labels)
        case ["meta", id, metadata]:
            app.update_many([InputChange(id, metadata)])
        case ["delete", ids]:
            app.delete(ids)
        case ["model", id]:
            app.create_model(id, CONCEPTS)
        case ["freeze", id]:
            app.create_version(id, untaught=True)
        case ["unfreeze", id]:
            app.delete_version(id, app.versions(id)[0].id)
        case ["drop", id]:
            app.delete_models(id)
        case ["app", None]:
            store.delete_app(state["app"])
        case ["app", name]:
            store.create_app(name, "vectors", dim=DIM)


def ask(rng: random.Random, app: App, state: State) -> None:
    """Reading changes nothing and never fails."""
    queries = np.random.default_rng(rng.getrandbits(32)).normal(size=(2, DIM))
    app.search_vectors(queries, 5)
    if state["models"]:
        app.predict_vectors(queries, rng.choice(list(state["models"])))


def found(store: Store, app: App) -> dict[str, State]:
    """Worker -> its state, as it is read."""
    states = {worker: empty() for worker in WORKERS}
    for one in app.inputs(per_page=100_000):
        if (worker := one.id[0]) in states:
            states[worker]["inputs"][one.id] = [dict(one.concepts), one.metadata]
    for model in app.models(per_page=100_000):
        states[model.id[0]]["models"][model.id] = len(app.versions(model.id, per_page=100_000))
    for record in store.apps():
        if record.name.startswith("app of "):
            states[record.name[7]]["app"] = record.name
    return states


def faults(store: Store, app: App) -> Iterator[str]:
    """What nothing may ever leave behind, wherever it was killed."""
    checked = examine(store.catalog, store._blobs, read_all=True)
    yield from checked.problems
    keys = app.state().collection.rows().keys
    if keys.tolist() != store.catalog.vectors.keys(app.id, "vectors").tolist():
        yield "the collection is not what SQL holds"
    ids = app.state().catalog.inputs.ids(keys)
    for key, row in zip(keys.tolist(), app.state().collection.get(keys), strict=True):
        if not np.allclose(row, vector(ids[key]), atol=1e-6):
            yield f"{ids[key]} has another vector"
    for model in app.models(per_page=100_000):
        for version in app.versions(model.id, per_page=100_000):
            app.predict_vectors(np.eye(DIM)[:1], model.id, version=version.id)
    with store.catalog._database.read() as connection:
        now = connection.exec_driver_sql("SELECT input_key, concept_key, value FROM labels").all()
        log = connection.exec_driver_sql("SELECT input_key, concept_key, value FROM label_events ORDER BY key").all()
    said = {(input, concept): value for input, concept, value in log}
    if {pair: value for pair, value in said.items() if value is not None} != {(i, c): v for i, c, v in now}:
        yield "the labels are not what their log says"


def add_picture(app: App, n: int) -> None:
    """The pictures' worker, whose app is changed to another base workflow meanwhile."""
    [result] = app.add_many([AddRequest(png(KINDS[n % 3], n, 40), f"p{n}", {KINDS[n % 3]: True})])
    if result.error:
        raise result.error


def picture_faults(store: Store, app: App, acknowledged: set[int], begun: set[int]) -> Iterator[str]:
    there = {int(one.id[1:]): one for one in app.inputs(per_page=100_000)}
    if not acknowledged <= there.keys() or not there.keys() <= acknowledged | begun:
        yield f"pictures {sorted(acknowledged ^ there.keys())[:5]} are lost, or came from nowhere"
    for n, one in there.items():
        if app.picture(one.id) != png(KINDS[n % 3], n, 40) or one.concepts != {KINDS[n % 3]: True}:
            yield f"picture {n} is not as it was"
    if app.recipe.workflow not in SEES or app.vectors([one.id for one in there.values()]).shape[0] != len(there):
        yield "some pictures have no vector"
    yield from examine(store.catalog, store._blobs, read_all=True).problems
