"""Commands that carry an app or a data folder elsewhere: export, the import of an export, backup, restore."""

from pathlib import Path
from typing import Annotated

import typer

from ..console import Context, open_app, progress, say


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (export, backup, restore):
        app.command()(command)


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
    from ...index.store import Store

    options: Context = context.obj
    with (
        Store.open(options.data, database_url=options.database_url) as store,
        progress("importing", None) as bar,
    ):
        found = store.import_app(path, name, bar.set)
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


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to: a new folder, or an older backup, which is renewed.")],
) -> None:
    """Back up the data folder, also while a server runs on it; what was written is read again and checked.

    Example: tenshot backup /backups/tenshot
    """
    from ...index.errors import NotFound
    from ...index.ops.backup import back_up
    from ...index.storage.blobs import Blobs
    from ...index.store import open_catalog

    options: Context = context.obj
    if not options.data.is_dir():
        raise NotFound(f"there is no data folder {options.data}")
    with (
        open_catalog(options.data, options.database_url) as catalog,
        progress("backing up", None) as bar,
    ):
        made = back_up(catalog, Blobs(options.data / "blobs"), folder, bar.set)
    text = f"backed up {made.apps} apps and {made.blobs} pictures into {folder}"
    if made.lost:
        text += f"; {len(made.lost)} pictures were lost or damaged before: `tenshot doctor` tells which"
    say(options, made, text)


def restore(
    context: typer.Context,
    backup: Annotated[Path, typer.Argument(help="What `tenshot backup` wrote.")],
) -> None:
    """Make the data folder (--data), which must be new or empty, of a backup.

    Example: tenshot --data restored restore /backups/tenshot
    """
    from ...index.ops.backup import restore as restore_folder

    options: Context = context.obj
    with progress("restoring", None) as bar:
        made = restore_folder(backup, options.data, bar.set)
    text = f"restored {made.apps} apps and {made.blobs} pictures of {made.taken_at} into {options.data}"
    say(options, made, text)
