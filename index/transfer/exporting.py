"""Exports an app as the files of an archive: all of it (`folder`), or pictures and labels in formats of other tools.

    folder        tenshot.json; inputs with vectors, labels, events, models ... as Parquet; images/, predictors/
    coco          annotations.json, images/: labels as annotations without boxes; negatives as in LVIS
    imagefolder   CONCEPT/picture, once per concept that it shows; pictures without concepts beside the folders
    csv           labels.csv of file,id,concept,value, images/

All rows are of one snapshot. Sources: https://cocodataset.org/#format-data, https://www.lvisdataset.org.
"""

import csv
import hashlib
import io
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import quote
from uuid import uuid4

from PIL import Image

from ..catalog import Catalog
from ..errors import NotFound, StorageFailed
from ..storage.blobs import Blobs
from .archive import FORMAT, MANIFEST, Member, Members
from .columns import INPUTS, TABLES
from .spool import VERSIONS, RowSpool
from .tables import Row, to_parquet

_log = logging.getLogger("tenshot.index")
_SUFFIXES = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/tiff": ".tif",
}
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
_MOST_NAME_BYTES = 200


class ExportFormat(StrEnum):
    """The format of an export."""

    FOLDER = "folder"
    COCO = "coco"
    IMAGEFOLDER = "imagefolder"
    CSV = "csv"


def export(catalog: Catalog, blobs: Blobs, app_id: str, format: ExportFormat) -> Members:
    """The files in the order in which they are to be written; None at first, while rows are gathered.

    The database is read only before the first file. Pictures and predictors that the rows name are not deleted before
    the last file, or before this is closed. A picture whose file is lost is left out, and so is a version whose
    predictor is lost. Raises StorageFailed where there is no room for the rows, and NotSupported for a value that no
    import would accept.
    """
    write: Mapping[ExportFormat, Callable[[RowSpool, Blobs], Iterator[Member]]] = {
        ExportFormat.FOLDER: _whole,
        ExportFormat.COCO: _coco,
        ExportFormat.IMAGEFOLDER: _imagefolder,
        ExportFormat.CSV: _csv,
    }
    with blobs.pinned() as pin, _scratch(blobs) as file:
        spool = RowSpool(file)
        with catalog.transfers.reading(app_id) as rows:
            for _ in spool.fill(rows, whole=format is ExportFormat.FOLDER):
                yield None
        pin.only(spool.hashes)
        yield from write[format](spool, blobs)


def _scratch(blobs: Blobs) -> IO[bytes]:
    """A nameless temporary file on the disk of the pictures; it never outlives the export. Raises StorageFailed."""
    try:
        return TemporaryFile(dir=blobs.folder)
    except OSError as error:
        raise StorageFailed(f"there is no room for an export: {error.strerror or error}") from error


def image_name(row: Row) -> str:
    """The path of a picture in a whole export."""
    sha256 = row["sha256"]
    return f"images/{sha256[:2]}/{sha256}{_suffix(row)}"


def predictor_name(sha256: str) -> str:
    """The path of a frozen version's predictor."""
    return f"predictors/{sha256}.npz"


def _whole(rows: RowSpool, blobs: Blobs) -> Iterator[Member]:
    app, files = rows.app, dict[str, str]()
    counts, numbers = Counter[str](), Counter[str]()
    written: set[str] = set()
    for table in (INPUTS, *TABLES):
        for part in rows.parts(table):
            exported = [row for row in part if table != VERSIONS or _is_there(row, blobs)]
            for some, content in to_parquet(table, exported, app["dim"]):
                name = f"{table}/{numbers[table]:06d}.parquet"
                files[name] = hashlib.sha256(content).hexdigest()
                numbers[table] += 1
                counts[table] += len(some)
                yield Member(name, content)
            for row in exported:
                sha256 = row.get("sha256") or row.get("predictor_sha256")
                if sha256 and sha256 not in written and (blob := _content(blobs, sha256)) is not None:
                    written.add(sha256)
                    yield Member(predictor_name(sha256) if table == VERSIONS else image_name(row), blob)
    manifest = {
        "format": FORMAT,
        "export": uuid4().hex,
        "exported_at": datetime.now(UTC).isoformat(),
        "app": {
            **{name: app[name] for name in ("id", "name", "recipe", "dim", "seq", "teach_from_feedback")},
            "created_at": app["created_at"].isoformat(),
        },
        "counts": counts,
        "files": files,
    }
    yield _json(MANIFEST, manifest)


