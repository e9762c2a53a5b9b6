"""What the core raises; `errors.py` at the root draws the whole tree."""

from ..errors import TenshotError as TenshotError


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
