"""What an archive says is checked as what the API is told: refused in one line, and nothing is left, or harmless."""

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from archives import DIM, Parts, bomb, hostile_npz, lived_in

from tenshot import Store
from tenshot.index.errors import BadArchive, InputNotFound
from tenshot.index.records import EvaluationState, InputStatus
from tenshot.index.transfer.rows import check_evaluation


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, bytes]:
    """Tars of an app of vectors, and of one with pictures."""
    with Store.open(tmp_path_factory.mktemp("bases") / "data") as store:
        return {
            pictures: b"".join(lived_in(store, f"app {pictures}", pictures=pictures).export_stream())
            for pictures in (False, True)
        }


@pytest.fixture
def parts(bases: dict[bool, bytes]) -> Parts:
    return Parts.of(bases[True])


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "new") as store:
        yield store


def refused(store: Store, archive: Parts | bytes | Path) -> str:
    """Why. Nothing is left of it."""
    tar = archive.tar() if isinstance(archive, Parts) else archive
    with pytest.raises(BadArchive) as error:
        store.import_app(tar if isinstance(tar, Path) else io.BytesIO(tar), "evil")
    assert store.apps() == []
    assert store.catalog.transfers.staged() == {}
    assert list(store._blobs.hashes()) == []
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize("id", ["../../elsewhere", "/tmp/elsewhere", "", "0" * 33, "F" * 32, None, 7, ["a"]])
def test_an_app_s_id_has_a_form_or_is_made_anew(new: Store, parts: Parts, id: Any) -> None:
    parts.manifest["app"]["id"] = id
    found = new.import_app(io.BytesIO(parts.tar()), "a").app.id
    assert len(found) == 32
    assert set(found) <= set("0123456789abcdef")


