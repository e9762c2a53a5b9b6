"""What can go wrong, as one tree: `except TenshotError` catches all that is raised on purpose.

Each error is defined where its fact is known. The service maps them to wire statuses in one table
(`api/wire/status.py`).

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
├── StoreClosed              used after close()
├── ImageError               a picture that can't be used (`embeddings/pictures/images.py`)
│   ├── ImageNotFound
│   ├── UnsupportedFormat
│   ├── UndecodableImage
│   │   └── TruncatedImage
│   ├── EmptyImage
│   ├── ImageTooLarge
│   └── BadCrop
├── WorkflowError            a base workflow is unknown, or can't be opened or used (`embeddings/base/embedder.py`)
├── Busy                     more is waiting than can be embedded soon: trying again helps
│   └── NoDecoder            no process could be started to open a picture (`embeddings/pictures/decoders.py`)
├── BatcherClosed            asked to embed after the model was closed (`embeddings/base/batcher.py`)
├── FetchError               a picture by URL can't be had (`api/fetching/fetch.py`)
│   ├── BadUrl
│   └── TooLarge
├── BadKey                   no such API key (`api/auth/keys.py`)
├── MissingScope             an API key that doesn't open this (`api/auth/keys.py`)
├── Throttled                a key's rate is used up: trying later helps (`api/auth/rate_limit.py`)
└── WireError                a request that breaks the wire's own rules (`api/wire/status.py`)
"""


class TenshotError(Exception):
    """Root of everything that tenshot raises on purpose. The message is one line, fit for a user."""


class Busy(TenshotError):
    """More is waiting than can be done soon; try again later."""
