from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pictures import png

from tenshot import Store
from tenshot.index.app import App


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "data") as store:
        yield store


@pytest.fixture
def app(store: Store) -> App:
    """An empty app for vectors of 8 numbers: nothing here needs a model."""
    return store.create_app("mine", workflow="vectors", dim=8)


@pytest.fixture
def taught(app: App) -> App:
    """60 inputs x0..x59 round three directions; x0..x4 are labelled a, x20..x24 b, x40..x44 c."""
    labels = [{"abc"[i // 20]: True} if i % 20 < 5 else {} for i in range(60)]
    app.add_vectors(
        three_clouds(), [f"x{i}" for i in range(60)], labels, [{"row": i, "odd": i % 2 == 1} for i in range(60)]
    )
    return app


def three_clouds() -> np.ndarray:
    """(60, 8): twenty near each of three directions."""
    rng = np.random.default_rng(0)
    return np.repeat(np.eye(8)[:3], 20, axis=0) + 0.15 * rng.normal(size=(60, 8))


@pytest.fixture
def png_bytes() -> bytes:
    return png("stripes", 0)
