import pytest
import timm

from tenshot.embeddings.base.embedder import WorkflowError
from tenshot.embeddings.workflows import recipe_of


@pytest.mark.parametrize(("name", "dim"), [("resnet18", 512), ("mobilenetv3_large_100", 1280), ("hgnetv2_b0", 2048)])
def test_a_recipe_pins_the_weights_a_bare_name_means_today(name: str, dim: int) -> None:
    recipe = recipe_of(f"timm:{name}")
    assert recipe.model.removeprefix("timm:") in timm.list_pretrained(f"{name}.*")
    assert recipe.weights == f"hub:timm/{recipe.model.removeprefix('timm:')}"
    assert recipe.dim == dim
    assert recipe.nonnegative is None


@pytest.mark.parametrize("name", ["resnet1", "resnet18.nope", "", "../etc/passwd", "hf-hub:timm/resnet18"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(WorkflowError, match="timm has no weights"):
        recipe_of(f"timm:{name}")


def test_a_misspelt_name_gets_close_ones() -> None:
    with pytest.raises(WorkflowError, match=r"close: .*resnet18\.a1_in1k"):
        recipe_of("timm:resnet18.a_in1k")