def test_no_folder_elsewhere_goes_when_an_imported_app_is_opened(new: Store, parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept")
    for id in (str(tmp_path / "precious"), "../../precious"):
        parts.manifest["app"]["id"] = id
        app = new.app(new.import_app(io.BytesIO(parts.tar()), "a").app.id)
        assert app.search(vector=np.eye(DIM)[0], k=1)
        new.delete_app("a")
    assert (tmp_path / "precious" / "file").read_text() == "kept"


MANIFESTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a number of the last change that no counter reaches": (lambda app: app | {"seq": 10**30}, "whole number"),
    "a number of the last change that is a text": (lambda app: app | {"seq": "5"}, "whole number"),
    "a name with a new line": (lambda app: app | {"name": "a\nb"}, "printed"),
    "truth as a text": (lambda app: app | {"teach_from_feedback": "yes"}, "true or false"),
    "a time without a zone": (lambda app: app | {"created_at": "2020-01-01"}, "time zone"),
    "a time before there is one": (lambda app: app | {"created_at": "0001-01-01T00:00:00+14:00"}, "1970"),
    "a recipe without a workflow": (lambda app: app | {"recipe": {"dim": DIM}}, "recipe has"),
    "a recipe of another length": (lambda app: app | {"dim": 9}, "dimensions"),
    "a length that is two lines": (lambda app: app | {"dim": "\n8\n"}, "dimensions"),
    "a recipe that names a file": (
        lambda app: app | {"recipe": app["recipe"] | {"workflow": "open_clip:ViT-B-32:/dev/zero"}},
        "names a file",
    ),
    "a recipe with other weights": (
        lambda app: app | {"recipe": app["recipe"] | {"weights": "file:/etc/passwd"}},
        "not the one that is here",
    ),
    "no such workflow": (lambda app: app | {"recipe": app["recipe"] | {"workflow": "nonsense"}}, "no base workflow"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_is_refused_that_has(new: Store, parts: Parts, case: str) -> None:
    change, reason = MANIFESTS[case]
    parts.manifest["app"] = change(parts.manifest["app"])
    assert reason in refused(new, parts)


@pytest.mark.parametrize("name", ["inputs/../../secret", "secrets/000000.parquet", "/etc/passwd", "inputs/x.parquet"])
def test_a_manifest_names_files_of_tables_alone(new: Store, parts: Parts, name: str) -> None:
    parts.manifest["files"][name] = "0" * 64
    assert "table" in refused(new, parts)


def test_rows_are_as_many_as_the_manifest_says(new: Store, parts: Parts) -> None:
    parts.counted = False
    parts.manifest["counts"]["labels"] += 1
    assert "labels" in refused(new, parts)


CELLS: list[tuple[str, str, Any, str]] = [
    ("inputs", "id", "a\0b", "printed"),
    ("inputs", "id", "a" * 1_000_000, "longer"),
    ("inputs", "id", "x2", "twice"),
    ("inputs", "key", -1, "whole number"),
    ("inputs", "seq", 2**60, "whole number"),
    ("inputs", "seq", 10_000, "after the app's last change"),
    ("inputs", "status", "mislaid", "ready, pending, failed"),
    ("inputs", "status", "pending", "vector"),
    ("inputs", "failure", "lost", "none of"),
    ("inputs", "url", "http://a\nb", "printed"),
    ("inputs", "sha256", "../../../etc/passwd", "SHA-256"),
    ("inputs", "crop", '["a","b","c","d"]', "number"),
    ("inputs", "crop", "[0.5, 0, 0.5, 1]", "crop"),
    ("inputs", "regions", '{"id": 1}', "list"),
    ("inputs", "metadata", '{"a": "\\ud800"}', "JSON"),
    ("inputs", "metadata", '{"a": NaN}', "NaN"),
    ("inputs", "metadata", "[" * 100_000, "JSON"),
    ("inputs", "metadata", "[1]", "mapping"),
    ("inputs", "metadata", '{"a":' * 101 + "1" + "}" * 101, "levels"),
    ("feedback", "body", '{"a":' * 500 + "1" + "}" * 500, "levels"),
    ("inputs", "longitude", 1e30, "place"),
    ("inputs", "created_at", -(2**62), "whole number"),
    ("inputs", "created_at", 2**62, "whole number"),
    ("inputs", "vector", [float("nan")] * DIM, "finite"),
    ("inputs", "vector", [0.0] * DIM, "zero"),
    ("concepts", "name", "", "empty"),
    ("concepts", "id", "a\x85b", "printed"),
    ("labels", "concept", "unheard of", "no 'unheard of'"),
    ("labels", "input", "unheard of", "no input 'unheard of'"),
    ("labels", "value", None, "true or false"),
    ("labels", "source", "rumour", "none of"),
    ("label_events", "seq", -1, "whole number"),
    ("label_events", "concept", "unheard of", "no 'unheard of'"),
    ("models", "id", "all", "every app has"),
    ("models", "settings", "[]", "mapping"),
    ("models", "mutually_exclusive", None, "true or false"),
    ("model_concepts", "concept", "unheard of", "no 'unheard of'"),
    ("model_concepts", "position", 10**12, "whole number"),
    ("model_versions", "id", "../v", "hex"),
    ("model_versions", "concept_ids", '["a", "a"]', "twice"),
    ("model_versions", "concept_ids", '["unheard of"]', "no 'unheard of'"),
    ("model_versions", "thresholds", '{"a": [1]}', "number"),
    ("model_versions", "state", "judged", "none of"),
    ("model_versions", "result", '{"concepts": [1]}', "evaluation"),
    ("model_versions", "input_count", 10**12, "whole number"),
    ("thresholds", "value", float("nan"), "number"),
    ("thresholds", "value", 1.5, "number"),
    ("thresholds", "concept", "unheard of", "no 'unheard of'"),
    ("workflows", "nodes", "[]", "nodes"),
    ("workflows", "nodes", '[{"id": "n"}]', "node has"),
    ("workflows", "nodes", '[{"id": "n", "model_id": 5, "version_id": null}]', "text"),
    ("feedback", "body", "7", "mapping"),
    ("feedback", "kind", None, "text"),
    ("spaces", "mean", b"\xff" * 4 * DIM, "float32"),
    ("spaces", "mean", b"", "numbers"),
    ("spaces", "background", b"123", "numbers of inputs"),
    ("spaces", "power", 1e9, "number"),
]


@pytest.mark.parametrize(("table", "column", "value", "reason"), CELLS, ids=lambda one: str(one)[:30])
def test_a_row_is_refused_with(new: Store, parts: Parts, table: str, column: str, value: Any, reason: str) -> None:
    parts.set_cell(f"{table}/000000.parquet", 0, column, value)
    said = refused(new, parts)
    assert reason in said
    assert table in said


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ('{"concepts": [1]}', "is an object"),
        ('{"concepts": [], "confusion": [], "cooccurrence": [], "judged": []}', "no accuracy"),
        ('{"concepts": [{"concept_id": "a", "positives": 1, "negatives": 1}]}', "no precision"),
    ],
)
def test_an_evaluation_that_can_not_be_shown_is_refused(result: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_evaluation(EvaluationState.DONE, json.loads(result))


@pytest.mark.parametrize("table", ["inputs", "concepts", "labels", "models", "model_concepts", "thresholds", "spaces"])
def test_no_row_is_there_twice(new: Store, parts: Parts, table: str) -> None:
    name = f"{table}/000000.parquet"
    rows = parts.table(name)
    parts.set_table(name, pa.concat_tables([rows, rows.slice(0, 1)]))
    assert table in refused(new, parts)


def test_what_is_no_picture_is_refused_and_what_is_one_has_the_type_of_its_bytes(new: Store, parts: Parts) -> None:
    [name, *_] = [name for name in parts.files if name.startswith("images/")]
    png = parts.files[name]
    parts.replace_file(name, b"<html><script>alert(1)</script></html>")
    assert "no picture" in refused(new, parts)
    [name] = [name for name, content in parts.files.items() if content.startswith(b"<html>")]
    parts.replace_file(name, png + b"!")
    rows = parts.table("inputs/000000.parquet")
    place = rows["id"].to_pylist().index("p0")
    parts.set_cell("inputs/000000.parquet", place, "media_type", "text/html")
    [name] = [name for name, content in parts.files.items() if content == png + b"!"]
    parts.files[name.replace(".png", ".bin")] = parts.files.pop(name)
    new.import_app(io.BytesIO(parts.tar()), "a")
    app = new.app("a")
    assert app.input("p0").media_type == "image/png"
    assert app.picture_by_hash(str(app.input("p0").sha256)).media_type == "image/png"


def test_a_vector_that_is_not_of_unit_length_scores_as_if_it_were(new: Store, parts: Parts) -> None:
    parts.set_cell("inputs/000000.parquet", 0, "vector", [1e6] * DIM)
    new.import_app(io.BytesIO(parts.tar()), "a")
    assert np.linalg.norm(new.app("a").vectors(["x0"])) == pytest.approx(1)
    assert new.app("a").search(vector=np.ones(DIM), k=1)[0].score == pytest.approx(1)


def test_vectors_of_an_archive_are_believed_by_no_other_app(new: Store, parts: Parts) -> None:
    new.import_app(io.BytesIO(parts.tar()), "a")
    app = new.app("a")
    picture = (str(app.input("p0").sha256), app.input("p0").crop)
    recipe = new.apps()[0].recipe
    assert new.catalog.vectors.of_pictures(recipe, [picture]) == {}


PREDICTORS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "rows of another length": lambda a: a | {"rows": a["rows"][:, :3]},
    "numbers that are none": lambda a: a | {"mean": a["mean"] * np.nan},
    "rows that are too long": lambda a: a | {"rows": a["rows"] * 1e30},
    "votes of rows that are not there": lambda a: a | {"votes_indices": a["votes_indices"] + 10_000},
    "other concepts": lambda a: a | {"concept_ids": np.array([f"{one}2" for one in a["concept_ids"].tolist()])},
    "too few curves": lambda a: a | {"curves": a["curves"][:0], "temperature": np.float64(np.nan)},
    "a sharpness that makes all infinite": lambda a: a | {"sharpness": np.float64(1e9)},
    "no rows": lambda a: {name: array for name, array in a.items() if name != "rows"},
}


