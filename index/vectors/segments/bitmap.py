"""Sets of slots as bitmaps, one bit a slot, lowest first: what FAISS's selectors read."""

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Slots = NDArray[np.int64]


def zeros(size: int) -> Bits:
    """Room for slots 0..size-1, none of them in the set."""
    return np.zeros((size + 7) // 8, dtype=np.uint8)


def add(bits: Bits, slots: Slots) -> None:
    """Puts slots into the set, in place."""
    np.bitwise_or.at(bits, slots >> 3, (1 << (slots & 7)).astype(np.uint8))


def discard(bits: Bits, slots: Slots) -> None:
    """Takes slots out of the set, in place."""
    np.bitwise_and.at(bits, slots >> 3, ~(1 << (slots & 7)).astype(np.uint8))


def has(bits: Bits, slots: Slots) -> NDArray[np.bool_]:
    """Which of the slots (any shape) are in the set; slots must be 0 or more, and inside."""
    return np.asarray((bits[slots >> 3] >> (slots & 7).astype(np.uint8)) & 1, dtype=np.bool_)


def members(bits: Bits, size: int) -> Slots:
    """The slots below size that are in the set, ascending."""
    return np.flatnonzero(mask(bits, size))


def mask(bits: Bits, size: int) -> NDArray[np.bool_]:
    """(size,): one boolean a slot."""
    return np.unpackbits(bits, count=size, bitorder="little").view(np.bool_)
