"""What can go wrong, as one tree. The service maps these to wire statuses in one table.

TenshotError
├── NotFound                 something named does not exist
│   ├── AppNotFound
│   ├── InputNotFound
│   ├── ConceptNotFound
│   ├── ModelNotFound
│   ├── VersionNotFound
│   └── WorkflowNotFound
├── AlreadyExists            an id or name is taken
│   ├── AppExists
│   ├── InputExists
│   ├── DuplicateUrl
│   ├── ConceptExists
│   ├── ModelExists
│   └── WorkflowExists
├── BadRequest               the caller's data is wrong, nothing was stored
│   ├── BadVector            wrong size, not finite, or zero
│   ├── BadFilter            a `where` tree that can't be read
│   ├── BadArchive           an export that is not whole, or not one of tenshot's
│   ├── InputNotReady        an input that still waits for its picture, or never got one
│   └── NothingToLearn       a model without usable concepts or labels
├── NotSupported             this app's base workflow can't do that (text search without words, images for `vectors`)
├── StoreInUse               another process owns the data folder
├── StoreBusy                others hold the database for too long: nothing was changed, trying again helps
├── StoreTooNew              the data folder was written by a newer tenshot
├── StoreDamaged             the data folder lacks what it needs, or names what tenshot never wrote
│   └── NoDatabase           there is no database of tenshot where it is looked for
├── StorageFailed            the disk is full or can't be written: nothing was changed
└── StoreClosed              used after close()

`embeddings` has roots of its own (`ImageError`, `WorkflowError`, `Busy`), raised where the fact is known.
"""


class TenshotError(Exception):
    """Root of everything that the core raises on purpose. The message is one line, fit for a user."""


class NotFound(TenshotError):
    pass


class AppNotFound(NotFound):
    pass


class InputNotFound(NotFound):
    pass


class ConceptNotFound(NotFound):
    pass


class ModelNotFound(NotFound):
    pass


class VersionNotFound(NotFound):
    pass


class WorkflowNotFound(NotFound):
    pass


class AlreadyExists(TenshotError):
    pass


class AppExists(AlreadyExists):
    pass


class InputExists(AlreadyExists):
    pass


class DuplicateUrl(AlreadyExists):
    pass


class ConceptExists(AlreadyExists):
    pass


class ModelExists(AlreadyExists):
    pass


class WorkflowExists(AlreadyExists):
    pass


class BadRequest(TenshotError):
    pass


class BadVector(BadRequest):
    pass


class BadFilter(BadRequest):
    pass


class BadArchive(BadRequest):
    pass


class InputNotReady(BadRequest):
    pass


class NothingToLearn(BadRequest):
    pass


class NotSupported(TenshotError):
    pass


class StoreInUse(TenshotError):
    pass


class StoreBusy(TenshotError):
    pass


class StoreTooNew(TenshotError):
    pass


class StoreDamaged(TenshotError):
    pass


class NoDatabase(StoreDamaged):
    pass


class StorageFailed(TenshotError):
    pass


class StoreClosed(TenshotError):
    pass
