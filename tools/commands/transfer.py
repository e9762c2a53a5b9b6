"""Commands that move apps and data folders: export, import of an export, backup, restore."""

from pathlib import Path
from typing import Annotated

import typer

from ..console import Context, counted, open_app, output, progress


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (export, backup, restore):
        app.command()(command)


def export(
    context: typer.Context,
    app: Annotated[str, typer.Argument(help="The app's name or id.")],
    folder: Annotated[Path, typer.Argument(help="The folder to write into; it is created.")],
    format: Annotated[
        str, typer.Option(help="`folder`: the whole app, as Parquet; or its pictures as `coco`, `imagefolder`, `csv`.")
    ] = "folder",
) -> None:
    """Write an app into a folder, which `tenshot import` can read. Example: tenshot export birds birds-export"""
    with open_app(context, app) as opened:
        opened.export(folder, format)
        inputs = sum(opened.counts().values())
    document = {"app": app, "folder": folder, "format": format, "inputs": inputs}
    output(context.obj, document, f"exported {counted(inputs, 'input')} of {app} into {folder}")


def import_export(context: typer.Context, path: Path, name: str) -> None:
    """Imports an app from an export of all of it."""
    from ...index.store import Store

    options: Context = context.obj
    with (
        Store.open(options.data, database_url=options.database_url) as store,
        progress("importing", None) as bar,
    ):
        imported = store.import_app(path, name, bar.set)
    document = {
        "app": imported.app.id,
        "added": imported.added,
        "already_there": imported.already_there,
        "without_picture": list(imported.lost),
    }
    text = f"imported {name}: added {imported.added}, already there {imported.already_there}"
    if imported.lost:
        text += f"; {counted(len(imported.lost), 'input')} without a picture"
    output(options, document, text)


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A new folder, or an older backup, which is updated.")],
) -> None:
    """Back up the data folder, even while a server uses it, and verify the backup.

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
        written = back_up(catalog, Blobs(options.data / "blobs"), folder, bar.set)
    text = f"backed up {counted(written.apps, 'app')} and {counted(written.blobs, 'picture')} into {folder}"
    if written.lost:
        lost = counted(len(written.lost), "picture")
        text += f"; lost or damaged before: {lost}; `tenshot doctor` names them"
    output(options, written, text)


def restore(
    context: typer.Context,
    backup: Annotated[Path, typer.Argument(help="A folder that `tenshot backup` wrote.")],
) -> None:
    """Restore a backup into the data folder (--data), which must be new or empty.

    Example: tenshot --data restored restore /backups/tenshot
    """
    from ...index.ops.backup import restore as restore_folder

    options: Context = context.obj
    with progress("restoring", None) as bar:
        restored = restore_folder(backup, options.data, bar.set)
    text = f"restored {counted(restored.apps, 'app')} and {counted(restored.blobs, 'picture')} of {restored.taken_at}"
    text += f" into {options.data}"
    output(options, restored, text)
