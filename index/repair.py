"""What is wrong with a data folder, and putting right what can be: for who owns the folder."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .blobs import Blobs
from .catalog import Catalog
from .errors import NotSupported


@dataclass(frozen=True)
class Findings:
    """Orphans cost room alone; what is lost or damaged has to come from a backup."""

    database: Sequence[str]
    orphans: Sequence[str]
    """Hashes of blobs that nothing names."""
    strays: Sequence[str]
    """Files that a crash left half written."""
    lost: Sequence[str]
    """Who names a picture that isn't there."""
    damaged: Sequence[str]
    """Who names a picture that is not what it was; only where everything was read."""

    @property
    def problems(self) -> list[str]:
        """What can't be put right here, for people."""
        found = [f"the database is damaged: {problem}" for problem in self.database]
        for what, names in (("lost", self.lost), ("damaged", self.damaged)):
            if names:
                more = ", ..." if len(names) > 5 else ""
                found.append(f"{len(names)} pictures are {what}: {', '.join(names[:5])}{more}; a backup has them")
        return found


def examine(catalog: Catalog, blobs: Blobs, *, read_all: bool = False) -> Findings:
    """Changes nothing. read_all: every picture is held against its hash, which takes as long as reading them."""
    named = catalog.blobs()
    there = set(blobs.hashes())
    try:
        database = catalog.problems()
    except NotSupported:
        database = []
    kept = sorted(there & named.keys()) if read_all else []
    damaged = [named[sha256] for sha256 in kept if not blobs.is_whole(sha256)]
    return Findings(
        database=database,
        orphans=sorted(there - named.keys()),
        strays=blobs.strays(),
        lost=sorted(named[sha256] for sha256 in named.keys() - there),
        damaged=damaged,
    )


def repair(catalog: Catalog, blobs: Blobs, collections: Path) -> Findings:
    """Deletes orphans, strays and every snapshot of a collection, which is made anew; what was found before."""
    found = examine(catalog, blobs, read_all=True)
    blobs.delete_unused(found.orphans, catalog.unused_blobs)
    blobs.delete_strays()
    shutil.rmtree(collections, ignore_errors=True)
    return found
