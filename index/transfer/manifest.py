"""The checked manifest of an archive, `tenshot.json`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ...embeddings.base.embedder import WorkflowError
from ...embeddings.workflows import recipe_of
from ..errors import BadArchive, BadRequest
from ..ingest.validation import check_id
from ..storage.files import is_app_id
from .archive import FORMAT
from .columns import COLUMNS, HASH, SEQ, TRUTH, check_recipe, whole
from .source import Archive
from .untrusted import one_line

_FILE = re.compile(r"([a-z_]+)/[0-9]{6,9}\.parquet")
_ROWS = whole(0, 1 << 40)


@dataclass(frozen=True)
class Manifest:
    """The manifest of an archive."""

    id: str | None
    """None: the manifest has no valid app id."""
    name: str
    recipe: Mapping[str, Any]
    seq: int
    teach_from_feedback: bool
    created_at: datetime
    counts: Mapping[str, int]
    """Table -> rows."""
    files: Mapping[str, str]
    """Name -> SHA-256."""

    @property
    def dim(self) -> int:
        return int(self.recipe["dim"])

    def files_of(self, table: str) -> Sequence[str]:
        """The files of a table, in their order."""
        return sorted((name for name in self.files if name.startswith(f"{table}/")), key=lambda name: (len(name), name))


def manifest_of(archive: Archive, recipes: Sequence[Mapping[str, Any]]) -> Manifest:
    """recipes: those of the present apps. Raises BadArchive."""
    content = archive.manifest
    if content.get("format") != FORMAT or isinstance(content["format"], bool):
        raise BadArchive(f"{archive.path} has the format {content.get('format')!r}; this tenshot knows {FORMAT}")
    try:
        app, counts, files = content["app"], content["counts"], content["files"]
        if not all(isinstance(part, dict) for part in (app, counts, files)):
            raise ValueError("app, counts and files are objects")
        _check_recipe(app["recipe"], recipes)
        if app["dim"] != app["recipe"]["dim"]:
            raise ValueError(f"the recipe is of {app['recipe']['dim']} dimensions, and the app of {app['dim']}")
        for name, column in (("seq", SEQ), ("teach_from_feedback", TRUTH)):
            column.check(app[name], name)
        for table, count in counts.items():
            _check_table(table)
            _ROWS.check(count, table)
        for name, sha256 in files.items():
            if not (matched := _FILE.fullmatch(name)):
                raise ValueError(f"{name[:100]!r} is no file of a table")
            _check_table(matched[1])
            HASH.check(sha256, name)
        created_at = datetime.fromisoformat(app["created_at"])
        if created_at.tzinfo is None or created_at.year < 1970:
            raise ValueError("created_at needs a time zone, and a year from 1970 on")
        return Manifest(
            id=app["id"] if is_app_id(app["id"]) else None,
            name=check_id(app["name"], "app name"),
            recipe=app["recipe"],
            seq=app["seq"],
            teach_from_feedback=app["teach_from_feedback"],
            created_at=created_at.astimezone(UTC),
            counts=counts,
            files=files,
        )
    except (BadRequest, WorkflowError, KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else one_line(error)
        raise BadArchive(f"the manifest of {archive.path} is wrong: {reason}") from error


def _check_recipe(recipe: Any, recipes: Sequence[Mapping[str, Any]]) -> None:
    """Accepts recipes of tenshot and of its apps only, since a recipe says which weights are loaded from where."""
    check_recipe(recipe)
    workflow = recipe["workflow"]
    if recipe in recipes:
        return
    if "/" in workflow or "\\" in workflow:
        raise ValueError(
            f"its base workflow {workflow[:200]!r} names a file or a repository: if you trust it, make any app with it "
            f"first"
        )
    if recipe != (own := asdict(recipe_of(workflow, dim=recipe["dim"]))):
        raise ValueError(
            f"its base workflow {workflow!r} is not the one that is here, {own['model']}, {own['weights']}"
        )


def _check_table(name: str) -> None:
    if name not in COLUMNS:
        raise ValueError(f"there is no table {name[:100]!r}")
