"""Throws mutated exports at the import, each by a number that replays it: `make soak`, or

python tests/fuzz/fuzz_archives.py --seed 1 --first 0 --count 20000
"""

import argparse
import logging
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from archive_door import opened, peak_mib


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--folder", type=Path, help="where the data folder is made; a memory disk is faster")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    findings, done, start = 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, opened(Path(folder)) as door:
        most = 0
        for number in range(options.first, options.first + options.count):
            if time.monotonic() - start > options.seconds:
                break
            try:
                if (taken := door.try_mutant(options.seed, number)) > most:
                    most = taken
                    print(f"mutant {number} took {most} MiB", flush=True)
            except Exception:
                findings += 1
                print(f"--seed {options.seed} --first {number} --count 1", traceback.format_exc(), flush=True)
                for app in door.store.apps():
                    if app.name == "mutant":
                        door.store.delete_app(app.id)
                door.accept_state()
            done += 1
            if done % 200 == 0:
                print(f"{done} mutants, {dict(door.outcomes)}, {time.monotonic() - start:.0f} s", flush=True)
        outcomes = dict(door.outcomes)
    print(f"{done} mutants: {outcomes}, {findings} findings; at most {most} MiB for one, {peak_mib()} MiB resident")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
