"""Checks frozen predictors of an archive: before they are unpacked, against the app, and by a prediction.

tenshot's .npz files are not compressed, so the arrays take as much memory as the file; compressed ones are refused.
"""

import io
import tokenize
import zipfile

import numpy as np

from ..errors import BadArchive
from ..records import FloatArray
from ..scoring.predictor import Predictor
from .untrusted import one_line

_MOST_ARRAYS = 64
_KINDS = "fiubU"
_LARGEST = 1e9
"""The largest number in an array, so that no product of two is infinite."""
_WRONG = (
    *(ValueError, LookupError, TypeError, ArithmeticError, OSError, EOFError, zipfile.BadZipFile),
    *(RuntimeError, MemoryError, SyntaxError, tokenize.TokenError),
)
"""What NumPy and zipfile raise for a file that is no .npz, or needs too much memory."""


def checked_predictor(content: bytes, dim: int, concept_ids: list[str]) -> Predictor:
    """concept_ids: those of its version. Raises BadArchive for a predictor that can't predict."""
    try:
        _check_arrays(content, nested=False)
        predictor = Predictor.from_bytes(content)
        if list(predictor.concept_ids) != concept_ids:
            raise ValueError("its concepts are not those of its version")
        predictor.check(dim)
        if predictor.known:
            if len(predictor.known.concept_ids) != 1:
                raise ValueError("what any is judged by has more than one concept")
            predictor.known.check(dim)
        with np.errstate(all="ignore"):
            values = predictor.values(_probes(predictor, dim))
        if not np.all((values >= 0) & (values <= 1)):
            raise ValueError("it predicts what is no probability")
        return predictor
    except _WRONG as error:
        raise BadArchive(f"a predictor can't be used: {one_line(error)}") from error


def _check_arrays(content: bytes, *, nested: bool) -> None:
    """Checks that the arrays take no more memory than the file, and are of numbers or texts. Raises one of _WRONG."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = file.infolist()
        if len(members) > _MOST_ARRAYS or len({member.filename for member in members}) < len(members):
            raise ValueError("it has too many arrays, or one twice")
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed")
        if sum(member.file_size for member in members) > len(content):
            raise ValueError("it is larger unpacked than packed")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray) or array.dtype.kind not in _KINDS:
                raise ValueError(f"{name[:100]!r} is no array of numbers or texts")
            if name == "known":
                if nested:
                    raise ValueError("it has predictors in predictors in predictors")
                _check_arrays(array.tobytes(), nested=True)
            elif array.dtype.kind == "f" and name != "temperature" and not np.all(np.abs(array) <= _LARGEST):
                raise ValueError("it has numbers that are too large, or none")


def _probes(predictor: Predictor, dim: int) -> FloatArray:
    """(q, dim) vectors of unit length: some that it was taught with, and some others."""
    probes = np.concatenate([predictor.rows[:8], predictor.background[:8], np.eye(2, dim), -np.eye(1, dim)])
    lengths = np.linalg.norm(probes, axis=1, keepdims=True)
    return np.asarray(probes / np.maximum(lengths, 1e-6), dtype=np.float32)
