"""What is wrong with a data folder, and putting right what can be: for who owns the folder."""

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
    unfinished: Sequence[str] = ()
    """Names of apps whose import was broken off and not gone on with; their rows and pictures cost room alone."""

    blind: Sequence[str] = ()
    """Inputs whose vector, from an earlier release, is zero or not finite: searches leave them out."""

    @property
    def problems(self) -> list[str]:
        """What can't be put right here, for people."""
        problems = [f"the database is damaged: {problem}" for problem in self.database]
        for what, names in (("lost", self.lost), ("damaged", self.damaged)):
            if names:
                problems.append(
                    f"pictures of {len(names)} inputs or versions are {what}: {_some(names)}; "
                    "a backup has them, and adding a picture again puts it right"
                )
        if self.blind:
            problems.append(
                f"vectors of {len(self.blind)} inputs are zero or not finite, so no search finds them: "
                f"{_some(self.blind)}; delete them, and add them again"
            )
        return problems


def examine(catalog: Catalog, blobs: Blobs, *, read_all: bool = False) -> Findings:
    """Changes nothing. read_all: every picture is held against its hash, which takes as long as reading them."""
    named = catalog.blobs()
    there = set(blobs.hashes())
    try:
        database = catalog.problems()
    except NotSupported:
        database = []
    damaged = {sha256 for sha256 in there & named if read_all and not blobs.is_whole(sha256)}
    return Findings(
        database=database,
        orphans=sorted(there - named),
        strays=blobs.strays(),
        lost=_names(catalog, named - there),
        damaged=_names(catalog, damaged),
        unfinished=sorted(catalog.transfers.staged().values()),
        blind=catalog.vectors.without_direction(),
    )


def repair(catalog: Catalog, blobs: Blobs, collections: Collections, *, force: bool = False) -> Findings:
    """Deletes orphans, strays, imports and deletions that were broken off, and every snapshot of a collection.

    Snapshots are made anew. Frozen versions of older releases get rid of the inputs that they don't need. Returns what
    was found before. Raises StoreDamaged, and does nothing, where most pictures are orphans, unless forced: crashes
    leave few, so the database is rather another one than theirs.
    """
    findings = examine(catalog, blobs, read_all=True)
    count = sum(1 for _ in blobs.hashes())
    if 2 * len(findings.orphans) > count and not force:
        raise StoreDamaged(
            f"nothing in this database names {len(findings.orphans)} of the {count} pictures in {blobs.folder}: is it "
            "another one (--database-url), or was its file moved or replaced? Nothing was changed; --force deletes "
            "them all the same"
        )
    for id in (*catalog.transfers.staged(), *catalog.deletions.left()):
        Deletion(catalog, blobs, id).finish()
    slim_versions(catalog, blobs)
    blobs.delete_unused(findings.orphans, catalog.unused_blobs)
    blobs.delete_strays()
    collections.clear()
    return findings


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _names(catalog: Catalog, hashes: set[str]) -> list[str]:
    return sorted(name for names in catalog.who_names(hashes).values() for name in names)


def slim_versions(catalog: Catalog, blobs: Blobs) -> None:
    """Writes predictors anew that hold rows of other models' inputs, or of deleted ones: they answer the same."""
    for old in catalog.versions.predictors():
        if old not in blobs or not blobs.is_whole(old):
            continue
        predictor = Predictor.from_bytes(blobs.get(old))
        slim = predictor.slim()
        if slim.size == predictor.size:
            continue
        with blobs.kept():
            catalog.versions.replace_predictor(old, blobs.put(slim.to_bytes()))
        blobs.delete_unused([old], catalog.unused_blobs)
