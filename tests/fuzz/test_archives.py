"""Mutated exports: what is imported answers everything, what is refused leaves nothing, and nothing else is touched."""

import os
import time
from pathlib import Path

from archive_door import opened

SEED = 1
_FEW = 48


def test_no_mutated_export_breaks_a_route_or_leaves_anything(tmp_path: Path, long: bool) -> None:
    until = time.monotonic() + float(os.environ.get("TENSHOT_SOAK", "600"))
    number = 0
    with opened(tmp_path / "door") as door:
        for base in door.bases:
            assert door.try_tar(base.tar())
        while number < _FEW or (long and time.monotonic() < until):
            door.try_mutant(SEED, number)
            number += 1
    assert min(door.outcomes["refused"], door.outcomes["accepted"]) > _FEW / 20
