"""Kills a process that works on a data folder, at random moments, again and again; nothing acknowledged may be lost.

    python tests/support/kills.py FOLDER --kills 1000 [--seed 1] [--pictures-every 20]

One process with everything imported forks each life: so a kill costs a third of a second, and thousands are possible.
A life opens the folder, holds it against what the lives before were told, and then several threads change it until
SIGKILL comes, also while it opens. Every ninth life finds a disk that takes nothing more.
"""

import argparse
import json
import os
import random
import resource
import select
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import mixed_load as load

from tenshot import Store
from tenshot.index.errors import StorageFailed, StoreInUse
from tenshot.index.vectors.settings import CollectionSettings

_OPENING = 60.0
_FULL_EVERY = 9


class Lives:
    """What all lives together know."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.states = {worker: load.empty() for worker in load.WORKERS}
        self.under_way: dict[str, Any] = {}
        self.pictures: tuple[set[int], set[int]] = (set(), set())
        self.counts = {"kills": 0, "operations": 0, "refused by a full disk": 0, "undone": 0, "carried through": 0}
        with Store.open(folder) as store:
            app = store.create_app("app", "vectors", dim=load.DIM)
            app.create_concepts([(concept, concept) for concept in load.CONCEPTS])
            store.create_app("seen", load.SEES[0])

    def kill_one(self, *, pictures: bool = False) -> None:
        full = not pictures and self.counts["kills"] % _FULL_EVERY == _FULL_EVERY - 1
        opening = self.rng.random() < 0.1
        alive = self.rng.uniform(0, 5 if pictures else 0.5)
        # On a slow machine it works as much as on a fast one.
        least = 0 if opening or full or pictures else self.rng.randint(0, 8)
        reader, writer = os.pipe()
        seed = self.rng.getrandbits(32)
        child = os.fork()
        if not child:
            os.close(reader)
            _life(self, writer, seed, pictures, full)
        os.close(writer)
        self._follow(child, reader, alive * (3 if opening and not pictures else 1), opening, least)
        os.close(reader)
        self.counts["kills"] += 1

    def check(self) -> None:
        """Once more, without a kill."""
        for pictures in (False, True):
            with _opened(self.folder) as store:
                said: list[Any] = []
                _verify(self, store, pictures, said.append)
                for message in said:
                    self._hear(message)

    def _follow(self, child: int, reader: int, alive: float, opening: bool, least: int) -> None:
        """Listens until the time has come and so many operations were done, kills, and listens to the rest."""
        end = time.monotonic() + (alive if opening else _OPENING)
        least += self.counts["operations"]
        rest = b""
        killed = False
        while True:
            left = end - time.monotonic()
            if not killed and left <= 0 and (self.counts["operations"] >= least or left < -_OPENING):
                os.kill(child, signal.SIGKILL)
                killed = True
            if not killed and not select.select([reader], [], [], max(left, 0.01))[0]:
                continue
            block = os.read(reader, 1 << 16)
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if message[0] == "ready" and not opening:
                    end = time.monotonic() + alive
                self._hear(message)
            if not block:
                break
        _, status = os.waitpid(child, 0)
        if not killed or os.WTERMSIG(status) != signal.SIGKILL:
            raise AssertionError(f"a life ended by itself with status {status}")

    def _hear(self, message: list[Any]) -> None:
        match message:
            case ["fault", what]:
                raise AssertionError(what)
            case ["found", worker, state]:
                if operation := self.under_way.pop(worker, None):
                    through = state == load.after(self.states[worker], operation)
                    self.counts["carried through" if through else "undone"] += 1
                self.states[worker] = state
            case ["begin", worker, operation]:
                self.under_way[worker] = operation
            case ["done", worker]:
                self.states[worker] = load.after(self.states[worker], self.under_way.pop(worker))
                self.counts["operations"] += 1
            case ["refused", worker]:
                del self.under_way[worker]
                self.counts["refused by a full disk"] += 1
            case ["picture", n]:
                self.pictures[1].add(n)
            case ["pictured", n]:
                self.pictures[0].add(n)
                self.counts["operations"] += 1
            case ["pictures found", there]:
                self.pictures = (set(there), set())


def _opened(folder: Path) -> Store:
    """As soon as the kernel has taken the killed process's lock away."""
    while True:
        try:
            return Store.open(folder, collections=CollectionSettings(sizes=load.SIZES))
        except StoreInUse:
            time.sleep(0.002)