@pytest.mark.parametrize("case", PREDICTORS)
def test_a_predictor_is_refused_with(new: Store, parts: Parts, case: str) -> None:
    name = next(name for name in parts.files if name.startswith("predictors/"))
    with np.load(io.BytesIO(parts.files[name])) as stored:
        arrays = PREDICTORS[case](dict(stored))
    out = io.BytesIO()
    np.savez(out, **arrays)
    parts.replace_file(name, out.getvalue())
    assert "predictor" in refused(new, parts)


@pytest.mark.parametrize(("column", "value"), [("model", "unheard of"), ("concept_ids", '["a", "b"]')])
def test_a_version_that_is_refused_leaves_no_predictor(new: Store, parts: Parts, column: str, value: str) -> None:
    """SQL tells that there is no such model, and no concept `b`, when the predictor is there already."""
    name = "model_versions/000000.parquet"
    row = next(row for row, one in enumerate(parts.table(name)["predictor_sha256"].to_pylist()) if one)
    parts.set_cell(name, row, column, value)
    if column == "concept_ids":
        naming = dict.fromkeys(("labels", "label_events", "model_concepts", "thresholds"), "concept")
        for table, its_concept in (naming | {"concepts": "id"}).items():
            rows = parts.table(f"{table}/000000.parquet")
            parts.set_table(f"{table}/000000.parquet", rows.filter(pc.not_equal(rows[its_concept], "b")))
    assert "model_versions: there is no" in refused(new, parts)


