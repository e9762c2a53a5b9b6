"""Finds what is wrong with a data folder, and repairs what can be repaired. Only for the process that owns it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..catalog import Catalog
from ..errors import NotSupported, StoreDamaged
from ..scoring.predictor import Predictor
from ..storage.blobs import Blobs
from ..vectors.factory import Collections
from .deletion import Deletion


@dataclass(frozen=True)
class Findings:
    """What `examine` found. Orphans only take space; what is lost or damaged has to come from a backup."""

    database: Sequence[str]
    orphans: Sequence[str]
    """Hashes of blobs that nothing names."""
    strays: Sequence[str]
    """Half-written files that a crash left."""
    lost: Sequence[str]
    """Inputs and versions whose picture is missing."""
    damaged: Sequence[str]
    """Inputs and versions whose picture has changed; only where everything was read."""
    unfinished: Sequence[str] = ()
    """Names of apps whose import was interrupted; their rows and pictures only take space."""
    blind: Sequence[str] = ()
    """Inputs whose vector, from an earlier release, is zero or not finite: searches leave them out."""

    @property
    def problems(self) -> list[str]:
        """What can't be repaired here, for people."""
        problems = [f"the database is damaged: {problem}" for problem in self.database]
        for state, names in (("lost", self.lost), ("damaged", self.damaged)):
            if names:
                problems.append(
                    f"pictures of {len(names)} inputs or versions are {state}: {_some(names)}; "
                    "a backup has them, and adding a picture again puts it right"
                )
        if self.blind:
            problems.append(
                f"vectors of {len(self.blind)} inputs are zero or not finite, so no search finds them: "
                f"{_some(self.blind)}; delete them, and add them again"
            )
        return problems


def examine(catalog: Catalog, blobs: Blobs, *, read_all: bool = False) -> Findings:
    """Changes nothing. read_all: compares every picture with its hash, which takes as long as reading them all."""
    named = catalog.blobs()
    stored = set(blobs.hashes())
    try:
        database = catalog.problems()
    except NotSupported:
        database = []
    damaged = {sha256 for sha256 in stored & named if read_all and not blobs.is_whole(sha256)}
    return Findings(
        database=database,
        orphans=sorted(stored - named),
        strays=blobs.strays(),
        lost=_names(catalog, named - stored),
        damaged=_names(catalog, damaged),
        unfinished=sorted(catalog.transfers.staged().values()),
        blind=catalog.vectors.without_direction(),
    )


def repair(catalog: Catalog, blobs: Blobs, collections: Collections, *, force: bool = False) -> Findings:
    """Deletes orphans, strays, interrupted imports and deletions, and all snapshots of collections.

    Snapshots are rebuilt later. Frozen versions of older releases lose the inputs that they don't need. Returns what
    was found before. Raises StoreDamaged, and does nothing, where most pictures are orphans, unless forced: crashes
    leave few orphans, so the pictures probably belong to another database.
    """
    findings = examine(catalog, blobs, read_all=True)
    count = sum(1 for _ in blobs.hashes())
    if 2 * len(findings.orphans) > count and not force:
        raise StoreDamaged(
            f"nothing in this database names {len(findings.orphans)} of the {count} pictures in {blobs.folder}: is it "
            "another one (--database-url), or was its file moved or replaced? Nothing was changed; --force deletes "
            "them all the same"
        )
    for id in (*catalog.transfers.staged(), *catalog.deletions.unfinished()):
        Deletion(catalog, blobs, id).finish()
    slim_versions(catalog, blobs)
    blobs.delete_unused(findings.orphans, catalog.unused_blobs)
    blobs.delete_strays()
    collections.clear()
    return findings


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _names(catalog: Catalog, hashes: set[str]) -> list[str]:
    return sorted(name for names in catalog.references(hashes).values() for name in names)


def slim_versions(catalog: Catalog, blobs: Blobs) -> None:
    """Rewrites predictors without the inputs of other models, and without deleted ones; they predict the same."""
    for old in catalog.versions.predictors():
        if old not in blobs or not blobs.is_whole(old):
            continue
        predictor = Predictor.from_bytes(blobs.get(old))
        slim = predictor.slim()
        if slim.size == predictor.size:
            continue
        with blobs.deletion_paused():
            catalog.versions.replace_predictor(old, blobs.put(slim.to_bytes()))
        blobs.delete_unused([old], catalog.unused_blobs)
