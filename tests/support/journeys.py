"""Which files and functions of ours a request crosses: `python tests/support/journeys.py [--files]` prints them."""

import argparse
import base64
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from fastapi.testclient import TestClient
from pictures import png
from PIL import Image

import tenshot
from tenshot import Store
from tenshot.api.auth.keys import new_key
from tenshot.api.service import create_service
from tenshot.api.settings import Settings
from tenshot.embeddings.workflows import open_embedder, recipe_of

ROOT = Path(tenshot.__file__).resolve().parent
_QUEUES = ("tenshot-fetch", "tenshot-evaluate")


class Crossed:
    """Functions by file, on all threads that start from now on."""

    def __init__(self) -> None:
        self.functions: set[tuple[str, str]] = set()

    @property
    def files(self) -> list[str]:
        return sorted({file for file, _ in self.functions})

    @contextmanager
    def watching(self) -> Iterator[None]:
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def of(self, journey: Callable[[int], Any]) -> "Crossed":
        """What one journey crosses the second time, when nothing has to be opened any more."""
        journey(0)
        self.functions.clear()
        journey(1)
        crossed = Crossed()
        crossed.functions = set(self.functions)
        return crossed

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(f"{ROOT}/"):
            file = path.removeprefix(f"{ROOT}/")
            # Queues look now and then whether there is anything to do: that is on nobody's way.
            if not file.startswith((".venv", "tests")) and not threading.current_thread().name.startswith(_QUEUES):
                self.functions.add((file, frame.f_code.co_qualname))


def journeys(folder: Path) -> dict[str, Crossed]:
    """By name: an app of pictures, over HTTP and in Python."""
    watch = Crossed()
    # Imports and compiles what a model needs, ten times as fast as while every call is noted.
    embedder = open_embedder(recipe_of("general-fast"))
    embedder.embed_images([Image.new("RGB", (300, 300))])
    embedder.close()
    with watch.watching(), Store.open(folder) as store:
        app = store.create_app("app", "general-fast")
        for number in range(6):
            kind = "discs" if number % 2 else "stripes"
            app.add(png(kind, number), f"x{number}", {kind: True}, {"odd": number % 2})
        service = create_service(Settings(data=folder), store)
        with TestClient(service, headers={"Authorization": f"Key {new_key(store.catalog, app.id).secret}"}) as client:
            service.state.context.warm_up.join()

            def post(path: str, body: dict[str, Any]) -> None:
                answer = client.post(path, json=body)
                assert answer.status_code == 200, answer.text

            def predict(number: int) -> None:
                image = {"base64": base64.b64encode(png("discs", 100 + number)).decode()}
                post("/v2/models/all/outputs", {"inputs": [{"data": {"image": image}}]})

            def search(_: int) -> None:
                near = {"output": {"input": {"id": "x1"}}}
                where = {"input": {"data": {"metadata": {"odd": 1}}}}
                post("/v2/searches", {"query": {"ands": [near, where]}})

            def label(number: int) -> None:
                change = {"id": "x5", "data": {"concepts": [{"id": "new", "value": number}]}}
                answer = client.patch("/v2/inputs", json={"action": "merge", "inputs": [change]})
                assert answer.status_code == 200, answer.text

            return {
                "HTTP: predict a new picture": watch.of(predict),
                "HTTP: search with a filter": watch.of(search),
                "HTTP: label": watch.of(label),
                "Python: predict a new picture": watch.of(lambda number: app.predict(png("discs", 200 + number))),
                "Python: search with a filter": watch.of(
                    lambda _: app.search(input_id="x1", where={"metadata": {"odd": 1}})
                ),
                "Python: label": watch.of(lambda number: app.label("x4", {"new": bool(number)})),
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", action="store_true", help="name the files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, crossed in journeys(Path(folder)).items():
            print(f"{name}: {len(crossed.files)} files, {len(crossed.functions)} functions")
            for file in crossed.files if options.files else ():
                functions = sorted(function for path, function in crossed.functions if path == file)
                print(f"  {file}: {', '.join(functions)}")


if __name__ == "__main__":
    main()
