"""A secret lies in a file for its owner alone, or nowhere."""

import os
from pathlib import Path

import pytest

from tenshot.api.auth.handover import ADMIN_KEY, Handover


def test_a_secret_takes_the_place_of_what_lies_there_be_it_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / ADMIN_KEY).symlink_to(elsewhere)
    Handover(folder, lambda _: None, terminal=False).admin_key("secret")
    assert [path.name for path in folder.iterdir()] == [ADMIN_KEY]
    assert (folder / ADMIN_KEY).read_text() == "secret\n"
    assert (folder / ADMIN_KEY).stat().st_mode & 0o777 == 0o600
    assert elsewhere.read_text() == "theirs"


def test_a_secret_that_can_not_be_written_leaves_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Handover(tmp_path, lambda _: None, terminal=False).admin_key("secret")
    assert list(tmp_path.iterdir()) == []
