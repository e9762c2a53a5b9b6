"""The output of commands: tables and progress bars for people, or one JSON document for programs."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

# Output contains the user's names: brackets and colons in them are no markup and no emoji.
errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
_ANY_WIDTH = 10_000


@dataclass(frozen=True)
class Context:
    """The global options."""

    data: Path
    database_url: str | None
    """A database other than SQLite in the data folder."""
    json: bool


@dataclass
class Rate:
    """A progress bar with the rate; `advance` and `set` move it."""

    progress: Progress
    task: TaskID

    def advance(self, count: int = 1) -> None:
        self.progress.advance(self.task, count)
        self._show_rate()

    def set(self, completed: int, total: int) -> None:
        self.progress.update(self.task, completed=completed, total=total)
        self._show_rate()

    def _show_rate(self) -> None:
        speed = self.progress.tasks[0].speed
        self.progress.update(self.task, rate=f"{speed:.0f}/s" if speed else "")

    def hide(self) -> None:
        """Clears the bar, so that only the error's line stays."""
        self.progress.live.transient = True


def output(context: Context, document: object, text: str | Table | None = None) -> None:
    """Prints the document as JSON, or the text (nothing if None) for people."""
    if context.json:
        sys.stdout.write(json.dumps(document, default=_plain, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    elif text is not None:
        # A wide console for files and pipes, so that no row is cut.
        width = None if sys.stdout.isatty() else _ANY_WIDTH
        Console(highlight=False, soft_wrap=True, markup=False, emoji=False, width=width).print(text)


def table(title: str | None, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table with numbers aligned right."""
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = bool(rows) and all(isinstance(row[columns.index(column)], int | float | None) for row in rows)
        grid.add_column(column, justify="right" if numeric else "left")
    for row in rows:
        grid.add_row(*(cell(value) for value in row))
    return grid


def cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def counted(count: int, noun: str) -> str:
    """`1 app`, `2 apps`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def fail(message: str) -> NoReturn:
    """One line on stderr, exit code 1."""
    errors.print(f"tenshot: {' '.join(message.split())}")
    raise typer.Exit(1)


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Rate]:
    """A bar on stderr with count, rate and time left."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=errors,
    )
    with bar:
        rate = Rate(bar, bar.add_task(title, total=total, rate=""))
        try:
            yield rate
        except BaseException:
            rate.hide()
            raise


@contextmanager
def open_app(context: typer.Context, name: str) -> Iterator[Any]:
    """Opens an app; this process owns the data folder meanwhile."""
    from ..index.store import Store

    options: Context = context.obj
    with Store.open(options.data, database_url=options.database_url) as store:
        yield store.app(name)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"not JSON: {value!r}")