class Always:
    """In the place of a random draw."""

    def __init__(self, kind: int) -> None:
        self.kind = kind

    def randrange(self, _end: int) -> int:
        return self.kind

    def choice(self, values: Any) -> Any:
        return list(values)[-1]


@pytest.mark.parametrize("kind", range(5), ids=["compressed", "pickles", "bomb", "header", "nested"])
def test_an_npz_is_looked_at_before_it_is_unpacked(new: Store, parts: Parts, kind: int) -> None:
    name = next(name for name in parts.files if name.startswith("predictors/"))
    with np.load(io.BytesIO(parts.files[name])) as stored:
        made = hostile_npz(dict(stored), Always(kind))  # type: ignore[arg-type]
    parts.replace_file(name, made)
    assert "predictor" in refused(new, parts)


def test_a_predictor_with_an_array_whose_header_has_no_end_is_refused(new: Store, parts: Parts) -> None:
    """NumPy reads it as it did Python 2's, by a tokenizer, which has an error of its own."""
    name = next(name for name in parts.files if name.startswith("predictors/"))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(parts.files[name])) as stored, zipfile.ZipFile(out, "w") as changed:
        for member in stored.namelist():
            content = stored.read(member)
            # The last of the spaces that fill the header up.
            changed.writestr(member, content.replace(b" \n", b"(\n", 1) if member == "rows.npy" else content)
    parts.replace_file(name, out.getvalue())
    assert "predictor" in refused(new, parts)


def resident(field: str) -> int:
    """MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) // 1024


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells the peak")
@pytest.mark.parametrize(("rows", "length"), [(1_000_000, 64), (4_000, 1 << 20)])
def test_a_parquet_bomb_costs_little_memory(new: Store, parts: Parts, rows: int, length: int) -> None:
    content = bomb(parts.table("concepts/000000.parquet").schema, rows, length)
    assert len(content) < 1_000_000
    parts.tables["concepts/000000.parquet"] = content
    tar = parts.tar()
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmHWM")
    refused(new, tar)
    assert resident("VmHWM") - before < 150


def test_a_page_that_claims_more_values_than_there_are_rows_is_refused(new: Store, parts: Parts) -> None:
    name = "labels/000000.parquet"
    rows = parts.table(name)
    out = io.BytesIO()
    schema = rows.schema.set(rows.column_names.index("seq"), pa.field("seq", pa.list_(pa.int64())))
    lists = pa.array([[1] * 100_000] * rows.num_rows, type=pa.list_(pa.int64()))
    columns = [lists if one == "seq" else rows[one] for one in rows.column_names]
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), out)
    parts.tables[name] = out.getvalue()
    assert "labels" in refused(new, parts)


def test_a_footer_that_ends_the_process_in_arrow_never_gets_there(new: Store, parts: Parts) -> None:
    """A column of texts whose type is changed to float, which its statistics don't fit: Arrow aborts."""
    name = "labels/000000.parquet"
    content = bytearray(parts.tables[name])
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    # ColumnMetaData begins with its type: field 1, i32, BYTE_ARRAY; then the list of encodings.
    place = content.index(b"\x15\x0c\x19", start)
    changed = 0
    while place >= 0:
        content[place + 1] = 0x08
        changed += 1
        place = content.find(b"\x15\x0c\x19", place + 1)
    assert changed >= 3
    parts.tables[name] = bytes(content)
    assert "labels" in refused(new, parts)


