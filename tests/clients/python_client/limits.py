"""What this client cannot do with any server of its own: each line of limits.toml, shown to be so."""

from importlib.metadata import version

from clarifai.errors import ApiError, UserError
from clarifai.rest import Image
from clarifai.rest.client import ApiClient
from world import case, exchanges


def raises(kind, call):
    try:
        call()
    except kind:
        return
    raise AssertionError(f"expected {kind}")


@case
def protobuf(world):
    assert (version("protobuf"), version("googleapis-common-protos")) == ("3.19.6", "1.56.4")


@case
def base64_text(world):
    raises(AttributeError, lambda: world.app().inputs.create_image_from_base64("aGk="))


@case
def upload_wait(world):
    app = world.app()
    before = len(exchanges)
    app.wait_until_inputs_upload_finish()
    assert len(exchanges) == before


@case
def model_by_id(world):
    model = world.gallery.models.get(model_id="kinds")
    before = len(exchanges)
    raises(AttributeError, model.get_concept_ids)
    raises(AttributeError, model.dict)
    raises(UserError, model.evaluate)
    assert len(exchanges) == before


@case
def ids_in_paths(world):
    asked = []
    for id in ("a?b", "a#b", "a%b/c"):
        raises(ApiError, lambda id=id: world.gallery.models.get(id))
        asked.append(next(one.split()[1] for one in reversed(exchanges) if one.startswith("GET")))
    assert asked[0].endswith("/v2/models/a?b")
    assert asked[1].endswith("/v2/models/a#b")
    assert asked[2].endswith("/v2/models/a%25b%252Fc")


@case
def filter_pages(world):
    page = world.gallery.models.get_by_page(private_only=True)
    raises(TypeError, lambda: len(page))
    assert "kinds" in [model.model_id for model in page]


@case
def workflow_pages(world):
    app = world.gallery
    first, second = ([one.wf_id for one in app.workflows.get_by_page(page=page, per_page=1)] for page in (1, 2))
    assert first == second


@case
def base_url(world):
    assert ApiClient(base_url="127.0.0.1:8000", api_key="k").basev2 == "https://127.0.0.1:8000"
    assert ApiClient(base_url="http://127.0.0.1:8000/prefix", api_key="k").basev2 == "http://127.0.0.1:8000"


@case
def nothing_to_change(world):
    before = len(exchanges)
    assert world.gallery.inputs.bulk_update([Image(image_id="plain")]) == []
    assert '"inputs"' not in exchanges[before].partition("->")[0]


@case
def moderation(world):
    solution = world.gallery.solutions.moderation
    assert solution.base_url == "https://api.clarifai-moderation.com/v2"


@case
def tokens(world):
    api = world.gallery.api
    for call in (api.get_token, lambda: api.set_token("x"), api.delete_token):
        raises(DeprecationWarning, call)
