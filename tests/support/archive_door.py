"""What must hold after whatever was imported: it is refused whole, or all that is asked of the app is answered."""

import hashlib
import io
import random
import re
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from archive_mutants import mutant
from archives import DIM, Parts, lived_in
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, func, select

from tenshot import Store, TenshotError
from tenshot.api.auth.keys import new_key
from tenshot.api.service import create_service
from tenshot.api.settings import Settings
from tenshot.index.catalog import schema
from tenshot.index.records import InputStatus


class ArchiveDoor:
    """A data folder with an app in it, and a tree beside it that nobody may touch."""

    def __init__(self, folder: Path, store: Store, client: TestClient, bases: list[Parts]) -> None:
        self.folder, self.store, self.client, self.bases = folder, store, client, bases
        self._tables = create_engine(f"sqlite:///{folder / 'data' / 'tenshot.db'}")
        tables = schema.metadata.sorted_tables
        self._counts = select(*(select(func.count()).select_from(one).scalar_subquery() for one in tables))
        document = client.get("/openapi.json").json()
        self._routes = [
            (path, operations["get"].get("parameters", []))
            for path, operations in document["paths"].items()
            if "get" in operations and path not in ("/metrics",)
        ]
        self.outcomes: Counter[str] = Counter()
        self._before = self.state()
        self._canary = canary(folder)

    def state(self) -> Any:
        """All that the data folder holds, as far as an import could change it."""
        with self._tables.connect() as connection:
            counts = connection.execute(self._counts).one()
        blobs = self.store._blobs
        return self.store.apps(), tuple(counts), sorted(blobs.hashes()), blobs.strays()

    def accept_state(self) -> None:
        """After a finding: the next mutant is held against what is there now."""
        self._before, self._canary = self.state(), canary(self.folder)

    def try_mutant(self, seed: int, number: int) -> int:
        """How many MiB the import and what was asked took. Raises AssertionError."""
        tar = mutant(self.bases[number % len(self.bases)], random.Random(f"{seed}/{number}"))
        forget_peak()
        before = peak_mib()
        self.try_tar(tar)
        return peak_mib() - before

    def try_tar(self, tar: bytes) -> bool:
        """Whether it became an app, which is asked everything and deleted again."""
        try:
            found = self.store.import_app(io.BytesIO(tar), "mutant")
        except TenshotError as error:
            said, accepted = str(error), False
        else:
            said, accepted = "", True
            self._ask_everything(found.app.id)
            assert self.client.delete(f"/v2/users/me/apps/{found.app.id}").status_code == 200
        self.outcomes["accepted" if accepted else "refused"] += 1
        assert "\n" not in said, f"more than a line: {said}"
        assert self.state() == self._before, "something is left"
        assert canary(self.folder) == self._canary, "something outside of the data folder has changed"
        return accepted

    def _ask_everything(self, id: str) -> None:
        app = self.store.app(id)
        probes = np.eye(3, DIM) + 0.1
        models = [None, *(model.id for model in app.models())]
        for model in models:
            for version in [None] if model is None else [None, *(one.id for one in app.versions(model))]:
                values = app.predict_vectors(probes, model, version=version).values
                assert np.all((values >= 0) & (values <= 1))
        app.search(vector=probes[0], k=3)
        app.search(where={"metadata": {"row": 1}})
        ids = {
            "inputs": [one.id for one in app.inputs()][:2] + [one.id for one in app.inputs(status=InputStatus.FAILED)],
            "models": [model for model in models if model],
            "concepts": [concept.id for concept in app.concepts()][:1],
            "workflows": [workflow.id for workflow in app.workflows()],
        }
        pictures = {one.sha256 for one in app.inputs() if one.sha256}
        for path, parameters in self._routes:
            for names in _filled(path, ids, pictures, app):
                url = re.sub(r"\{(\w+)\}", lambda place: names[place[1]], path)  # noqa: B023
                if url.startswith("/v2/") and not url.startswith(("/v2/users", "/v2/session")):
                    url = f"/v2/users/me/apps/{id}{url.removeprefix('/v2')}"
                query = {
                    one["name"]: "1"
                    for one in parameters
                    if one["in"] == "query" and (one.get("required") or one["name"] == "draws")
                }
                answer = self.client.get(_escaped(url), params=query)
                assert answer.status_code < 500, f"{url}: {answer.status_code} {answer.text[:300]}"
                kind = answer.headers["content-type"]
                assert not path.startswith("/images") or kind.startswith(("image/", "application/json")), kind
        assert self.client.get("/metrics").status_code == 200


def _escaped(url: str) -> str:
    from urllib.parse import quote

    return quote(url, safe="/")


def _filled(path: str, ids: dict[str, list[str]], pictures: set[str], app: Any) -> Iterator[dict[str, str]]:
    names = {"app_id": app.id, "user": "me", "sha256": next(iter(pictures), "0" * 64), "version_id": "none"}
    resource = path.split("/")[2] if path.count("/") > 1 else ""
    if "{sha256}" in path:
        yield from ({**names, "sha256": sha256} for sha256 in sorted(pictures))
    elif path.startswith("/v2/users"):
        yield {**names, "id": app.id}
    elif "{version_id}" in path:
        for model in ids["models"]:
            yield from ({**names, "id": model, "version_id": one.id} for one in app.versions(model)[:1])
    elif "{id}" in path:
        yield from ({**names, "id": id} for id in ids.get(resource, ids["inputs"]))
    else:
        yield names


def canary(folder: Path) -> dict[str, str]:
    """Every file outside of the data folder -> its hash."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
        if path != folder / "data" and folder / "data" not in path.parents
    }


@contextmanager
def opened(folder: Path) -> Iterator[ArchiveDoor]:
    """A door in a new folder."""
    source = folder.with_name(f"{folder.name}.source")
    (folder / "outside" / "deep").mkdir(parents=True)
    for name in ("outside/a", "outside/deep/b", "c"):
        (folder / name).write_text(f"canary {name}")
    bases = []
    with Store.open(source) as store:
        for pictures in (False, True):
            app = lived_in(store, f"pictures {pictures}", pictures=pictures)
            bases.append(Parts.of(b"".join(app.export_stream())))
    shutil.rmtree(source)
    with Store.open(folder / "data") as store:
        store.create_app("bystander", "vectors", dim=DIM)
        service = create_service(Settings(data=folder / "data", fetch_urls=False), store)
        with TestClient(service, raise_server_exceptions=False) as client, warnings.catch_warnings():
            # Numbers at the edge overflow inside of models; what comes out is checked.
            warnings.simplefilter("ignore")
            client.headers["Authorization"] = f"Key {new_key(store.catalog, None).secret}"
            client.get("/v2/users/me/apps")
            yield ArchiveDoor(folder, store, client, bases)


def peak_mib() -> int:
    """The most memory that this process has held since `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024  # type: ignore[index]


def forget_peak() -> None:
    """From now on."""
    Path("/proc/self/clear_refs").write_text("5")
