import subprocess
import sys
from importlib.util import find_spec

import open_clip
import pytest
import timm
from PIL import Image

from tenshot.embeddings.base.embedder import Embedder, WorkflowError
from tenshot.embeddings.models import downloads
from tenshot.embeddings.workflows import CATALOGUE, DEFAULT, Workflow, availability, open_embedder, recipe_of, workflow

EMBEDDING = [entry for entry in CATALOGUE if entry.id != "vectors"]
PUBLISHED = [entry for entry in CATALOGUE if entry.weights.startswith("tag:")]


def test_ids_are_unique_and_the_default_is_among_them() -> None:
    assert len({entry.id for entry in CATALOGUE}) == len(CATALOGUE)
    assert workflow(DEFAULT).offline


def test_the_offline_alternatives_are_those_of_the_catalogue() -> None:
    assert [entry.id for entry in CATALOGUE if entry.offline] == list(downloads.OFFLINE)


@pytest.mark.parametrize("entry", EMBEDDING, ids=lambda entry: entry.id)
def test_a_recipe_is_made_without_opening_a_model(entry: Workflow) -> None:
    recipe = recipe_of(entry.id)
    assert (recipe.workflow, recipe.model, recipe.weights, recipe.dim) == (
        entry.id,
        entry.model,
        entry.weights,
        entry.dim,
    )


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.id)
def test_what_it_says_of_an_open_clip_model_is_what_open_clip_says(entry: Workflow) -> None:
    architecture, tag = entry.model.removeprefix("open_clip:"), entry.weights.removeprefix("tag:")
    assert open_clip.get_pretrained_cfg(architecture, tag)["hf_hub"].rstrip("/") == entry.source
    config = open_clip.get_model_config(architecture)
    assert config["embed_dim"] == entry.dim
    assert ("hf_tokenizer_name" in config["text_cfg"]) == (entry.needs == "transformers")


def test_what_it_says_of_a_timm_model_is_what_timm_says() -> None:
    for entry in CATALOGUE:
        if entry.model.startswith("timm:"):
            config = timm.get_pretrained_cfg(entry.model.removeprefix("timm:"))
            assert config.license == entry.licence.lower()


def test_what_it_says_of_text_and_sign_is_what_the_embedder_does(general: Embedder, general_fast: Embedder) -> None:
    for embedder in (general, general_fast):
        entry = workflow(embedder.recipe.workflow)
        assert embedder.has_text == (entry.has_text and all(map(find_spec, entry.text_needs)))
        assert embedder.recipe == recipe_of(embedder.recipe.workflow)


def test_offline_workflows_are_available_and_others_say_what_they_download() -> None:
    assert all(availability(entry).ready for entry in CATALOGUE if entry.offline)
    clip = availability(workflow("clip"))
    assert clip.ready or "downloads about 605 MB" in clip.note


def test_every_purpose_of_the_design_has_an_entry() -> None:
    purposes = {"fashion", "product", "biology", "medical", "satellite", "place", "clip", "clip-large", "multilingual"}
    assert purposes <= {entry.id for entry in CATALOGUE}
    assert all(entry.good_for and entry.licence for entry in CATALOGUE)
    assert all(entry.download_mb > 100 for entry in CATALOGUE if entry.source)


@pytest.mark.parametrize(
    ("theirs", "ours"), [("General", "general"), ("Food", "general"), ("Apparel", "fashion"), ("Travel", "place")]
)
def test_clarifais_names_mean_what_is_nearest(theirs: str, ours: str) -> None:
    assert recipe_of(theirs) == recipe_of(ours)


@pytest.mark.parametrize("theirs", ["Face", "Moderation"])
def test_where_nothing_is_near_it_says_so(theirs: str) -> None:
    with pytest.raises(WorkflowError, match=f"'{theirs}' has no counterpart here"):
        recipe_of(theirs)


def test_an_unknown_id_lists_what_exists_and_a_close_match() -> None:
    with pytest.raises(WorkflowError, match=r"'Genral'; did you mean 'general'\? There are general, .*open_clip:ARCH"):
        recipe_of("Genral")


def test_a_dim_that_is_not_the_models_is_refused() -> None:
    assert recipe_of("general", dim=1280).dim == 1280
    with pytest.raises(WorkflowError, match="1280 dimensions, not 512"):
        recipe_of("general", dim=512)


@pytest.mark.parametrize("dim", [None, -1, 0, 1, 65537])
def test_vectors_needs_a_sensible_dim(dim: int | None) -> None:
    with pytest.raises(WorkflowError, match="a dim from 2 to 65536"):
        recipe_of("vectors", dim=dim)


def test_vectors_refuses_pictures_and_words_and_says_what_to_do() -> None:
    embedder = open_embedder(recipe_of("vectors", dim=64))
    assert not embedder.has_text
    with pytest.raises(WorkflowError, match="add_vectors"):
        embedder.embed_images([Image.new("RGB", (8, 8))])
    with pytest.raises(WorkflowError, match="add_vectors"):
        embedder.embed_texts(["owl"])
    embedder.close()


def test_the_catalogue_loads_no_model_library() -> None:
    code = (
        "import sys; from tenshot.embeddings import workflows; "
        "from tenshot.embeddings.base import batcher; from tenshot.embeddings.pictures import images; "
        "workflows.recipe_of('general'); "
        "assert not {'torch', 'timm', 'open_clip'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
