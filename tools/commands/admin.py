"""Commands for administrators: serve, apps, keys, workflows, doctor."""

import importlib.metadata
import platform
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...index.errors import StoreInUse, TenshotError
from ..console import Context, counted, errors, fail, output, table
from .workflow_benchmark import change

if TYPE_CHECKING:
    from ...embeddings.workflows import ListedWorkflow

_PACKAGES = ("torch", "torchvision", "timm", "open_clip_torch", "numpy", "pillow", "sqlalchemy", "fastapi")

apps = typer.Typer(no_args_is_help=True, help="Create, list, change and delete apps.")
keys = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys; works beside a running server.")


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(serve)
    app.add_typer(apps, name="apps")
    app.add_typer(keys, name="keys")
    app.command()(workflows)
    app.command()(doctor)


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for all networks.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any free one.")] = 8000,
    allow_private_urls: Annotated[
        bool, typer.Option("--allow-private-urls", help="Fetch image URLs from this machine and private networks too.")
    ] = False,
) -> None:
    """Run the HTTP API and the page, and print a link to the page. Example: tenshot serve --port 8000

    If stderr is no terminal, it writes the link and the first admin key into files of the data folder instead.
    """
    from pydantic import ValidationError

    from ...api.server import serve as run
    from ...api.settings import Settings

    options: Context = context.obj
    try:
        settings = Settings(
            data=options.data,
            database_url=options.database_url,
            host=host,
            port=port,
            allow_private_urls=allow_private_urls,
        )
    except ValidationError as error:
        first = error.errors()[0]
        fail(f"the setting TENSHOT_{str(first['loc'][0]).upper()} is wrong: {first['msg']}")
    try:
        run(settings, errors.print, terminal=sys.stderr.isatty())
    except OSError as error:
        fail(f"can't listen on {host}:{port}: {error.strerror or error}")


@apps.command("create")
def create_app(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name for the app.")],
    workflow: Annotated[str, typer.Option(help="The base workflow; `tenshot workflows` lists them.")] = "general",
    dim: Annotated[int | None, typer.Option(help="Vector length, for the workflow `vectors` only.")] = None,
) -> None:
    """Create an app and an API key for it. Example: tenshot apps create birds --workflow general"""
    from ...api.auth.keys import new_key
    from ...index.store import create_app_record

    with _catalog(context) as catalog:
        record = create_app_record(catalog, name, workflow, dim)
        key = new_key(catalog, record.id, f"made with {name}").secret
    output(
        context.obj,
        {"id": record.id, "api_key": key},
        f"app      {record.id}\nAPI key  {key}\n"
        f"The key is shown only once; tenshot keys create {name} creates another.",
    )


@apps.command("list")
def list_apps(context: typer.Context) -> None:
    """List the apps. Example: tenshot apps list"""
    from ...api.observability.prometheus import metrics_label

    with _catalog(context) as catalog:
        records = catalog.apps.list()
        rows = [
            {
                "id": record.id,
                "name": record.name,
                "workflow": record.recipe["workflow"],
                "dim": record.dim,
                "inputs": sum(catalog.inputs.counts(record.id).values()),
                "metrics_label": metrics_label(record.id),
            }
            for record in records
        ]
    columns = ["name", "workflow", "dim", "inputs", "id"]
    output(context.obj, rows, table(None, columns, [[row[column] for column in columns] for row in rows]))


@apps.command("delete")
def delete_app(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The app's name or id.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False,
) -> None:
    """Delete an app with its pictures, labels, models and keys. Example: tenshot apps delete birds --yes"""
    from ...index.storage.blobs import Blobs
    from ...index.store import delete_app_record

    options: Context = context.obj
    with _catalog(context) as catalog:
        record = catalog.apps.find(name)
        if not yes and not options.json:
            typer.confirm(f"Delete {record.name!r} with all its data?", abort=True)
        delete_app_record(catalog, Blobs(options.data / "blobs"), record.id)
    output(options, {"deleted": record.id}, f"deleted {record.name}")


apps.command("change")(change)


@keys.command("create")
def create_key(
    context: typer.Context,
    app: Annotated[str | None, typer.Argument(help="The app's name or id.")] = None,
    scopes: Annotated[str, typer.Option(help="All, Read or Write, separated by commas.")] = "All",
    admin: Annotated[
        bool, typer.Option("--admin", help="Create an admin key instead, which manages apps and keys.")
    ] = False,
    description: Annotated[str, typer.Option(help="Who or what the key is for.")] = "",
) -> None:
    """Create an API key for an app. Example: tenshot keys create birds --scopes Read"""
    from ...api.auth.keys import new_key

    if (app is None) is not admin:
        raise typer.BadParameter("name an app, or say --admin")
    with _catalog(context) as catalog:
        app_id = None if app is None else catalog.apps.find(app).id
        try:
            key = new_key(catalog, app_id, description, [scope.strip() for scope in scopes.split(",")])
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    output(
        context.obj,
        {"id": key.record.id, "api_key": key.secret},
        f"API key  {key.secret}\nIt is shown only once; tenshot keys revoke {key.record.id} revokes it.",
    )


