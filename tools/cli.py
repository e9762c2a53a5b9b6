"""The `tenshot` command: global options, one line for every failure, and the commands of the other files.

Nothing heavy is imported before a command runs, so `tenshot --help` answers at once.
"""

import logging
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from .commands import admin, models, quality, transfer
from .commands import app as app_commands
from .console import Context, errors, fail
from .demo import demo

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Teach a computer to see what you mean from about ten labelled images.",
)
_WITH_VALUE = ("--data", "--database-url")
_INTERRUPTED = 130
"""Typer's exit code after an interrupt; it prints nothing."""

_ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}


def _bench_is_missing() -> None:
    """Measure this machine; needs the source."""
    fail(
        "the benchmarks are not in the installed package: clone the source and run `make .venv/.ready` in it "
        "(see README.md)"
    )


def _register_commands() -> None:
    for commands in (admin, app_commands, quality, models, transfer, demo):
        commands.register(app)
    # A wheel has no benchmarks.
    if find_spec(f"{__package__}.bench") is None:
        app.command("bench", context_settings=_ANY_ARGUMENTS)(_bench_is_missing)
    else:
        from .bench import bench

        bench.register(app)


_register_commands()


def _version(show: bool) -> None:
    if show:
        typer.echo(f"tenshot {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    data: Annotated[Path, typer.Option(envvar="TENSHOT_DATA", help="The data folder.")] = Path("tenshot-data"),
    database_url: Annotated[
        str | None,
        typer.Option(
            envvar="TENSHOT_DATABASE_URL", help="The URL of a database to use instead of SQLite in the data folder."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout, for programs.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    context.obj = Context(data, database_url, json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit codes: 0 done, 1 failed (one line on stderr says why and what to do), 2 wrong usage."""
    # Some model libraries log on the root logger, which would otherwise get a second handler.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app(args=_globals_first(sys.argv[1:] if arguments is None else arguments), prog_name="tenshot")
    except SystemExit as end:
        if end.code != _INTERRUPTED:
            raise
        errors.print("tenshot: interrupted")
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        line = _line(error)
        if line is None:
            raise
        errors.print(f"tenshot: {' '.join(line.split())}")
        sys.exit(1)


def _line(error: Exception) -> str | None:
    """The message for the user; None for an unexpected error."""
    from ..index.errors import AppNotFound, StoreInUse, TenshotError

    match error:
        case StoreInUse():
            return f"{error}; if it is a server, use its HTTP API (http://127.0.0.1:8000/docs), or stop it first"
        case AppNotFound():
            return f"{error}; `tenshot apps list` shows the apps, `tenshot apps create` makes one"
        case TenshotError():
            return str(error)
        case OSError(filename=str() | os.PathLike() as file):
            return f"{file}: {error.strerror}"
    return None


def _globals_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with global options first, so that they may also follow the command."""
    front, rest = [], []
    tail = iter(arguments)
    for argument in tail:
        if argument == "--":
            rest += [argument, *tail]
        elif argument == "--json" or argument.startswith(tuple(f"{name}=" for name in _WITH_VALUE)):
            front.append(argument)
        elif argument in _WITH_VALUE:
            front += [argument, *(value for value in [next(tail, None)] if value is not None)]
        else:
            rest.append(argument)
    return front + rest
