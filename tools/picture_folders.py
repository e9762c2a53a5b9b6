"""Folders and tables of pictures as requests to add, with ids that come out the same every time."""

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
"""Beside the pictures they are recognised."""


@dataclass(frozen=True)
class Found:
    """A picture file and what is said of it."""

    file: str
    """Relative to the folder, with forward slashes."""
    path: Path
    concepts: Mapping[str, bool]
    id: str | None = None
    """What a table calls it."""
    metadata: Mapping[str, Any] | None = None
    geo: Geo | None = None
    crop: Crop | None = None

    @property
    def input_id(self) -> str:
        """The same for the same relative path: so an import can be taken up where it stopped."""
        return self.id or hashlib.sha256(os.fsencode(self.file)).hexdigest()[:32]

    @property
    def sha256(self) -> str | None:
        """Of the file, None for one that can't be read, or of which a part counts."""
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
        """The file as text that can be shown and stored."""
        return _text(self.file)


def find(path: Path, labels: str | None, *, outside: bool = False) -> Sequence[Found]:
    """The pictures below a folder, sorted. Raises BadRequest.

    labels: `folders`, `none`, or a table: a CSV file, or COCO's JSON. None takes a table that lies beside the pictures
    (`annotations.json`, `labels.csv`), else `folders`. outside: also what a table or a link names elsewhere; else that
    is refused, for whoever made the folder would choose which files of this machine are read.
    """
    if not path.is_dir():
        raise BadRequest(f"{path} is not a folder")
    if labels is None:
        labels = next((str(path / name) for name in (_COCO, _CSV) if (path / name).is_file()), "folders")
        if labels != "folders":
            _check_file(path, Path(labels), Path(labels).name, outside)
    if labels in ("folders", "none"):
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        found: Sequence[Found] = [
            Found(file.relative_to(path).as_posix(), file, _folder_label(path, file) if labels == "folders" else {})
            for file in files
        ]
    else:
        found = _coco(path, Path(labels)) if labels.lower().endswith(".json") else _table(path, Path(labels))
    for one in found:
        _check_file(path, one.path, one.name, outside)
    return found


def _check_file(folder: Path, file: Path, name: str, outside: bool) -> None:
    """Raises BadRequest. One that is missing is told when it is added."""
    try:
        if not outside and not is_inside(folder, file):
            raise BadRequest(f"{name} leads out of {folder}: with --outside such files are taken too")
        if file.exists() and not file.is_file():
            raise BadRequest(f"{name} is no regular file")
    except (OSError, ValueError, RuntimeError) as error:
        raise BadRequest(f"{name} is no name of a file: {error}") from error


@dataclass
class Pictures:
    """What is to be added, each content once, and what is said of those that are there under another id."""

    new: Sequence[Found]
    again: Mapping[str, Mapping[str, bool]]
    """Input id -> labels of the same picture elsewhere."""
    same: int
    """How many are the same picture as another."""


def by_content(found: Iterable[Found], there: Mapping[str, str], hashes: Mapping[str, str | None]) -> Pictures:
    """there: sha256 -> id of inputs that the app has; hashes: input id -> sha256 of what was found."""
    known = dict(there)
    new: list[Found] = []
    again: dict[str, dict[str, bool]] = {}
    same = 0
    for one in found:
        sha256 = hashes[one.input_id]
        first = known.get(sha256) if sha256 else None
        if first is None:
            new.append(one)
            if sha256:
                known[sha256] = one.input_id
        else:
            same += 1
            again[first] = {**one.concepts, **again.get(first, {})}
    return Pictures(new, again, same)


def _table(path: Path, table: Path) -> Sequence[Found]:
    said: dict[str, dict[str, bool]] = {}
    ids: dict[str, str | None] = {}
    for file, id, concept, value in _rows(table):
        given = said.setdefault(file, {})
        ids.setdefault(file, id)
        if concept:
            given[concept] = value
    return [Found(file, path / file, concepts, ids[file]) for file, concepts in said.items()]


def _coco(path: Path, table: Path) -> Sequence[Found]:
    """Annotations say what a picture shows; `neg_category_ids`, as in LVIS, what it doesn't."""
    try:
        with open_regular(table) as file:
            content = json.load(file)
        names = {one["id"]: str(one["name"]) for one in content["categories"]}
        said: dict[Any, dict[str, bool]] = {image["id"]: {} for image in content["images"]}
        for image in content["images"]:
            said[image["id"]].update({names[number]: False for number in image.get("neg_category_ids", ())})
        for one in content["annotations"]:
            said[one["image_id"]][names[one["category_id"]]] = True
        return [_coco_image(path, image, said[image["id"]]) for image in content["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRequest(f"can't read {table} as COCO: {error!r}") from error


def _coco_image(path: Path, image: Mapping[str, Any], concepts: Mapping[str, bool]) -> Found:
    file, crop, geo = str(image["file_name"]), image.get("crop"), image.get("geo")
    return Found(
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
    """A file's name where bytes that are no UTF-8 became marks, for no answer could carry them."""
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
                    raise BadRequest(f"{table}, line {reader.line_num}: no file is named")
                file, concept = Path(row["file"]).as_posix(), (row["concept"] or "").strip()
                yield file, row.get("id") or None, concept, value in _YES
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadRequest(f"can't read {table}: {error}") from error
