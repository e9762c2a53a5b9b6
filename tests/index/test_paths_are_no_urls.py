"""A folder may be called anything: all that it has lies in it, and nothing of another's."""

from pathlib import Path

import pytest

from tenshot import Store
from tenshot.index.errors import StoreDamaged
from tenshot.index.ops.backup import back_up, restore
from tenshot.index.storage.blobs import Blobs
from tenshot.index.store import open_catalog

NAMES = [
    "x?1",
    "x?mode=memory",
    "x%41y",
    "50%",
    "%(here)s",
    "x#y",
    "s3:",
    "file:x",
    "memory:",
    "a::b",
    "~",
    "$HOME",
    ":memory:",
    " two words ",
    "Möwe",
    "two\nlines",
    "a'b\"c;d",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_any_name_holds_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    # Relative, for a name that begins with a protocol or ~ means most at the start.
    with Store.open(name) as store:
        store.create_app("mine", workflow="vectors", dim=4)
        sha256 = Blobs(f"{name}/blobs").put(b"something")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "tenshot.db").stat().st_size > 0
    assert Blobs(tmp_path / name / "blobs").get(sha256) == b"something"
    for absolute in (tmp_path / name, tmp_path / "inside" / name):
        with Store.open(absolute) as store:
            assert [record.name for record in store.apps()] == (["mine"] if absolute.parent == tmp_path else [])


@pytest.mark.parametrize("name", NAMES)
def test_a_backup_in_a_folder_of_any_name_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Store.open("data").close()
    with open_catalog("data") as catalog:
        back_up(catalog, Blobs("data/blobs"), Path(name))
    restore(Path(name), Path("again") / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["again", "data", name])
    Store.open(tmp_path / "again" / name).close()


def test_folders_that_differ_behind_a_question_mark_share_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x?1") as first, Store.open(tmp_path / "x?2") as second:
        first.create_app("secret", workflow="vectors", dim=4)
        assert second.apps() == []


@pytest.mark.parametrize("pictures", [True, False])
def test_a_folder_whose_name_was_misread_before_says_where_its_database_is(tmp_path: Path, pictures: bool) -> None:
    """The first releases kept the database of `x?1` in a file `x`, and pictures in `x?1/blobs`."""
    with Store.open(tmp_path / "old") as store:
        store.create_app("mine", workflow="vectors", dim=4)
    (tmp_path / "old" / "tenshot.db").rename(tmp_path / "x")
    (tmp_path / "x?1" / "blobs").mkdir(parents=True)
    hashes = [Blobs(tmp_path / "x?1" / "blobs").put(b"something")] if pictures else []
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreDamaged, match=f"kept it in {tmp_path / 'x'}: copy that to"):
        open_catalog(tmp_path / "x?1").close()
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "x").rename(tmp_path / "x?1" / "tenshot.db")
    with Store.open(tmp_path / "x?1") as store:
        assert [record.name for record in store.apps()] == ["mine"]
        assert list(Blobs(tmp_path / "x?1" / "blobs").hashes()) == hashes
