"""The wire's status codes, and which error gives which: the one table (Clarifai v2, section 2 of the contract)."""

from dataclasses import dataclass
from typing import NotRequired

from typing_extensions import TypedDict

from ...embeddings.base.embedder import WorkflowError
from ...embeddings.pictures.decoders import NoDecoder
from ...embeddings.pictures.images import BadCrop, ImageError, ImageNotFound, ImageTooLarge, UnsupportedFormat
from ...errors import Busy, TenshotError
from ...index import errors
from ..auth.keys import BadKey, MissingScope, Throttled
from ..fetching.fetch import BadUrl, FetchError, TooLarge

_LONGEST = 1000
"""Characters of details, which may quote the request."""


class StatusOut(TypedDict):
    """A status as it is answered."""

    code: int
    description: str
    details: NotRequired[str]
    req_id: NotRequired[str]


@dataclass(frozen=True)
class Status:
    http: int
    code: int
    description: str

    def body(self, details: str | None = None) -> StatusOut:
        """The wire's status object."""
        body: StatusOut = {"code": self.code, "description": self.description}
        if details is not None:
            body["details"] = details if len(details) <= _LONGEST else f"{details[:_LONGEST]} ..."
        return body


OK = Status(200, 10000, "Ok")
MIXED = Status(207, 10010, "Mixed Success")
FAILURE = Status(400, 10020, "Failure")
KEY_MALFORMED = Status(401, 11008, "Invalid API key")
KEY_NOT_FOUND = Status(401, 11009, "API key not found")
SCOPE = Status(403, 11007, "Insufficient scopes")
THROTTLED = Status(429, 11005, "API requests limit exceeded")
BAD_FORMAT = Status(400, 11100, "Bad request format")
BAD_ENCODING = Status(415, 11100, "Bad request format")
NOT_FOUND = Status(404, 11101, "Resource not found")
BAD_METHOD = Status(405, 11103, "Method not allowed")
MODEL_NOT_FOUND = Status(404, 21200, "Model does not exist")
MODEL_BAD = Status(400, 21202, "Model argument is invalid")
TRAINED = Status(200, 21100, "Model is trained and ready")
UNTRAINED = Status(200, 21102, "Model not yet trained")
INPUT_READY = Status(200, 30000, "Download complete")
INPUT_PENDING = Status(200, 30001, "Download pending")
INPUT_FAILED = Status(400, 30002, "Download failed")
INPUT_DUPLICATE = Status(400, 30100, "Duplicate input")
INPUT_FORMAT = Status(400, 30101, "Unsupported image format")
NO_DATA = Status(200, 21110, "Model training had no data")
NO_POSITIVES = Status(200, 21111, "Model training had no positive examples")
ONE_EXCLUSIVE = Status(200, 21112, "Model training needs two concepts where they are mutually exclusive")
EVALUATED = Status(200, 21300, "Model was successfully evaluated")
EVALUATION_QUEUED = Status(200, 21303, "Model is queued for evaluation")
NOT_EVALUATED = Status(200, 21302, "Model is not yet evaluated")
EVALUATION_FAILED = Status(200, 21310, "Model evaluation failed")
TOO_FEW_CONCEPTS = Status(200, 21315, "Model evaluation needs at least two concepts")
TOO_FEW_LABELS = Status(200, 21316, "Model evaluation needs more labelled inputs")
WORKFLOW_NOT_FOUND = Status(404, 22102, "Workflow does not exist")
WORKFLOW_BAD = Status(400, 22104, "Workflow argument is invalid")
INPUT_NOT_FOUND = Status(404, 30102, "Input does not exist")
INPUT_BAD = Status(400, 30104, "Input argument is invalid")
INPUT_TOO_LARGE = Status(400, 30105, "Input is too large")
INPUT_URL = Status(400, 30106, "Invalid image URL")
INPUT_UNDECODABLE = Status(400, 30300, "Image could not be decoded")
INPUT_MODIFIED = Status(200, 30200, "Input image modification success")
INPUT_VIDEO = Status(400, 31101, "Video is not supported")
INVALID_INPUT_REQUEST = Status(400, 39999, "Invalid request")
INVALID_REQUEST = Status(400, 40001, "Invalid request")
INVALID_SEARCH = Status(400, 40002, "Invalid search request")
INVALID_CONCEPT = Status(400, 40003, "Invalid concept request")
ID_TAKEN = Status(400, 40010, "Id already exists")
NOT_INDEXED = Status(400, 43004, "Input is not indexed yet")
TOO_LARGE = Status(413, 40033, "Request is too large")
SERVER_FAULT = Status(500, 98004, "Internal server error")
NOT_READY = Status(503, 98004, "Not ready")
BUSY = Status(503, 98004, "The server is busy")
STORAGE_FAILED = Status(507, 98004, "Insufficient storage")

# Looked up by walking an error's class order, so a line for a family serves its members.
_TABLE: dict[type[Exception], Status] = {
    BadKey: KEY_NOT_FOUND,
    MissingScope: SCOPE,
    Busy: THROTTLED,
    NoDecoder: BUSY,
    Throttled: THROTTLED,
    WorkflowError: INVALID_REQUEST,
    FetchError: INPUT_FAILED,
    BadUrl: INPUT_URL,
    TooLarge: INPUT_TOO_LARGE,
    ImageError: INPUT_UNDECODABLE,
    BadCrop: INPUT_BAD,
    ImageNotFound: INPUT_FAILED,
    UnsupportedFormat: INPUT_FORMAT,
    ImageTooLarge: INPUT_TOO_LARGE,
    errors.TenshotError: INVALID_REQUEST,
    errors.StorageFailed: STORAGE_FAILED,
    errors.StoreBusy: BUSY,
    errors.StoreClosed: NOT_READY,
    errors.NotFound: NOT_FOUND,
    errors.InputNotFound: INPUT_NOT_FOUND,
    errors.ModelNotFound: MODEL_NOT_FOUND,
    errors.VersionNotFound: MODEL_NOT_FOUND,
    errors.WorkflowNotFound: WORKFLOW_NOT_FOUND,
    errors.WorkflowExists: ID_TAKEN,
    errors.InputNotReady: NOT_INDEXED,
    errors.InputExists: INPUT_DUPLICATE,
    errors.DuplicateUrl: INPUT_DUPLICATE,
    errors.AppExists: ID_TAKEN,
    errors.ConceptExists: INVALID_CONCEPT,
    errors.ModelExists: MODEL_BAD,
    errors.NothingToLearn: MODEL_BAD,
    errors.BadVector: INPUT_BAD,
    errors.BadFilter: INVALID_SEARCH,
}


def status_of(error: Exception) -> Status | None:
    """What the wire says of an error; None for a fault of the server."""
    if isinstance(error, BadKey) and error.malformed:
        return KEY_MALFORMED
    return next((_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE), None)


class WireError(TenshotError):
    """A request that breaks the wire's own rules."""

    def __init__(self, status: Status, details: str) -> None:
        super().__init__(details)
        self.status = status
