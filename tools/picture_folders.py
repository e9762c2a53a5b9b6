"""Reads folders and tables of pictures as requests to add, with the same ids in every run."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..index.errors import BadRequest
from ..index.records import AddRequest, Crop, Geo, LabelSource
from ..index.storage.files import open_regular
from ..index.transfer.source import is_inside

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
_YES, _NO = {"", "1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no"}
_COCO, _CSV = "annotations.json", "labels.csv"
"""Tables that are used if they are beside the pictures."""


@dataclass(frozen=True)
class PictureFile:
    """A picture file with its labels and metadata."""

    file: str
    """Relative to the folder, with forward slashes."""
    path: Path
    concepts: Mapping[str, bool]
    id: str | None = None
    """Its id in a table."""
    metadata: Mapping[str, Any] | None = None
    geo: Geo | None = None
    crop: Crop | None = None

    @property
    def input_id(self) -> str:
        """The same for the same relative path, so that an import can be continued."""
        return self.id or hashlib.sha256(os.fsencode(self.file)).hexdigest()[:32]

    @property
    def sha256(self) -> str | None:
        """The hash of the file; None if it can't be read, or has a crop."""
        try:
            with self.path.open("rb") as file:
                return None if self.crop else hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

    def request(self) -> AddRequest:
        return AddRequest(
            self.path,
            self.input_id,
            self.concepts,
            metadata={"file": self.name} if self.metadata is None else self.metadata,
            geo=self.geo,
            crop=self.crop,
            source=LabelSource.IMPORT,
        )

    @property
    def name(self) -> str:
        """The file's path as text that can be displayed and stored."""
        return _text(self.file)


def find_pictures(path: Path, labels: str | None, *, outside: bool = False) -> Sequence[PictureFile]:
    """The pictures below a folder, sorted. Raises BadRequest.

    labels: `folders`, `none`, or a table: a CSV file, or COCO's JSON. None takes a table beside the pictures
    (`annotations.json`, `labels.csv`), else `folders`. outside: allows files elsewhere that a table or a link names;
    otherwise they are refused, since the folder's maker could choose which files of this machine are read.
    """
    if not path.is_dir():
        raise BadRequest(f"{path} is not a folder")
    if labels is None:
        labels = next((str(path / name) for name in (_COCO, _CSV) if (path / name).is_file()), "folders")
        if labels != "folders":
            _check_file(path, Path(labels), Path(labels).name, outside)
    if labels in ("folders", "none"):
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        pictures: Sequence[PictureFile] = [
            PictureFile(
                file.relative_to(path).as_posix(), file, _folder_label(path, file) if labels == "folders" else {}
            )
            for file in files
        ]
    else:
        pictures = _coco(path, Path(labels)) if labels.lower().endswith(".json") else _table(path, Path(labels))
    for file in pictures:
        _check_file(path, file.path, file.name, outside)
    return pictures


def _check_file(folder: Path, file: Path, name: str, outside: bool) -> None:
    """Raises BadRequest. A missing file is reported when it is added."""
    try:
        if not outside and not is_inside(folder, file):
            raise BadRequest(f"{name} leads out of {folder}: --outside allows such files")
        if file.exists() and not file.is_file():
            raise BadRequest(f"{name} is no regular file")
    except (OSError, ValueError, RuntimeError) as error:
        raise BadRequest(f"{name} is no name of a file: {error}") from error


@dataclass
class Pictures:
    """Pictures to add, each content once, and labels for pictures that exist under another id."""

    new: Sequence[PictureFile]
    again: Mapping[str, Mapping[str, bool]]
    """Input id -> further labels of the same picture."""
    same: int
    """How many pictures are duplicates."""


def deduplicate(
    files: Iterable[PictureFile], existing: Mapping[str, str], hashes: Mapping[str, str | None]
) -> Pictures:
    """existing: sha256 -> id of the app's inputs; hashes: input id -> sha256 of the files."""
    first_ids = dict(existing)
    new: list[PictureFile] = []
    again: dict[str, dict[str, bool]] = {}
    same = 0
    for file in files:
        sha256 = hashes[file.input_id]
        first = first_ids.get(sha256) if sha256 else None
        if first is None:
            new.append(file)
            if sha256:
                first_ids[sha256] = file.input_id
        else:
            same += 1
            again[first] = {**file.concepts, **again.get(first, {})}
    return Pictures(new, again, same)


def _table(path: Path, table: Path) -> Sequence[PictureFile]:
    labels: dict[str, dict[str, bool]] = {}
    ids: dict[str, str | None] = {}
    for file, id, concept, value in _rows(table):
        concepts = labels.setdefault(file, {})
        ids.setdefault(file, id)
        if concept:
            concepts[concept] = value
    return [PictureFile(file, path / file, concepts, ids[file]) for file, concepts in labels.items()]


def _coco(path: Path, table: Path) -> Sequence[PictureFile]:
    """Annotations say what a picture shows; `neg_category_ids`, as in LVIS, what it doesn't."""
    try:
        with open_regular(table) as file:
            content = json.load(file)
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        labels: dict[Any, dict[str, bool]] = {image["id"]: {} for image in content["images"]}
        for image in content["images"]:
            labels[image["id"]].update({names[number]: False for number in image.get("neg_category_ids", ())})
        for annotation in content["annotations"]:
            labels[annotation["image_id"]][names[annotation["category_id"]]] = True
        return [_coco_image(path, image, labels[image["id"]]) for image in content["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"can't read {table} as COCO: {error!r}") from error


def _coco_image(path: Path, image: Mapping[str, Any], concepts: Mapping[str, bool]) -> PictureFile:
    file, crop, geo = str(image["file_name"]), image.get("crop"), image.get("geo")
    return PictureFile(
        file,
        path / file,
        concepts,
        image.get("input_id"),
        image.get("metadata"),
        None if geo is None else Geo(*geo),
        None if crop is None else (crop[0], crop[1], crop[2], crop[3]),
    )


def _folder_label(root: Path, file: Path) -> dict[str, bool]:
    return {} if file.parent == root else {_text(file.parent.name): True}


def _text(name: str) -> str:
    """A file's name with marks for bytes that are no UTF-8, which JSON can't contain."""
    return os.fsencode(name).decode(errors="replace")


def _rows(table: Path) -> Iterator[tuple[str, str | None, str, bool]]:
    """File, id, concept and value of lines `file,concept[,value][,id]` under a header with these names."""
    try:
        with io.TextIOWrapper(open_regular(table), newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if not {"file", "concept"} <= set(reader.fieldnames or ()):
                raise BadRequest(f"{table} needs a first line with the columns file,concept and perhaps value")
            for row in reader:
                value = (row.get("value") or "").strip().lower()
                if value not in _YES | _NO:
                    raise BadRequest(f"{table}, line {reader.line_num}: the value is yes or no, not {value!r}")
                if not row["file"]:
                    raise BadRequest(f"{table}, line {reader.line_num}: the file is missing")
                file, concept = Path(row["file"]).as_posix(), (row["concept"] or "").strip()
                yield file, row.get("id") or None, concept, value in _YES
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadRequest(f"can't read {table}: {error}") from error
