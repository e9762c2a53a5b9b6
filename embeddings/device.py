"""Where models run: the first GPU that torch sees, else the CPU."""

import torch


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """`cpu`, or `cuda: ` and the GPU's name, for people."""
    return f"cuda: {torch.cuda.get_device_name()}" if device().type == "cuda" else "cpu"
