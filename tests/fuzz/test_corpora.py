"""What fuzzers start from, and what they have found, stays well."""

import warnings
from pathlib import Path

import pytest
from image_door import look

PICTURES = sorted((Path(__file__).parent / "corpus" / "pictures").iterdir())


@pytest.mark.parametrize("file", PICTURES, ids=lambda file: file.name)
def test_a_picture_of_the_corpus_is_opened_or_refused(file: Path) -> None:
    content = file.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what it can't read, which is the point here
        for end in (len(content), len(content) - 1, len(content) // 2):
            look(content[:end])


def test_there_is_a_picture_of_each_format() -> None:
    kinds = {file.suffix for file in PICTURES}
    assert kinds >= {".png", ".jpg", ".gif", ".webp", ".bmp", ".tif"}
    assert len(PICTURES) > 30
