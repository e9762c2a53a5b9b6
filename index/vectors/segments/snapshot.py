"""Snapshots of a collection on the disk: written beside the old one, checked before they are trusted, never needed.

    rows-TOKEN.f32              the vectors by slot; it only grows, so that it can stay mapped
    snap-SEQ-TOKEN/             keys.i64, live.bits, codes and lists of each segment, meta.json
    CURRENT                     the name of the newest

What is damaged, half written or from elsewhere is passed over; SQL has it all.
"""

import errno
import hashlib
import json
import logging
import os
import re
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from ...records import FloatArray
from ...storage.files import FILE_MODE, FOLDER_MODE, make_file, make_folder, sync, write_new
from ..faiss_compat import faiss_on, mapped_file
from ..protocol import SavedFacts
from .flat import Flat
from .keymap import KeyMap
from .lists import Lists
from .rows import Rows
from .search_parameters import SearchParameters
from .segment import Segment
from .state import State

FORMAT = 3
_KEPT = 2
_BLOCK = 1 << 22
_SNAPSHOT = re.compile(r"snap-\d{20}-[0-9a-f]{8}")
_ROWS = re.compile(r"rows-[0-9a-f]{32}\.f32")
_FILE = re.compile(r"keys\.i64|live\.bits|codes-\d+\.faiss")
_DRAFT = re.compile(r"\.draft-([0-9a-f]{32}|current)")
_OURS = re.compile(f"{_SNAPSHOT.pattern}|{_ROWS.pattern}|{_DRAFT.pattern}|CURRENT")
_WRONG_SHAPE = (ValueError, LookupError, TypeError, AttributeError)
"""What reading the facts of a damaged meta.json ends in."""
_LOST = (FileNotFoundError, NotADirectoryError)
_SPARE = 64 << 20
"""Bytes that a snapshot leaves on the disk: for what can't be made again."""
_log = logging.getLogger("tenshot.index")


class DamagedSnapshot(Exception):
    """It can't be used, and the message says why. Never leaves the collection: it is rebuilt from SQL."""


@dataclass(frozen=True)
class _Rowfile:
    """The file that the present rows are mapped from."""

    name: str
    mapped: FloatArray
    digest: Any = None
    """SHA-256 of what is mapped, ready to go on; None while nobody has read all of it."""


def saved_facts(folder: Path) -> SavedFacts | None:
    """Of the newest snapshot in a collection's folder; None if there is none that can be read."""
    try:
        current = (folder / "CURRENT").read_text().strip()
        meta = json.loads((folder / _checked(current, _SNAPSHOT) / "meta.json").read_text())
        kinds = [segment["kind"] for segment in meta["segments"]]
        return SavedFacts(kinds[0] if kinds else "exact", int(meta["size"]), int(meta["seq"]))
    except (DamagedSnapshot, OSError, *_WRONG_SHAPE):
        return None


