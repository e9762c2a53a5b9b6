"""Folders and tables of pictures as requests to add, with ids that come out the same every time."""

import csv
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..index.errors import BadRequest
from ..index.records import AddRequest, LabelSource

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
_YES, _NO = {"", "1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no"}


@dataclass(frozen=True)
class Found:
    """A picture file and what is said of it."""

    file: str
    """Relative to the folder, with forward slashes."""
    path: Path
    concepts: Mapping[str, bool]

    @property
    def input_id(self) -> str:
        """The same for the same relative path: so an import can be taken up where it stopped."""
        return hashlib.sha256(os.fsencode(self.file)).hexdigest()[:32]

    def request(self) -> AddRequest:
        return AddRequest(
            self.path, self.input_id, self.concepts, metadata={"file": self.name}, source=LabelSource.IMPORT
        )

    @property
    def name(self) -> str:
        """The file as text that can be shown and stored."""
        return _text(self.file)


def find(path: Path, labels: str) -> Sequence[Found]:
    """The pictures below a folder, sorted. labels: `folders`, `none`, or a CSV file. Raises BadRequest."""
    if not path.is_dir():
        raise BadRequest(f"{path} is not a folder")
    if labels in ("folders", "none"):
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        return [
            Found(file.relative_to(path).as_posix(), file, _folder_label(path, file) if labels == "folders" else {})
            for file in files
        ]
    said: dict[str, dict[str, bool]] = {}
    for file, concept, value in _rows(Path(labels)):
        given = said.setdefault(file, {})
        if concept:
            given[concept] = value
    return [Found(file, path / file, concepts) for file, concepts in said.items()]


def _folder_label(root: Path, file: Path) -> dict[str, bool]:
    return {} if file.parent == root else {_text(file.parent.name): True}


def _text(name: str) -> str:
    """A file's name where bytes that are no UTF-8 became marks, for no answer could carry them."""
    return os.fsencode(name).decode(errors="replace")


def _rows(table: Path) -> Iterator[tuple[str, str, bool]]:
    """Lines of `file,concept[,value]` under a header with these names."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if not {"file", "concept"} <= set(reader.fieldnames or ()):
                raise BadRequest(f"{table} needs a first line with the columns file,concept and perhaps value")
            for row in reader:
                value = (row.get("value") or "").strip().lower()
                if value not in _YES | _NO:
                    raise BadRequest(f"{table}, line {reader.line_num}: the value is yes or no, not {value!r}")
                if not row["file"]:
                    raise BadRequest(f"{table}, line {reader.line_num}: no file is named")
                yield Path(row["file"]).as_posix(), (row["concept"] or "").strip(), value in _YES
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadRequest(f"can't read {table}: {error}") from error
