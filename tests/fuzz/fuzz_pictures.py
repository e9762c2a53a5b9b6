"""Throws mutated pictures at the image door, guided by coverage: `make soak`, or this file with libFuzzer's options.

Findings are kept in the corpus, which `test_corpora.py` replays.
"""

import sys
import warnings
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))

with atheris.instrument_imports(include=["PIL", "tenshot.embeddings", "image_door"]):
    from image_door import look


def main() -> None:
    warnings.simplefilter("ignore")
    # What is new goes into the first folder.
    found = HERE.parents[1] / ".cache" / "fuzz" / "pictures"
    found.mkdir(parents=True, exist_ok=True)
    limits = ["-timeout=20", "-rss_limit_mb=4096", f"-artifact_prefix={found}-", *sys.argv[1:]]
    atheris.Setup([sys.argv[0], *limits, str(found), str(HERE / "corpus" / "pictures")], look)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