def remove_snapshots(folder: Path) -> None:
    """All that this file writes into a collection's folder, and the folder when nothing else is in it."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name):
            _remove(path)
    with suppress(OSError):
        folder.rmdir()


class Snapshots:
    """One collection's folder. Used by one thread at a time."""

    def __init__(self, folder: Path, dim: int, origin: str) -> None:
        """origin: whose vectors these are, made anew when a database is restored; another's snapshot is not used."""
        self.folder = folder
        self._dim = dim
        self._origin = origin
        self._rowfile: _Rowfile | None = None
        self._meta: dict[str, Any] = {}
        self._segments: tuple[Segment, ...] = ()
        self._name = ""

    def load(self, newest_seq: int) -> State | None:
        """The newest usable state; its vectors are not checked yet. None if there is none, or none can be read now.

        newest_seq: what SQL has got to; a snapshot that knows more belongs to another history. Only what proves to be
        damaged is deleted: files that can't be opened, and memory that isn't there, say nothing of a snapshot.
        """
        try:
            names = self._names()
        except OSError as error:
            _log.warning("the snapshots in %s can't be read now: %s", self.folder, error)
            return None
        damaged = True
        for name in names:
            try:
                return self._load(name, newest_seq)
            except (DamagedSnapshot, *_LOST, *_WRONG_SHAPE) as error:
                _log.warning("the snapshot %s is not used: %s", self.folder / name, error)
                shutil.rmtree(self.folder / name, ignore_errors=True)
            except (OSError, RuntimeError, MemoryError) as error:
                _log.warning("the snapshot %s can't be read now: %s", self.folder / name, error)
                damaged = False
        if damaged:
            self.clear()
        return None

    def check(self) -> None:
        """Reads all vectors of the loaded snapshot, which also brings them into memory. Raises DamagedSnapshot.

        Raises OSError where they can't be read now, which says nothing of them.
        """
        rowfile = self._rowfile
        if rowfile is None or rowfile.digest is not None:
            return
        digest = hashlib.sha256()
        left = rowfile.mapped.nbytes
        try:
            with (self.folder / rowfile.name).open("rb") as file:
                while left and (block := file.read(min(_BLOCK, left))):
                    digest.update(block)
                    left -= len(block)
        except _LOST as error:
            raise DamagedSnapshot(f"{rowfile.name} is not there") from error
        if left or digest.hexdigest() != self._meta["rows"]["sha256"]:
            raise DamagedSnapshot(f"{rowfile.name} is not what was written")
        self._rowfile = _Rowfile(rowfile.name, rowfile.mapped, digest)

    def save(self, state: State) -> FloatArray:
        """Writes a state; its vectors (size, dim), mapped from the file. Raises OSError, and the old one stays."""
        make_folder(self.folder)
        rows, rowfile, digest = state.rows, self._rowfile, hashlib.sha256()
        if rowfile is not None and state.rows.mapped is rowfile.mapped:
            self.check()
            assert self._rowfile
            digest = self._rowfile.digest.copy()
            name, start = rowfile.name, len(rowfile.mapped)
        else:
            name, start = f"rows-{uuid4().hex}.f32", 0
        self._check_room(state, start)
        draft = self.folder / f".draft-{uuid4().hex}"
        draft.mkdir(FOLDER_MODE)
        try:
            self._append(name, start, rows, digest)
            # Behind the last slot bits are zero.
            live = np.packbits(rows.live_mask(), bitorder="little")
            files = {"keys.i64": rows.keys.astype("<i8").tobytes(), "live.bits": live.tobytes()}
            meta: dict[str, Any] = {
                "format": FORMAT,
                "dim": self._dim,
                "origin": self._origin,
                "seq": state.seq,
                "size": rows.size,
                "exact_until": state.exact_until,
                "rows": {"name": name, "sha256": digest.hexdigest()},
                "segments": [],
                "files": {},
            }
            for file, content in files.items():
                (draft / file).write_bytes(content)
                meta["files"][file] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for number, segment in enumerate(state.segments):
                meta["segments"].append(self._write_segment(draft, number, segment, meta["files"]))
            (draft / "meta.json").write_text(json.dumps(meta))
            for path in draft.iterdir():
                # FAISS asks for no mode; a link to a file of an older snapshot has the mode that it was left with.
                if path.stat().st_nlink == 1:
                    path.chmod(FILE_MODE)
            sync([*draft.iterdir(), draft])
            final = f"snap-{state.seq:020d}-{uuid4().hex[:8]}"
            os.rename(draft, self.folder / final)
            sync([self.folder])
            self._point_to(final)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            with suppress(OSError):
                # Else they would lie there until the next attempt, and take the room that it needs.
                os.truncate(self.folder / name, start * self._dim * 4) if start else (self.folder / name).unlink()
            raise
        self._rowfile = _Rowfile(name, _map(self.folder / name, rows.size, self._dim), digest)
        self._meta, self._segments, self._name = meta, state.segments, final
        self._sweep()
        return self._rowfile.mapped

    def oldest_seq(self) -> int:
        """Of the snapshots that may still be opened; what happened before is not asked for again. Raises OSError."""
        return min((int(name.split("-")[1]) for name in self._names()), default=0)

    def clear(self) -> None:
        """Forgets every snapshot; files that are mapped live on until nobody reads them."""
        remove_snapshots(self.folder)
        self._rowfile, self._meta, self._segments, self._name = None, {}, (), ""

    def _names(self) -> list[str]:
        """The current one first, then the newest. Raises OSError."""
        try:
            names = sorted(filter(_SNAPSHOT.fullmatch, os.listdir(self.folder)), reverse=True)
            current = (self.folder / "CURRENT").read_text().strip()
        except _LOST:
            return names if self.folder.is_dir() else []
        return sorted(names, key=lambda name: name != current)

    def _load(self, name: str, newest_seq: int) -> State:
        folder = self.folder / name
        meta = json.loads((folder / "meta.json").read_text())
        wanted = {"format": FORMAT, "dim": self._dim, "origin": self._origin}
        for field, value in wanted.items():
            if meta[field] != value:
                raise DamagedSnapshot(f"its {field} is {meta[field]!r}, not {value!r}")
        if not 0 <= meta["seq"] <= newest_seq:
            raise DamagedSnapshot(f"it holds change {meta['seq']}, and the database has {newest_seq}")
        size = int(meta["size"])
        for file, facts in meta["files"].items():
            if _sha256(folder / _checked(file, _FILE)) != facts["sha256"]:
                raise DamagedSnapshot(f"{file} is not what was written")
        rows_name = _checked(meta["rows"]["name"], _ROWS)
        mapped = _map(self.folder / rows_name, size, self._dim)
        keys = np.fromfile(folder / "keys.i64", dtype="<i8").astype(np.int64)
        live = np.fromfile(folder / "live.bits", dtype=np.uint8)
        if len(keys) != size or len(live) != (size + 7) // 8:
            raise DamagedSnapshot("its files have different lengths")
        rows = Rows.of_file(mapped, keys, live)
        segments = tuple(self._read_segment(folder, facts, size) for facts in meta["segments"])
        if any(before.stop != after.start for before, after in pairwise(segments)):
            raise DamagedSnapshot("its segments leave gaps")
        self._rowfile = _Rowfile(rows_name, mapped)
        self._meta, self._segments, self._name = meta, segments, name
        return State(rows, KeyMap().grown(rows), segments, seq=int(meta["seq"]), exact_until=int(meta["exact_until"]))

    def _append(self, name: str, start: int, rows: Rows, digest: Any) -> None:
        """The vectors from slot start on, behind the first ones of the file."""
        if not start:
            make_file(self.folder / name)
        with (self.folder / name).open("r+b") as file:
            # What an attempt that failed has left behind; nobody maps it.
            file.truncate(start * self._dim * 4)
            file.seek(0, os.SEEK_END)
            for block in rows.chunks(start, rows.size):
                content = np.ascontiguousarray(block, dtype="<f4").data.cast("B")
                file.write(content)
                digest.update(content)
            file.flush()
            os.fsync(file.fileno())

    def _check_room(self, state: State, start: int) -> None:
        """Raises OSError where a snapshot, written from slot start on, would take the disk's last bytes."""
        codes = sum(new.codes.nbytes for new in state.segments if all(new is not old for old in self._segments))
        needed = 4 * self._dim * (state.rows.size - start) + 9 * state.rows.size + codes
        if shutil.disk_usage(self.folder).free < needed + _SPARE:
            raise OSError(errno.ENOSPC, f"a snapshot of {needed} bytes would leave less than {_SPARE} on the disk")

    def _write_segment(self, draft: Path, number: int, segment: Segment, files: dict[str, Any]) -> dict[str, Any]:
        file = f"codes-{number}.faiss"
        last = self.folder / self._name / file
        if any(segment is old for old in self._segments) and file in self._meta["files"] and last.exists():
            # The same as in the last snapshot: no need to write it again.
            os.link(last, draft / file)
            files[file] = self._meta["files"][file]
        else:
            faiss_on().write_index(segment.codes.index, str(draft / file))
            files[file] = {"bytes": (draft / file).stat().st_size, "sha256": _sha256(draft / file)}
        facts = {"start": segment.start, "stop": segment.stop, "trained_on": segment.trained_on}
        return facts | {"kind": segment.codes.kind, "effort": asdict(segment.parameters), "codes": file}

    def _read_segment(self, folder: Path, facts: dict[str, Any], size: int) -> Segment:
        faiss, start, stop = faiss_on(), int(facts["start"]), int(facts["stop"])
        if not (0 <= start < stop <= size and start % 8 == 0):
            raise DamagedSnapshot("a segment lies outside the rows")
        index = faiss.read_index(str(folder / _checked(facts["codes"], _FILE)))
        if index.ntotal != stop - start or index.d != self._dim:
            raise DamagedSnapshot("codes and rows don't fit together")
        kind = Flat if facts["kind"] == "flat" else Lists
        lists = {name: tuple(value) for name, value in facts["effort"].items() if isinstance(value, list)}
        codes = kind.of_index(index, SearchParameters(**facts["effort"] | lists))
        return Segment(start, stop, int(facts["trained_on"]), codes)

    def _point_to(self, name: str) -> None:
        draft = self.folder / ".draft-current"
        _remove(draft)
        write_new(draft, name.encode())
        os.replace(draft, self.folder / "CURRENT")
        sync([self.folder])

    def _sweep(self) -> None:
        """Old snapshots, what crashes left, and vectors that no snapshot needs."""
        try:
            names = self._names()
            for name in names[_KEPT:]:
                shutil.rmtree(self.folder / name, ignore_errors=True)
            needed = {self._rowfile.name} if self._rowfile else set()
            for name in names[:_KEPT]:
                try:
                    needed.add(json.loads((self.folder / name / "meta.json").read_text())["rows"]["name"])
                except (*_LOST, *_WRONG_SHAPE):
                    shutil.rmtree(self.folder / name, ignore_errors=True)
        except OSError as error:
            _log.warning("old snapshots in %s stay until the next one: %s", self.folder, error)
            return
        for path in self.folder.iterdir():
            if _DRAFT.fullmatch(path.name) or (_ROWS.fullmatch(path.name) and path.name not in needed):
                _remove(path)


def _checked(name: object, form: re.Pattern[str]) -> str:
    """A name that a file gives, before it becomes a path. Raises DamagedSnapshot."""
    if not isinstance(name, str) or not form.fullmatch(name):
        raise DamagedSnapshot(f"it names {name!r}, which was never written")
    return name


def _remove(path: Path) -> None:
    """As far as that can be done; of a link, the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _map(path: Path, size: int, dim: int) -> FloatArray:
    if path.stat().st_size < size * dim * 4:
        raise DamagedSnapshot(f"{path.name} is too short")
    if not size:
        return np.empty((0, dim), dtype=np.float32)
    return np.frombuffer(mapped_file(path, size * dim * 4), dtype="<f4").reshape(size, dim)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
