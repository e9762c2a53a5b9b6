import time

import pytest

from tenshot.embeddings.base.embedder import WorkflowError
from tenshot.embeddings.workflows import open_embedder, recipe_of

# Models that hardly anyone has in a cache.
DOWNLOADS = [
    ("timm:test_vit", "timm/test_vit.r160_in1k"),
    ("open_clip:ViT-B-32:commonpool_s_text_s13m_b4k", "laion/CLIP-ViT-B-32-CommonPool.S.text-s13M-b4K"),
    ("open_clip:hf-hub:nobody/nothing", "nobody/nothing"),
    ("open_clip:hf-hub:no name", "no name"),
    ("satellite", "chendelong/RemoteCLIP/RemoteCLIP-ViT-L-14.pt"),
    ("fashion", "Marqo/marqo-fashionSigLIP"),
]


@pytest.mark.parametrize(("workflow", "repo"), DOWNLOADS)
def test_it_names_workflow_file_and_what_works_offline(
    workflow: str, repo: str, capfd: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    with pytest.raises(WorkflowError) as caught:
        open_embedder(recipe_of(workflow))
    message = str(caught.value)
    assert "\n" not in message
    for part in (workflow, repo, "general, general-fast, vectors"):
        assert part in message
    assert capfd.readouterr() == ("", "")
    assert time.monotonic() - started < 5