def _coco(rows: RowSpool, blobs: Blobs) -> Iterator[Member]:
    concepts = [row for part in rows.parts("concepts") for row in part]
    numbers = {row["id"]: number for number, row in enumerate(concepts, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for row, content in _pictures(rows, blobs):
        name = f"images/{_file(row)}"
        width, height = _size(content)
        image: dict[str, Any] = {
            "id": len(images) + 1,
            "file_name": name,
            "width": width,
            "height": height,
            "date_captured": row["created_at"].isoformat(),
            "neg_category_ids": [numbers[concept] for concept, value in row["labels"].items() if not value],
            "input_id": row["id"],
        }
        for field in ("metadata", "crop"):
            if row[field] is not None:
                image[field] = row[field]
        if row["url"]:
            image["coco_url"] = row["url"]
        if row["longitude"] is not None:
            image["geo"] = [row["longitude"], row["latitude"]]
        images.append(image)
        for concept, value in row["labels"].items():
            if value:
                annotation = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": numbers[concept]}
                annotations.append(annotation)
        yield Member(name, content)
    categories = [{"id": numbers[row["id"]], "name": row["id"], "display_name": row["name"]} for row in concepts]
    info = {"description": rows.app["name"], "date_created": datetime.now(UTC).isoformat()}
    whole = {"info": info, "images": images, "annotations": annotations, "categories": categories}
    yield _json("annotations.json", whole)


def _imagefolder(rows: RowSpool, blobs: Blobs) -> Iterator[Member]:
    for row, content in _pictures(rows, blobs):
        concepts = [concept for concept, value in row["labels"].items() if value]
        for folder in [f"{_plain(concept)}/" for concept in concepts] or [""]:
            yield Member(folder + _file(row), content)


def _csv(rows: RowSpool, blobs: Blobs) -> Iterator[Member]:
    table = io.StringIO()
    lines = csv.writer(table)
    lines.writerow(["file", "id", "concept", "value"])
    for row, content in _pictures(rows, blobs):
        name = f"images/{_file(row)}"
        for concept, value in row["labels"].items() or [("", True)]:
            lines.writerow([name, row["id"], concept, "yes" if value else "no"])
        yield Member(name, content)
    yield Member("labels.csv", table.getvalue().encode())


def _pictures(rows: RowSpool, blobs: Blobs) -> Iterator[tuple[Row, bytes]]:
    """Every input that has a picture, with the picture's bytes."""
    for part in rows.parts(INPUTS):
        for row in part:
            if row["sha256"] and (content := _content(blobs, row["sha256"])) is not None:
                yield row, content


def _content(blobs: Blobs, sha256: str) -> bytes | None:
    try:
        return blobs.get(sha256)
    except NotFound:
        return None  # lost; `tenshot doctor` names it


def _is_there(version: Row, blobs: Blobs) -> bool:
    """Whether a version's predictor, if it has one, still exists."""
    sha256 = version["predictor_sha256"]
    if sha256 is None or sha256 in blobs:
        return True
    _log.warning("version %s is left out of an export: its predictor is lost", version["id"])
    return False


def _file(row: Row) -> str:
    """A file name for an input: its id, where that can be a file name."""
    return _plain(row["id"]) + _suffix(row)


def _plain(name: str) -> str:
    """A file or folder name for any id: its hash, if it is too long, or begins with a dot or with space."""
    plain = "".join(quote(character, safe="") if character in "/\\%" else character for character in name)
    if len(plain.encode()) > _MOST_NAME_BYTES or plain.startswith(".") or plain != plain.strip():
        return hashlib.sha256(name.encode()).hexdigest()
    return plain


def _suffix(row: Row) -> str:
    return _SUFFIXES.get(row["media_type"] or "", ".bin")


def _size(content: bytes) -> tuple[int, int]:
    """Width and height of the upright picture; nothing is decoded."""
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
        return (height, width) if image.getexif().get(_ORIENTATION) in _TURNED else (width, height)


def _json(name: str, content: Mapping[str, Any]) -> Member:
    return Member(name, json.dumps(content, ensure_ascii=False, indent=1).encode())
