"""Commands that carry an app elsewhere: export, and the import of an export."""

from pathlib import Path
from typing import Annotated

import typer

from .console import Context, open_app, progress, say


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(export)


def export(
    context: typer.Context,
    app: Annotated[str, typer.Argument(help="The app's name or id.")],
    folder: Annotated[Path, typer.Argument(help="Where to; it is made.")],
    format: Annotated[
        str, typer.Option(help="`folder`: the whole app, as Parquet; or its pictures as `coco`, `imagefolder`, `csv`.")
    ] = "folder",
) -> None:
    """Write an app into a folder; `tenshot import` reads every format. Example: tenshot export birds birds-export"""
    with open_app(context, app) as opened:
        opened.export(folder, format)
        inputs = sum(opened.counts().values())
    document = {"app": app, "folder": folder, "format": format, "inputs": inputs}
    say(context.obj, document, f"exported {inputs} inputs of {app} into {folder}")


def import_export(context: typer.Context, path: Path, name: str) -> None:
    """An app as it was, from an export of all of it."""
    from ..index.store import Store

    options: Context = context.obj
    with (
        Store.open(options.data, database_url=options.database_url) as store,
        progress("importing", None) as bar,
    ):

        def told(done: int, total: int) -> None:
            bar.progress.update(bar.task, total=total, completed=done)

        found = store.import_app(path, name, told)
    document = {
        "app": found.app.id,
        "added": found.added,
        "already_there": found.already_there,
        "without_picture": list(found.lost),
    }
    text = f"imported {name}: added {found.added}, already there {found.already_there}"
    if found.lost:
        text += f"; {len(found.lost)} inputs have lost their picture"
    say(options, document, text)
