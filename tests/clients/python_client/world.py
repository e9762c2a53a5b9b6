"""What the cases stand on: apps of their own, pictures, and a watch over every call, request and answer."""

import functools
import inspect
import itertools
import json
import sys
import time
import traceback
from pathlib import Path

import requests
from clarifai.errors import ApiError
from clarifai.rest import ClarifaiApp, Image, client, geo
from clarifai.rest.geo import Geo, GeoPoint
from clarifai.rest.solutions import moderation, solutions

HERE = str(Path(__file__).parent)
KINDS = ("stripes", "discs", "checks")
# A case has to call these itself; of the other classes any call counts, also one that the client makes.
FACES = ("ClarifaiApp", "Inputs", "Concepts", "Models", "Model", "Workflows", "Workflow")

CASES = {}
called = set()
exchanges = []


def case(function):
    """A case by the name of its file and its own; it gets the World."""
    CASES[_name(function)] = function
    return function


def rows(**table):
    """One case for each row of a table; it gets the World and the row's value."""

    def register(function):
        for row, value in table.items():
            CASES[f"{_name(function)}[{row}]"] = functools.partial(_with_row, function, value)
        return function

    return register


def _with_row(function, value, world):
    function(world, value)


def _name(function):
    return f"{Path(function.__code__.co_filename).stem}.{function.__name__}"


class World:
    """The server under test. `app()` is empty and of the caller's own; `gallery` is shared, to be read only."""

    def __init__(self, server, admin, pictures, folder):
        self.server = server
        self.admin = admin
        self.pictures = pictures
        self.folder = Path(folder)
        self._numbers = itertools.count()

    def url(self, kind, seed):
        return f"{self.pictures}/{kind}-{seed}.png"

    def file(self, kind, seed):
        return str(self.folder / f"{kind}-{seed}.png")

    def bytes(self, kind, seed):
        return Path(self.file(kind, seed)).read_bytes()

    def key(self):
        """Of a new app."""
        name = f"python-{next(self._numbers)}"
        made = self.post("users/me/apps", {"apps": [{"name": name, "default_workflow_id": "general-fast"}]}, self.admin)
        [app] = made["apps"]
        keys = {"keys": [{"description": "", "scopes": ["All"], "apps": [{"id": app["id"], "user_id": "me"}]}]}
        return self.post("users/me/keys", keys, self.admin)["keys"][0]["id"]

    def post(self, path, body, key):
        """Where the client has no method."""
        answer = requests.post(f"{self.server}/v2/{path}", json=body, headers={"Authorization": f"Key {key}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def app(self, key=None):
        return ClarifaiApp(api_key=key or self.key(), base_url=self.server)

    @functools.cached_property
    def gallery(self):
        """Twelve labelled pictures, one unlabelled (`plain`), and the model `kinds` of the three concepts."""
        app = self.app()
        app.inputs.bulk_create_images(
            [
                Image(
                    url=self.url(kind, seed),
                    image_id=f"{kind}-{seed}",
                    concepts=[kind],
                    not_concepts=[KINDS[KINDS.index(kind) - 1]],
                    metadata={"kind": kind, "seed": seed, "deep": {"tags": [kind, "drawn"], "even": seed % 2 == 0}},
                    geo=Geo(GeoPoint(10 * KINDS.index(kind), seed)),
                )
                for kind in KINDS
                for seed in range(4)
            ]
        )
        app.inputs.create_image_from_url(self.url("stripes", 4), image_id="plain")
        settle(app)
        app.models.create("kinds", concepts=list(KINDS))
        return app


def settle(app):
    """Waits as scripts do, until nothing is left to process."""
    deadline = time.monotonic() + 30
    while app.inputs.check_status().to_process:
        assert time.monotonic() < deadline, "inputs stay unprocessed"
        time.sleep(0.05)


class Refused:
    """`with refused(404, 30102):` the client raises ApiError with that HTTP status and that code; `error` has it."""

    def __init__(self, http, *codes):
        self.expected = http, codes
        self.error = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert kind is ApiError, f"expected an ApiError {self.expected}, not {error!r}"
        http, codes = self.expected
        assert error.response.status_code == http, error
        assert error.error_code in codes, error
        self.error = error
        return True


refused = Refused


def run(world):
    """Case -> "ok" or what went wrong."""
    report = {}
    for name, function in CASES.items():
        exchanges.clear()
        try:
            function(world)
            report[name] = "ok"
        except Exception:
            report[name] = "\n".join([traceback.format_exc().rstrip(), "last exchanges:", *exchanges[-3:]])
    return report


def watch(server):
    """From here on calls of public methods and exchanges with the server are noted; gives the methods."""
    methods = set()
    for module in (client, geo, solutions, moderation):
        for name, cls in inspect.getmembers(module, inspect.isclass):
            if cls.__module__ != module.__name__:
                continue
            for method, function in list(vars(cls).items()):
                if inspect.isfunction(function) and not method.startswith("_"):
                    methods.add(f"{name}.{method}")
                    setattr(cls, method, _noted(f"{name}.{method}", function, own=name in FACES))
    send = requests.Session.send

    def noted(session, request, **options):
        answer = send(session, request, **options)
        if request.url.startswith(server):
            body = request.body.decode() if isinstance(request.body, bytes) else request.body or ""
            exchanges.append(
                f"{request.method} {request.url} {body:.1500}\n-> {answer.status_code} {answer.text:.2500}"
            )
            if "/v2/" in request.url:
                _check(answer)
        return answer

    requests.Session.send = noted
    return sorted(methods)


def _noted(name, function, own):
    @functools.wraps(function)
    def call(*arguments, **options):
        if not own or sys._getframe(1).f_code.co_filename.startswith(HERE):
            called.add(name)
        return function(*arguments, **options)

    return call


def _check(answer):
    """What holds for every answer of the wire, good or bad."""
    status = json.loads(answer.content)["status"]
    assert isinstance(status["code"], int), status
    assert status["code"], status
    assert status["description"], status
    assert isinstance(status.get("details") or "", str), status
