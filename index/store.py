"""Store: a data folder. Opens it, makes and finds its apps, shares opened base workflows among them."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from uuid import uuid4

from filelock import FileLock, Timeout
from PIL import Image

from ..embeddings.base.batcher import Batcher
from ..embeddings.base.embedder import Recipe, WorkflowError
from ..embeddings.pictures.images import Opener, open_image
from ..embeddings.workflows import open_embedder, recipe_of
from ..errors import Busy
from .app import App
from .app.state import Resources
from .catalog import Catalog, legacy_path
from .errors import NoDatabase, StorageFailed, StoreClosed, StoreDamaged, StoreInUse, TenshotError
from .ingest.picture_embedder import MOST_CACHED, VectorCache
from .ingest.validation import check_id
from .ops.backup import BLOBS
from .ops.backup_manifest import DATABASE
from .ops.deletion import Deletion, Purge
from .ops.repair import Findings, examine
from .ops.repair import repair as repair_folder
from .records import AppRecord
from .resource_cache import Shelf
from .storage.blobs import Blobs
from .storage.files import FILE_MODE, is_app_id, make_file, make_folder
from .transfer.importing import Imported, import_app
from .transfer.source import Archive
from .vectors.factory import Collections, prepare
from .vectors.faiss_compat import check_faiss, give_back_memory
from .vectors.protocol import CollectionFacts, SavedFacts, VectorIndex
from .vectors.settings import CollectionSettings

_log = logging.getLogger("tenshot.index")


def open_catalog(path: str | os.PathLike[str], database_url: str | None = None) -> Catalog:
    """The records of a data folder alone, without its lock: for making apps and keys beside a running server.

    Raises StoreDamaged where there are pictures already but no database: a new one would know none of them.
    """
    folder = Path(path)
    make_folder(folder)
    place = database_url or folder.resolve() / DATABASE
    before = legacy_path(place) if isinstance(place, Path) else None
    # The first releases made the folder for pictures at once, and the database of such a folder elsewhere.
    used = _is_used(folder) or (before is not None and (folder / BLOBS).is_dir())
    try:
        return Catalog.open(place, make=not used)
    except NoDatabase as error:
        hint = "name it with --database-url if it is elsewhere, or put its file back"
        if before:
            hint = f"an earlier tenshot misread the folder's name and kept it in {before}: copy that to {place}"
        raise StoreDamaged(
            f"{folder} has been in use, but {error}: {hint}; to begin anew, move blobs and collections away"
        ) from error


def create_app_record(catalog: Catalog, name: str, workflow: str = "general", dim: int | None = None) -> AppRecord:
    """Makes an app in SQL; a running server finds it there. Raises AppExists or WorkflowError."""
    check_id(name, "app name")
    recipe = recipe_of(workflow, dim=dim)
    return catalog.apps.create(uuid4().hex, name, asdict(recipe), recipe.dim)


def delete_app_record(catalog: Catalog, blobs: Blobs, id: str) -> None:
    """Deletes an app with all that it has in SQL, and the pictures that no other app has. Raises AppNotFound.

    Where that breaks off, the app is gone all the same, and the next store of the folder deletes what is left.
    """
    _finish(Deletion(catalog, blobs, id))


def _finish(deletion: Deletion) -> bool:
    """Whether nothing is left."""
    try:
        deletion.finish()
    except TenshotError as error:
        _log.warning("a deleted app still takes room: %s; what is left of it is deleted later", error)
        return False
    return True


class Store:
    """A data folder that this process owns while it is open. A context manager."""

    def __init__(
        self,
        path: Path,
        lock: FileLock,
        catalog: Catalog,
        blobs: Blobs,
        collections: CollectionSettings | None = None,
        opener: Opener = open_image,
        cached_vectors: int = MOST_CACHED,
    ) -> None:
        self.path = path
        self.catalog = catalog
        self._folder_lock = lock
        self._blobs = blobs
        self._importing = threading.Lock()
        self._closing = threading.Lock()
        collections = collections or CollectionSettings()
        self._most_apps = collections.most_apps
        self._collections = Collections(path / "collections", catalog, collections)
        self._collections.sweep(record.id for record in catalog.apps.list())
        self._apps: Shelf[str, App] = Shelf(App.close)
        self._embedders: Shelf[Recipe, Batcher] = Shelf(Batcher.close)
        self._resources = Resources(
            catalog, blobs, self._collection_of, self._embedder_of, opener, VectorCache(cached_vectors)
        )
        self._closed = False
        self._purge = Purge(catalog, blobs)
        self._purge.begin()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        database_url: str | None = None,
        collections: CollectionSettings | None = None,
        opener: Opener = open_image,
        cached_vectors: int = MOST_CACHED,
    ) -> Self:
        """Creates or migrates the folder and takes it over.

        opener: how the bytes of pictures are opened, if not here: a `Decoders`. cached_vectors: how many vectors of
        pictures that are only predicted or searched by stay in memory, so that none is embedded twice. Raises
        StoreInUse, naming the process that has it, StoreTooNew, StoreDamaged where there are pictures but no database,
        or StorageFailed where it can't be written.
        """
        check_faiss()
        folder = Path(path)
        try:
            make_folder(folder)
            lock = _take(folder)
        except OSError as error:
            raise StorageFailed(f"the data folder {folder} can't be written: {error.strerror or error}") from error
        with ExitStack() as opened:
            opened.callback(lock.release)
            catalog = opened.enter_context(open_catalog(folder, database_url))
            store = cls(folder, lock, catalog, Blobs(folder / BLOBS), collections, opener, cached_vectors)
            opened.pop_all()  # it is for the store to close them
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}{', closed' if self._closed else ''})"

    def close(self) -> None:
        """Finishes what was taken on and gives the folder back; what is asked afterwards raises StoreClosed.

        Safe to call twice. Everything is closed in any case, and then what failed is raised.
        """
        with self._closing:
            if self._closed:
                return
            self._closed = True
            # The last is closed first, and the folder is given back when nothing can write into it any more.
            with ExitStack() as closing:
                for close in (
                    self._folder_lock.release,
                    self.catalog.close,
                    self._blobs.close,
                    self._embedders.close,
                    self._apps.close,
                    self._purge.close,
                ):
                    closing.callback(close)

    def create_app(self, name: str, workflow: str = "general", *, dim: int | None = None) -> App:
        """An app on a base workflow; dim only for `vectors`. Raises AppExists or WorkflowError."""
        self._check_open()
        return self._open_app(create_app_record(self.catalog, name, workflow, dim).id)

    def app(self, name: str) -> App:
        """The app of this id or name; also one that another process has just made. Raises AppNotFound."""
        self._check_open()
        return self._open_app(self.catalog.apps.find(name).id)

    def opened_app(self, id: str) -> App | None:
        """The app of this id if it is open and in memory, so that nobody has to wait for it."""
        app = self._apps.opened(id)
        return app if app and app.in_memory else None

    def app_by_id(self, id: str) -> App:
        """The app of this id, without asking SQL if it is open; never one of that name. Raises AppNotFound."""
        self._check_open()
        return self.opened_app(id) or self._open_app(id)

    def embedder(self, workflow: str) -> Batcher:
        """A base workflow that needs no settings, opened and shared. Raises WorkflowError."""
        return self._embedder_of(recipe_of(workflow))

    def warm_up(self) -> None:
        """Opens the base workflows of all apps and lets each see a picture, so that nobody has to wait for them.

        What can't be opened is left. What searches need is compiled, and interrupted changes of base workflows go on.
        """
        prepare()
        for recipe, name in {Recipe(**record.recipe): record.name for record in self.apps()}.items():
            try:
                embedder = self._embedder_of(recipe)
                if embedder.least_side is not None:
                    embedder.embed_images([Image.new("RGB", (embedder.least_side, embedder.least_side))])
            except (WorkflowError, StoreClosed, Busy) as error:
                _log.warning("the base workflow of app %s is not ready: %s", name, error)
        for id in self.catalog.workflow_changes.running():
            try:
                self.app_by_id(id)
            except TenshotError as error:
                _log.warning("app %s can't be opened to change its base workflow: %s", id, error)

    def import_app(
        self,
        source: str | os.PathLike[str] | IO[bytes],
        name: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Imported:
        """Makes an app of a whole export, a folder or a tar: as it was, vectors to the bit, predictions alike.

        name: another than it had. The app is there when all of it is; what is refused or fails leaves nothing, and
        what was killed is gone on with by the same archive under the same name. One import at a time, for each may take
        much memory. Raises AppExists, BadArchive, or Busy.
        """
        self._check_open()
        with self._import_turn(), Archive(Path(source) if isinstance(source, str | os.PathLike) else source) as archive:
            return import_app(self.catalog, self._blobs, archive, name, progress)

    @contextmanager
    def _import_turn(self) -> Iterator[None]:
        """Raises Busy."""
        if not self._importing.acquire(blocking=False):
            raise Busy("an app is being imported already; try again when that has ended")
        try:
            yield
        finally:
            self._importing.release()

    def apps(self) -> list[AppRecord]:
        """What SQL holds about each app, oldest first."""
        self._check_open()
        return self.catalog.apps.list()

    def collections(self) -> dict[str, CollectionFacts | SavedFacts | None]:
        """App id -> how its collection is doing if it is open, else what its snapshot says; None: nothing is known."""
        facts: dict[str, CollectionFacts | SavedFacts | None] = {}
        for record in self.apps():
            app = self.opened_app(record.id)
            facts[record.id] = app.collection_facts() if app else self._collections.saved(record.id)
        return facts

    def examine(self, *, repair: bool = False, force: bool = False) -> Findings:
        """What is wrong with the folder. repair: reads every picture, and puts right what can be; before apps open.

        Raises StoreDamaged rather than delete most of the pictures, unless forced.
        """
        self._check_open()
        with self._purge.paused():
            if not repair:
                return examine(self.catalog, self._blobs)
            with self._import_turn():
                return repair_folder(self.catalog, self._blobs, self._collections, force=force)

    def waiting(self) -> dict[str, int]:
        """Base workflow -> how many pictures and texts wait for it; of those that are open."""
        return {recipe.workflow: batcher.waiting for recipe, batcher in self._embedders.all_opened().items()}

    def delete_app(self, name: str) -> None:
        """Deletes an app with all that it has. Raises AppNotFound."""
        self._check_open()
        id = self.catalog.apps.find(name).id
        deletion = Deletion(self.catalog, self._blobs, id)
        # Only now, for who opens it asks SQL: so nobody can open it again in between.
        self._apps.remove(id)
        finished = False
        try:
            finished = _finish(deletion)
        finally:
            if not finished:
                self._purge.begin()
        self._collections.delete(id)

    def _open_app(self, id: str) -> App:
        app = self._apps.get(id, lambda: App(self.catalog.apps.get(id), self._resources))
        app.load()
        return app

    def _collection_of(self, record: AppRecord) -> VectorIndex:
        """An app's collection, opened; others are let go where there would be too many."""
        loaded = [app for id, app in self._apps.all_opened().items() if app.in_memory and id != record.id]
        unused = sorted(loaded, key=lambda app: app.used_at)[: max(len(loaded) + 1 - self._most_apps, 0)]
        if [app for app in unused if app.rest()]:
            give_back_memory()
        return self._collections.open(record)

    def _embedder_of(self, recipe: Recipe) -> Batcher:
        return self._embedders.get(recipe, lambda: Batcher(open_embedder(recipe), closed=StoreClosed))

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(f"the store {self.path} is closed")


def _take(folder: Path) -> FileLock:
    """The folder's lock, with this process's number beside it for whoever comes second."""
    # Not of this thread alone: another one may close the store.
    lock = FileLock(folder / "lock", mode=FILE_MODE, thread_local=False)
    owner = folder / "lock.pid"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        try:
            process = f"process {int(owner.read_text())}"
        except (OSError, ValueError):
            process = "another process"
        raise StoreInUse(f"the data folder {folder} is in use by {process}") from None
    make_file(owner)
    owner.write_text(str(os.getpid()))
    return lock


def _is_used(folder: Path) -> bool:
    """Whether pictures or collections of a data folder are there already."""
    collections = folder / "collections"
    apps = collections.iterdir() if collections.is_dir() else ()
    return any(is_app_id(path.name) for path in apps) or any(True for _ in Blobs(folder / BLOBS).hashes())
