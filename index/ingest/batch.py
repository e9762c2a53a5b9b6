"""Requests on their way in together: each ends as a stored input or as the error that says why not."""

from collections.abc import Iterator, Sequence

from ...embeddings.base.embedder import Pixels, WorkflowError
from ...errors import Busy
from ...runtime.parallel import side_by_side
from ...runtime.trace import stage
from ..errors import BadVector, DuplicateUrl, InputExists, NotSupported, TenshotError
from ..records import AddRequest, AddResult, FloatArray, Input, NewInput, PictureKey
from .picture_embedder import PictureEmbedder
from .validation import Prepared, check_vectors, prepare


class Batch:
    """Keeps the order of the requests; one that fails at any step is out of the later ones."""

    def __init__(
        self, requests: Sequence[AddRequest], dim: int, picture_embedder: PictureEmbedder, *, later: bool = False
    ) -> None:
        """later: pictures with a URL come another time. Several pictures are decoded on all cores."""
        self.requests = requests
        self.picture_embedder = picture_embedder
        self.later = later
        self._vectors: dict[int, FloatArray] = {}
        blind = self._why_blind()

        def prepared(request: AddRequest) -> Prepared | Exception:
            if blind and request.image is not None:
                return blind
            try:
                return prepare(request, dim, picture_embedder, later=later)
            except WorkflowError as error:
                return NotSupported(str(error))
            except Busy:
                raise
            except TenshotError as error:
                return error

        with stage("decode"):
            outcomes = dict(enumerate(side_by_side(prepared, requests)))
        self._prepared = {place: outcome for place, outcome in outcomes.items() if isinstance(outcome, Prepared)}
        self._errors = {place: outcome for place, outcome in outcomes.items() if isinstance(outcome, Exception)}

    @property
    def errors(self) -> Sequence[Exception]:
        """Why some are out."""
        return list(self._errors.values())

    def ids_and_urls(self) -> tuple[list[str], list[str]]:
        """Of what is still in."""
        prepared = self._prepared.values()
        return [outcome.id for outcome in prepared], [
            outcome.request.url for outcome in prepared if outcome.request.url
        ]

    def refuse_taken(self, ids: set[str], urls: set[str]) -> None:
        """What has a taken id or URL, or that of an earlier request, is out."""
        ids, urls = set(ids), set(urls)
        for place, outcome in list(self._prepared.items()):
            url = outcome.request.url
            if outcome.id in ids:
                self._fail(place, InputExists(f"an input {outcome.id!r} exists already"))
            elif url in urls and not outcome.request.allow_duplicate_url:
                self._fail(place, DuplicateUrl(f"an input with the URL {url} exists already"))
            else:
                ids.add(outcome.id)
                urls |= {url} if url else set()

    def embed(self) -> None:
        """Runs the pictures through the base workflow, all at once, each once, but for those embedded before."""
        keys: dict[int, PictureKey] = {}
        pixels: dict[PictureKey, Pixels] = {}
        for place, outcome in self._prepared.items():
            if outcome.vector is not None:
                self._vectors[place] = outcome.vector
            elif outcome.pixels is not None and outcome.sha256 is not None:
                keys[place] = key = outcome.sha256, outcome.request.crop
                pixels[key] = outcome.pixels
        if not pixels:
            return
        vectors = self.picture_embedder.known_vectors(pixels)
        new = {key: seen for key, seen in pixels.items() if key not in vectors}
        refusal = None
        if new:
            try:
                with stage("embed"):
                    vectors |= zip(new, self.picture_embedder.embedder.embed_pixels(list(new.values())), strict=True)
            except WorkflowError as error:
                refusal = NotSupported(str(error))
        for place, key in keys.items():
            if key in vectors:
                self._take(place, vectors[key])
            elif refusal:
                self._fail(place, refusal)

    def _take(self, place: int, vector: FloatArray) -> None:
        """What is stored can't be searched for unless it has a direction: an embedder may fail at a strange picture."""
        try:
            check_vectors(vector[None], len(vector), [self._prepared[place].id])
            self._vectors[place] = vector
        except BadVector as error:
            self._fail(place, BadVector(f"the base workflow made nothing of the picture: {error}"))

    def pictures(self) -> Iterator[bytes]:
        """The files to keep."""
        return (outcome.data for outcome in self._prepared.values() if outcome.data is not None)

    def new_inputs(self) -> list[NewInput]:
        """What to store, in order."""
        return [
            NewInput(
                id=outcome.id,
                vector=self._vectors.get(place),
                url=outcome.request.url,
                sha256=outcome.sha256,
                media_type=outcome.media_type,
                crop=outcome.request.crop,
                metadata=outcome.request.metadata,
                geo=outcome.request.geo,
                regions=outcome.request.regions,
                concepts=outcome.request.concepts,
                source=outcome.request.source,
            )
            for place, outcome in self._prepared.items()
        ]

    def results(self, stored: Sequence[Input]) -> list[AddResult]:
        """One for each request; stored are the inputs made of `new_inputs`."""
        inputs = dict(zip(self._prepared, stored, strict=True))
        return [
            AddResult(request, input=inputs.get(place), error=self._errors.get(place))
            for place, request in enumerate(self.requests)
        ]

    def _why_blind(self) -> NotSupported | None:
        """What each picture is told where the base workflow can't be opened."""
        try:
            if any(request.image is not None for request in self.requests):
                _ = self.picture_embedder.embedder
        except WorkflowError as error:
            return NotSupported(str(error))
        return None

    def _fail(self, place: int, error: Exception) -> None:
        del self._prepared[place]
        self._errors[place] = error
