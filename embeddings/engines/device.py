"""Where models run: the first GPU that torch sees, else the CPU."""

import torch


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_memory() -> dict[str, tuple[int, int]]:
    """GPU -> bytes that its models take, and bytes that it has."""
    return {
        f"cuda:{number}": (torch.cuda.memory_allocated(number), torch.cuda.get_device_properties(number).total_memory)
        for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    }


def device_name() -> str:
    """`cpu`, or `cuda: ` and the GPU's name, for people."""
    return f"cuda: {torch.cuda.get_device_name()}" if device().type == "cuda" else "cpu"
