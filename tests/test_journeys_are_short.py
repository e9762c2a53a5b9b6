"""Predicting, searching and labelling cross few files: whoever follows one has little to read."""

from pathlib import Path

from journeys import journeys

MOST_FILES = {
    "HTTP: predict a new picture": 50,
    "HTTP: search with a filter": 37,
    "HTTP: label": 36,
    "Python: predict a new picture": 30,
    "Python: search with a filter": 21,
    "Python: label": 17,
}
_SLACK = 2
"""Engines differ by what is installed."""


def test_no_journey_crosses_more_files_than_it_did(tmp_path: Path) -> None:
    crossed = {name: journey.files for name, journey in journeys(tmp_path).items()}
    assert crossed.keys() == MOST_FILES.keys()
    for name, files in crossed.items():
        assert len(files) <= MOST_FILES[name] + _SLACK, f"{name}: {files}"