@keys.command("list")
def list_keys(
    context: typer.Context,
    app: Annotated[str | None, typer.Argument(help="An app's name or id; by default all apps.")] = None,
) -> None:
    """List the API keys, never the secrets. Example: tenshot keys list birds"""
    with _catalog(context) as catalog:
        names = {record.id: record.name for record in catalog.apps.list()}
        records = catalog.api_keys.list(None if app is None else catalog.apps.find(app).id)
    rows: list[dict[str, Any]] = [
        {
            "id": record.id,
            "app": names.get(record.app_id or "", "(admin)"),
            "scopes": ",".join(record.scopes),
            "description": record.description,
            "state": "revoked" if record.revoked_at else "active",
        }
        for record in records
    ]
    columns = ["id", "app", "scopes", "state", "description"]
    output(context.obj, rows, table(None, columns, [[row[column] for column in columns] for row in rows]))


@keys.command("revoke")
def revoke_key(
    context: typer.Context, id: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")]
) -> None:
    """Revoke an API key, at once. Example: tenshot keys revoke 0f3a..."""
    with _catalog(context) as catalog:
        catalog.api_keys.revoke(id)
    output(context.obj, {"revoked": id}, f"revoked {id}")


def workflows(context: typer.Context) -> None:
    """List the base workflows. Example: tenshot workflows"""
    from ...embeddings.catalogue import WITHOUT_COUNTERPART
    from ...embeddings.workflows import listed

    rows = listed()
    text = "\n".join(_workflow(row) for row in rows)
    output(
        context.obj,
        rows,
        f"{text}\n\nThese models of Clarifai's have no counterpart here: {', '.join(WITHOUT_COUNTERPART)}.",
    )


def _workflow(row: "ListedWorkflow") -> str:
    """Three lines: what it is good for, what it is, what it needs here."""
    facts = [row["model"], f"weights from {row['source']}", f"{row['dim'] or 'any number of'} dimensions"]
    facts += ["words" if row["text"] else "no words", f"licence {row['licence']}"]
    here = [row["availability"], *(f"Clarifai's {name}" for name in row["clarifai"])]
    return f"{row['id']}: {row['good_for']}\n    {', '.join(facts)}\n    {'; '.join(here)}"


def doctor(
    context: typer.Context,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Read every picture, delete unused ones and what crashes left, and rebuild the caches.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --repair: even if that deletes most of the pictures.")
    ] = False,
) -> None:
    """Show what is installed, what works here, and what is wrong with the data folder. Example: tenshot doctor"""
    from ...embeddings.engines.device import device_name
    from ...embeddings.workflows import availability, catalogue
    from ...index.storage.files import exposure
    from ...index.store import Store
    from ...index.vectors.faiss_compat import check_faiss, gpu_count

    if force and not repair:
        raise typer.BadParameter("--force goes with --repair")
    options: Context = context.obj
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": device_name(),
    }
    problems = []
    try:
        package = check_faiss()
        report["faiss"] = f"{package} {importlib.metadata.version(package)}, {gpu_count()} GPUs"
    except TenshotError as error:
        report["faiss"] = str(error)
        problems.append(str(error))
    report["workflows"] = {entry.id: availability(entry).note for entry in catalogue()}
    if not options.data.exists():
        report["data"] = f"{options.data}: doesn't exist yet"
    else:
        if options.data.is_dir() and (exposed := exposure(options.data)):
            report["access"] = exposed
        try:
            with Store.open(options.data, database_url=options.database_url) as store:
                report["data"] = f"{options.data}: {counted(len(store.apps()), 'app')}, not in use"
                findings = store.examine(repair=repair, force=force)
                report["folder"] = _folder(findings, repair)
                problems += findings.problems
                report["collections"] = {name: _collection(facts) for name, facts in _collections(store)}
        except StoreInUse as error:
            report["data"] = str(error)
            if repair:
                problems.append(f"{error}: stop it to repair")
        except TenshotError as error:
            report["data"] = str(error)
            problems.append(str(error))
    report["problems"] = problems
    flat = [(name, value) for name, value in report.items() if isinstance(value, str)]
    flat += [(name, version) for name, version in report["packages"].items()]
    flat += [(f"workflow {name}", note) for name, note in report["workflows"].items()]
    flat += [(f"collection {name}", facts) for name, facts in report.get("collections", {}).items()]
    flat += [("problem", problem) for problem in problems]
    output(options, report, table(None, ["what", "found"], flat))
    if problems:
        fail(f"{counted(len(problems), 'problem')}: {'; '.join(problems)}")


def _folder(findings: Any, repaired: bool) -> str:
    action = "deleted" if repaired else "that --repair deletes"
    orphans, strays = counted(len(findings.orphans), "orphan blob"), counted(len(findings.strays), "stray file")
    text = f"{orphans} and {strays} {action}"
    if findings.unfinished:
        imports = counted(len(findings.unfinished), "interrupted import")
        text += f"; {imports} ({', '.join(findings.unfinished)}) {action}"
    return f"{text}; caches are rebuilt when they are opened" if repaired else text


def _collections(store: Any) -> Any:
    facts = store.collections()
    return [(record.name, facts[record.id]) for record in store.apps()]


def _collection(facts: Any) -> str:
    """A collection's snapshot, and how it is searched when it is opened."""
    if facts is None:
        return "no snapshot: read from SQL when it is opened"
    return f"{facts.kind}, {facts.rows} rows in its snapshot, opened on the {'GPU' if _on_gpu(facts) else 'processor'}"


def _on_gpu(facts: Any) -> bool:
    from ...index.vectors.faiss_compat import gpu_count

    return facts.kind != "exact" and gpu_count() > 0


def _catalog(context: typer.Context) -> Any:
    from ...index.store import open_catalog

    options: Context = context.obj
    return open_catalog(options.data, options.database_url)