def _verify(lives: Lives, store: Store, pictures: bool, say: Any) -> None:
    """Holds the folder against what is known."""
    if pictures:
        for fault in load.picture_faults(store, store.app("seen"), *lives.pictures):
            say(["fault", fault])
        say(["pictures found", [int(one.id[1:]) for one in store.app("seen").inputs(per_page=100_000)]])
        return
    app = store.app("app")
    for fault in load.faults(store, app):
        say(["fault", fault])
    for worker, state in load.found(store, app).items():
        before = lives.states[worker]
        allowed = [before] + [load.after(before, one) for one in [lives.under_way.get(worker)] if one]
        if state not in allowed:
            say(["fault", f"worker {worker} lost something, or it is half done: {_difference(state, allowed)}"])
        say(["found", worker, state])


def _difference(state: Any, allowed: list[Any]) -> str:
    parts = [part for part in state if all(state[part] != one[part] for one in allowed)]
    return str({part: (state[part], [one[part] for one in allowed]) for part in parts})[:2000]


def _life(lives: Lives, writer: int, seed: int, pictures: bool, full: bool) -> None:
    """A process from its first breath until it is killed."""
    lock = threading.Lock()

    def say(message: Any) -> None:
        content = json.dumps(message).encode() + b"\n"
        with lock:
            while content:
                content = content[os.write(writer, content) :]

    try:
        store = _opened(lives.folder)
        _verify(lives, store, pictures, say)
        if full:
            # No file takes anything behind this many bytes: SQLite's log soon, pictures and snapshots at once or later.
            resource.setrlimit(resource.RLIMIT_FSIZE, (4_096 + seed % 120_000, resource.RLIM_INFINITY))
        say(["ready"])
        if pictures:
            _take_pictures(store, len(lives.pictures[0]), seed, say)
        # It may be one step further than what the parent knew when it forked.
        states = load.found(store, store.app("app"))
        threads = [
            threading.Thread(target=_work, args=(store, worker, states[worker], random.Random(f"{seed}{worker}"), say))
            for worker in load.WORKERS
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException as error:
        say(["fault", f"{type(error).__name__}: {error}"])
    finally:
        os._exit(3)


def _work(store: Store, worker: str, state: load.State, rng: random.Random, say: Any) -> None:
    try:
        app = store.app("app")
        while True:
            operation = load.made_up(rng, worker, state)
            say(["begin", worker, operation])
            try:
                load.do(store, app, operation, state)
            except StorageFailed:
                say(["refused", worker])
            else:
                say(["done", worker])
                state = load.after(state, operation)
            load.ask(rng, app, state)
    except BaseException as error:
        say(["fault", f"{type(error).__name__} in worker {worker}: {error}"])


def _take_pictures(store: Store, n: int, seed: int, say: Any) -> None:
    app, rng = store.app("seen"), random.Random(seed)
    known = {int(one.id[1:]) for one in app.inputs(per_page=100_000)}
    while True:
        n += 1
        if n in known:
            continue
        if rng.random() < 0.2 and not ((change := app.workflow_change()) and change.state == "running"):
            app.change_workflow(next(one for one in load.SEES if one != app.recipe.workflow))
        say(["picture", n])
        load.add_picture(app, n)
        say(["pictured", n])


def run(folder: Path, kills: int, seed: int = 0, pictures_every: int = 0) -> dict[str, int]:
    """Raises AssertionError at the first loss."""
    lives = Lives(folder, seed)
    for number in range(kills):
        lives.kill_one(pictures=bool(pictures_every) and number % pictures_every == pictures_every - 1)
        if number % 100 == 99:
            print(f"{number + 1} kills", file=sys.stderr, flush=True)
    lives.check()
    return lives.counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures-every", type=int, default=0)
    options = parser.parse_args()
    place = Path(options.folder or tempfile.mkdtemp(prefix="tenshot-kills-"))
    print(json.dumps(run(place, options.kills, options.seed, options.pictures_every)))
