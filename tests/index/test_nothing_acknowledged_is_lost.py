"""SIGKILL at random moments, a disk that takes nothing more, a folder that can't be written. For longer: make soak."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mounts import needs_mounts

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(SUPPORT)}


def _python(code: str, *arguments: object, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | ONE_THREAD)


def test_kills_at_random_moments_lose_nothing_and_leave_nothing_half_done(tmp_path: Path, long: bool) -> None:
    kills = 1000 if long else 15
    command = [sys.executable, str(SUPPORT / "kills.py"), str(tmp_path / "data"), "--kills", str(kills)]
    command += ["--pictures-every", "20" if long else "13"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ONE_THREAD)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout)
    assert counts["kills"] == kills
    assert counts["operations"] > 2 * kills
    assert counts["refused by a full disk"] > 0
    # Kills came in the middle of operations.
    assert counts["undone"] + counts["carried through"] > kills / 10


FILLS_UP = """
import sys
from pathlib import Path
import numpy as np
from tenshot import Store
from tenshot.index.storage.blobs import Blobs
from tenshot.index.errors import StorageFailed
data = Path(sys.argv[1])
told = []
with Store.open(data) as store:
    app = store.create_app("a", "vectors", dim=256)
    app.create_model("m", ["x"])
    rng = np.random.default_rng(0)
    while True:
        ids = [f"{len(told)}-{i}" for i in range(100)]
        try:
            app.add_vectors(rng.normal(size=(100, 256)), ids, [{"x": True}] * 100)
        except StorageFailed as error:
            print(error)
            break
        told += ids
    try:
        Blobs(data / "blobs").put(bytes(1 << 24))
    except StorageFailed as error:
        print(error)
    # What is there is read, and judged, as before.
    assert sorted(one.id for one in app.inputs(per_page=100_000)) == sorted(told)
    app.predict_vectors(rng.normal(size=(2, 256)))
    assert len(app.search(input_id=told[0], k=5)) == 5
    assert not Blobs(data / "blobs").strays()
(data / "reserve").unlink(missing_ok=True)
with Store.open(data) as store:
    app = store.app("a")
    assert sorted(one.id for one in app.inputs(per_page=100_000)) == sorted(told)
    app.label(told[0], {"y": True})
    app.create_version("m")
    assert store.examine(repair=True).problems == []
print(len(told))
"""


def test_a_file_that_may_not_grow_refuses_clearly_and_goes_on_afterwards(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))\n"
    lifted = "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
    code = limit + FILLS_UP.replace('(data / "reserve").unlink(missing_ok=True)\n', lifted)
    done = _python(code, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    refused, kept, count = done.stdout.splitlines()
    assert "can't be written" in refused
    assert "can't be kept" in kept
    assert int(count) > 0


@needs_mounts
def test_a_full_disk_refuses_clearly_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    reserve = 'head -c 6000000 /dev/zero > "$1/reserve"'
    script = f'mount -t tmpfs -o size=16m tmpfs "$1" && {reserve} && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, FILLS_UP]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | ONE_THREAD)
    assert done.returncode == 0, done.stderr
    refused, kept, count = done.stdout.splitlines()
    assert "can't be written" in refused
    assert "can't be kept" in kept
    assert int(count) > 0


COMMAND = "import sys; from tenshot.tools.cli import main; main(['--data', sys.argv[1], *sys.argv[2:]])"


@needs_mounts
@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["apps", "create", "b"]])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, command: list[str]) -> None:
    made = _python(COMMAND, tmp_path / "data", "apps", "create", "a", "--workflow", "vectors", "--dim", 4)
    assert made.returncode == 0, made.stderr
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    before = ("unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path))
    done = _python(COMMAND, tmp_path / "data", *command, before=before)
    assert done.returncode == 1
    assert "can't be written" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
