"""Vectors to post."""

from typing import Any

import numpy as np


def vector_input(axis: int, **extra: Any) -> dict[str, Any]:
    """An input on one of the axes."""
    return {**extra, "data": {"embeddings": [{"vector": np.eye(8)[axis].tolist()}]}}