def test_a_column_is_looked_at_whatever_path_its_pages_are_said_to_have(new: Store, parts: Parts) -> None:
    """Arrow goes by the order: texts under another path, said to be floats, would be read all the same."""
    name = "labels/000000.parquet"
    content = bytearray(parts.tables[name])
    # ColumnMetaData has its type, its encodings, and then its path: field 3, a list of one text.
    path = content.index(b"\x19\x18\x07concept", len(content) - 8 - int.from_bytes(content[-8:-4], "little"))
    content[path + 3 : path + 10] = b"another"
    content[content.rindex(b"\x15\x0c\x19", 0, path) + 1] = 0x08
    parts.tables[name] = bytes(content)
    assert "labels" in refused(new, parts)


def member(name: str, type: bytes = tarfile.REGTYPE, link: str = "", **more: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.pax_headers = type, link, more
    return info


STRANGE = {
    "a link": member("images/x", tarfile.SYMTYPE, "/etc/passwd"),
    "a hard link": member("images/x", tarfile.LNKTYPE, "tenshot.json"),
    "a device": member("images/x", tarfile.CHRTYPE),
    "a pipe": member("images/x", tarfile.FIFOTYPE),
    "something sparse": member("images/x", tarfile.GNUTYPE_SPARSE),
    "another size in an extended header": member("images/x", size="99999999999"),
    "another name in an extended header": member("images/x", path="tenshot.json"),
    "a sparse file in an extended header": member("images/x", **{"GNU.sparse.realsize": "99999999999"}),
    "an extended header of a megabyte": member("images/x", comment="x" * 1_000_000),
    "a name that leads out": member("../../x"),
    "an absolute name": member("/tmp/x"),
    "the manifest twice": member("tenshot.json"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_tar_is_refused_with(new: Store, parts: Parts, case: str) -> None:
    parts.members.append((STRANGE[case], b""))
    refused(new, parts)


def test_a_tar_of_a_hole_takes_no_memory(new: Store, tmp_path: Path) -> None:
    info = tarfile.TarInfo("tenshot.json")
    info.size = 6 << 30
    with (tmp_path / "hole.tar").open("wb") as file:
        file.write(info.tobuf())
        file.truncate(info.size + 10_240)
    assert "more than" in refused(new, tmp_path / "hole.tar")


def test_a_tar_that_other_archivers_made_of_a_folder_is_taken(new: Store, parts: Parts, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(parts.tar())) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(tmp_path / "out", "./", filter=lambda info: info.replace(mtime=info.mtime + 0.5, deep=False))
    assert new.import_app(io.BytesIO(made.getvalue()), "a").added == len(new.app("a").inputs())


@pytest.mark.parametrize("what", ["pipe", "link out", "folder"])
def test_a_folder_has_regular_files_inside_of_it_alone(new: Store, parts: Parts, tmp_path: Path, what: str) -> None:
    with tarfile.open(fileobj=io.BytesIO(parts.tar())) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    path = tmp_path / "out" / "labels" / "000000.parquet"
    path.rename(tmp_path / "moved")
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "moved")
    assert ("outside" if what == "link out" else "regular") in refused(new, tmp_path / "out")


def test_a_pipe_in_the_place_of_a_tar_is_refused(new: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "regular" in refused(new, tmp_path / "pipe")


def test_an_app_that_an_older_import_left_broken_is_listed_counted_and_deleted(new: Store, tmp_path: Path) -> None:
    from sqlalchemy import create_engine, text

    app = new.create_app("old", "vectors", dim=DIM)
    app.add_vectors(np.eye(DIM), [f"x{i}" for i in range(DIM)])
    with create_engine(f"sqlite:///{tmp_path / 'new' / 'tenshot.db'}").begin() as connection:
        connection.execute(text("UPDATE inputs SET status = 'mislaid', failure = 'lost' WHERE id = 'x1'"))
        connection.execute(text("UPDATE apps SET recipe = :recipe"), {"recipe": json.dumps({"dim": DIM})})
        page = new._blobs.put(b"<html><script>alert(1)</script></html>")
        named = {"page": page}
        connection.execute(text("UPDATE inputs SET sha256 = :page, media_type = 'text/html' WHERE id = 'x2'"), named)
    [record] = new.apps()
    assert record.recipe["workflow"] == "unknown"
    assert sum(app.counts().values()) == DIM - 1
    assert app.input("x1").status is InputStatus.FAILED
    assert len(app.inputs()) == DIM
    with pytest.raises(InputNotFound, match="no picture"):
        app.picture_by_hash(page)
    new.delete_app("old")
    assert new.apps() == []
