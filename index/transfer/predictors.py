"""Frozen predictors of an archive: looked at before anything is unpacked, held against the app, and tried.

An .npz of tenshot's is not compressed, so its arrays take as much room as its bytes; nothing else is read.
"""

import io
import zipfile
from typing import Any

import numpy as np

from ..errors import BadArchive
from ..records import FloatArray
from ..scoring.older import LargePart
from ..scoring.predictor import Predictor, Summary
from ..scoring.space import NEIGHBOURS, Space
from .plain import one_line

_MOST_ARRAYS = 64
_KINDS = "fiubU"
_LARGEST = 1e9
"""Of any number: so that no product of them is infinite."""
_UNIT = 1.01
_MOST_SHARPNESS = 100.0


def checked_predictor(content: bytes, dim: int, concept_ids: list[str]) -> Predictor:
    """concept_ids: those of its version. Raises BadArchive for one that could not predict."""
    try:
        _check_arrays(content, nested=False)
        predictor = Predictor.from_bytes(content)
        if list(predictor.concept_ids) != concept_ids:
            raise ValueError("its concepts are not those of its version")
        _check(predictor, dim)
        if predictor.known:
            if len(predictor.known.concept_ids) != 1:
                raise ValueError("what any is judged by has more than one concept")
            _check(predictor.known, dim)
        with np.errstate(all="ignore"):
            values = predictor.values(_probes(predictor, dim))
        if not np.all((values >= 0) & (values <= 1)):
            raise ValueError("it predicts what is no probability")
        return predictor
    except BadArchive:
        raise
    except (ValueError, KeyError, IndexError, TypeError, OSError, EOFError, OverflowError, zipfile.BadZipFile) as error:
        raise BadArchive(f"a predictor can't be used: {one_line(error)}") from error
    except (RuntimeError, NotImplementedError, RecursionError, MemoryError) as error:
        raise BadArchive(f"a predictor can't be read: {one_line(error)}") from error


def _check_arrays(content: bytes, *, nested: bool) -> None:
    """Whether each array is as large as its header says, and of numbers or texts."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = file.infolist()
        if len(members) > _MOST_ARRAYS or len({member.filename for member in members}) < len(members):
            raise ValueError("it has too many arrays, or one twice")
        if sum(member.file_size for member in members) > len(content):
            raise ValueError("it is larger unpacked than packed")
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                raise ValueError(f"{member.filename[:100]!r} is compressed")
            array = _array(file.read(member))
            if member.filename == "known.npy":
                if nested:
                    raise ValueError("it has predictors in predictors in predictors")
                _check_arrays(array.tobytes(), nested=True)
            elif array.dtype.kind == "f" and member.filename != "temperature.npy":
                _check_numbers(array)


def _array(data: bytes) -> Any:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError("it has an array of an unknown format")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    place, count = stream.tell(), 1
    for length in shape:
        count *= length
    if dtype.kind not in _KINDS or min(shape, default=0) < 0 or count * dtype.itemsize != len(data) - place:
        raise ValueError("it has an array that is not what its header says")
    return np.frombuffer(data, dtype, offset=place) if count else np.empty(0, dtype)


def _check_numbers(array: Any) -> None:
    if not np.all(np.abs(array) <= _LARGEST):
        raise ValueError("it has numbers that are too large, or none")


def _check(predictor: Predictor, dim: int) -> None:
    n, c, m = len(predictor.keys), len(predictor.concept_ids), len(predictor.background_rows)
    _check_space(predictor.space, dim)
    _shape(predictor.keys, (n,), "i")
    _shape(predictor.rows, (n, dim))
    _shape(predictor.background_rows, (m, dim))
    _shape(predictor.background_votes, (m, c))
    _shape(predictor.low_confidence, (c,), "b")
    for rows in (predictor.rows, predictor.background_rows):
        _check_rows(rows)
    _places(predictor.voters, len(predictor.voters), n)
    _shape(predictor.votes, (len(predictor.voters), c))
    if len(set(predictor.concept_ids)) < c or not 0 < predictor.sharpness <= _MOST_SHARPNESS:
        raise ValueError("its concepts or its sharpness are wrong")
    if predictor.temperature is None:
        if len(predictor.curves) != c:
            raise ValueError("it has not a curve for each concept")
    elif not 0 <= predictor.temperature <= _LARGEST:
        raise ValueError("its temperature is wrong")
    if predictor.texts is not None:
        _shape(predictor.texts, (dim, c))
    if predictor.large:
        _check_large(predictor.large, n, c, dim)
    if predictor.summary:
        _check_summary(predictor.summary, c, m, dim)


def _check_space(space: Space, dim: int) -> None:
    _shape(space.mean, (dim,))
    if not 0 < space.power <= 1:
        raise ValueError("its power is wrong")
    if smoothing := space.smoothing:
        r = len(smoothing.directions)
        _shape(smoothing.directions, (r, dim))
        _shape(smoothing.gains, (r,))
        _shape(smoothing.neighbours, (len(smoothing.neighbours), dim))
        _check_rows(smoothing.neighbours)
        if len(smoothing.neighbours) <= NEIGHBOURS:
            raise ValueError("it has too few neighbours to smooth by")


def _check_large(large: LargePart, n: int, c: int, dim: int) -> None:
    columns, k = len(large.columns), len(large.cached)
    _places(large.columns, columns, c)
    _places(large.cached, k, n)
    _shape(large.prototypes, (dim, columns))
    _shape(large.neighbour_scale, (columns,))


def _check_summary(summary: Summary, c: int, m: int, dim: int) -> None:
    _shape(summary.prototypes, (c, dim))
    _shape(summary.curved, (c, m))
    _shape(summary.share, (c,))
    if not np.all((summary.share >= 0) & (summary.share <= 1)):
        raise ValueError("it has shares that are none")


def _check_rows(rows: FloatArray) -> None:
    if not np.all(np.linalg.norm(rows, axis=1) <= _UNIT):
        raise ValueError("it has rows that are longer than 1")


def _places(array: Any, length: int, end: int) -> None:
    _shape(array, (length,), "i")
    if np.any((array < 0) | (array >= end)):
        raise ValueError("it has numbers of rows or columns that are not there")


def _shape(array: Any, shape: tuple[int, ...], kind: str = "f") -> None:
    if array.shape != shape or array.dtype.kind != kind:
        raise ValueError(f"it has an array of shape {array.shape}, type {array.dtype}, not {shape}")


def _probes(predictor: Predictor, dim: int) -> FloatArray:
    """(q, dim) of unit length: what it was taught with, and what it was not."""
    probes = np.concatenate([predictor.rows[:8], predictor.background_rows[:8], np.eye(2, dim), -np.eye(1, dim)])
    lengths = np.linalg.norm(probes, axis=1, keepdims=True)
    return np.asarray(probes / np.maximum(lengths, 1e-6), dtype=np.float32)
