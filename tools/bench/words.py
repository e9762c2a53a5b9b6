"""`tenshot bench words`: the quality of searches by everyday words among unlabelled drawings."""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..console import fail, output, table

TASK = "tux"
WORDS = {
    "bird": "animals-birds",
    "fish": "animals-fish",
    "insect": "animals-insects",
    "mammal": "animals-mammals",
    "clothes": "clothes",
    "hat": "clothes-hats",
    "fruit": "food-fruit",
    "vegetable": "food-vegetables",
    "musical instrument": "hobbies-music",
    "dishes": "household-dishes",
    "tool": "household-tools",
    "flower": "plants-flowers",
    "tree": "plants-trees",
    "planet": "space-planets",
    "flag": "town-flags",
    "house": "town-houses",
    "road sign": "town-roadsigns",
    "locomotive": "vehicles-locomotive",
}
"""Word -> folder of things; folders of symbols, seasons, sports, monuments and cartoons have no word."""


@dataclass(frozen=True)
class Result:
    """The result of one base workflow."""

    workflow: str
    pictures: int
    words: dict[str, float]
    """Word -> average precision of the search for it."""
    mean_average_precision: float
    chance: float
    """The expectation of a random order: the mean share of a word's pictures."""


def register(bench: typer.Typer) -> None:
    """Adds this measurement."""
    bench.command()(words)


def words(
    context: typer.Context,
    workflow: Annotated[str, typer.Option(help="Base workflows with words, separated by commas.")] = "general",
    cache: Annotated[
        Path | None, typer.Option(help="The folder for fetched pictures and vectors; by default in the user's cache.")
    ] = None,
) -> None:
    """Search the public task `tux` by words. Example: tenshot bench words --workflow general,general-fast"""
    from ...index.analysis.evaluation import average_precision
    from ...index.store import Store
    from .labelled_set import embedded
    from .public_tasks import Unavailable, fetch, public_tasks, user_cache

    cache_folder = cache or user_cache()
    try:
        folder = fetch(public_tasks()[TASK], cache_folder)
    except Unavailable as reason:
        fail(f"{TASK} is not available: {reason}")
    results = []
    with tempfile.TemporaryDirectory() as data, Store.open(data) as store:
        for name in workflow.split(","):
            app = store.create_app(name, name)
            pictures = embedded(folder, app, cache_folder)
            labels = np.array(pictures.names)[pictures.labels]
            scores = {word: (pictures.vectors @ app.embed_text(word)).astype(np.float64) for word in WORDS}
            precisions = {
                word: average_precision(scores[word], labels == label) or 0.0 for word, label in WORDS.items()
            }
            results.append(
                Result(
                    name,
                    len(labels),
                    precisions,
                    mean_average_precision=float(np.mean(list(precisions.values()))),
                    chance=float(np.mean([np.mean(labels == label) for label in WORDS.values()])),
                )
            )
    title = f"Average precision of searches by words among {results[0].pictures} drawings and photos ({TASK})"
    rows = [[word, *(result.words[word] for result in results)] for word in WORDS]
    rows += [["mean", *(result.mean_average_precision for result in results)]]
    rows += [["by chance", *(result.chance for result in results)]]
    columns = ["word", *(result.workflow for result in results)]
    output(context.obj, [asdict(result) for result in results], table(title, columns, rows))
