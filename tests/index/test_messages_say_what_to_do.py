"""What can't be done says so in words that are true and name the next step: condition -> message."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pictures import png

from tenshot.embeddings.pictures.images import ImageError, UnsupportedFormat, sniffed_type
from tenshot.index.app import App
from tenshot.index.errors import TenshotError

ROW = np.eye(8)[0]
NO_WORDS = "words are understood by general"
ONLY_NOES = "all its labels say no (4): label an input that shows"


def _fresh(app: App) -> App:
    return app


def _only_noes(app: App) -> App:
    app.add_vectors(np.eye(8)[:4], ["a", "b", "c", "d"], [{"carrot": False}] * 4)
    app.create_model("m", concepts=["carrot"])
    return app


def _one_yes(app: App) -> App:
    app.add_vectors(np.eye(8)[:2], ["a", "b"], [{"carrot": True}, {}])
    app.create_model("m", concepts=["carrot"], mutually_exclusive=True, closed_environment=True)
    app.create_model("none")
    return app


MESSAGES: list[tuple[Callable[[App], App], Callable[[App], Any], str]] = [
    (
        _only_noes,
        lambda app: app.explain("carrot", input_id="a"),
        f"concept 'carrot' can't be explained: {ONLY_NOES} it yes, too",
    ),
    (
        _only_noes,
        lambda app: app.explain(input_id="a"),
        f"nothing to explain: {ONLY_NOES} one of its concepts yes, too",
    ),
    (
        _only_noes,
        lambda app: app.create_version("m"),
        f"no concept with a positive label: {ONLY_NOES} one of its concepts yes, too",
    ),
    (
        _fresh,
        lambda app: app.explain(vector=ROW),
        "nothing to explain: it has no concepts yet: label an input yes with one",
    ),
    (_fresh, lambda app: app.explain("carrot", vector=ROW), "the model has no labels for the concept 'carrot'"),
    (_one_yes, lambda app: app.create_version("m"), "is mutually exclusive, but has one concept: add another"),
    (_one_yes, lambda app: app.create_version("none"), "model 'none' has no concepts: give it some, then label inputs"),
    (_one_yes, lambda app: app.create_version("all"), "make a model of its concepts to freeze it"),
    (_one_yes, lambda app: app.suggest(concept="turnip"), "has no concept 'turnip'"),
    (_one_yes, lambda app: app.compare_workflows(["general-fast"]), "two concepts need two pictures each"),
    (_fresh, lambda app: app.search(text="a dog"), NO_WORDS),
    (_fresh, lambda app: app.zero_shot(png("discs", 0), ["a dog"]), "hand in your own vectors"),
    (_fresh, lambda app: app.embed([png("discs", 0)]), "or create the app with another workflow"),
]


@pytest.mark.parametrize(("make", "ask", "message"), MESSAGES, ids=[message for _, _, message in MESSAGES])
def test_a_refusal_says_why_and_what_to_do(
    app: App, make: Callable[[App], App], ask: Callable[[App], Any], message: str
) -> None:
    with pytest.raises((TenshotError, ImageError)) as refused:
        ask(make(app))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x18ftypheic", "a HEIC or HEIF picture, as iPhones take them; send the picture as JPEG or PNG"),
        (b"\0\0\0\x18ftypavif", "an AVIF picture; send the picture as JPEG or PNG"),
        (b"\0\0\0\x18ftypisom", "a video (MP4 or QuickTime); send single frames of it"),
        (b"\0\0\0\x14ftypqt  ", "a video (MP4 or QuickTime)"),
        (b"\x1a\x45\xdf\xa3\x01", "a video (WebM or Matroska)"),
        (b"RIFF\0\0\0\0AVI LIST", "a video (AVI)"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn -->\n<svg/>", "an SVG drawing"),
        (b"%PDF-1.7", "a PDF document"),
        (b"<!DOCTYPE html><p>Not found", "a web page"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
        (b"8BPS\0\x01", "a Photoshop file"),
        (b"P6\n3 2\n255\n", "a PNM picture"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"data:image/png;base64,iVBORw0", "base64 text"),
    ],
)
def test_what_is_no_picture_for_us_is_called_by_its_name(start: bytes, name: str) -> None:
    with pytest.raises(UnsupportedFormat) as refused:
        sniffed_type(start + bytes(40))
    assert "not a picture in one of JPEG, PNG, WebP, GIF, BMP, TIFF: this is " in str(refused.value)
    assert name in str(refused.value)


def test_what_has_no_name_is_called_no_picture() -> None:
    with pytest.raises(UnsupportedFormat, match=r"not a picture in one of JPEG, PNG, WebP, GIF, BMP, TIFF$"):
        sniffed_type(b"hello, world")


def test_advice_fits_what_is_missing(app: App) -> None:
    assert app.advice() == "it has no concepts yet: label an input yes with one"
    app.create_concepts([("carrot", "carrot")])
    assert app.advice() == "it has no labels yet: label an input that shows one of its concepts yes"
    assert app.advice(concept="carrot") == "it has no labels yet: label an input that shows it yes"
