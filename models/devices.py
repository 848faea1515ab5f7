"""What a model runs on, and in which numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from models.runs import RunError


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is the GPU where there is one, the CPU else.

    Raises:
        RunError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise RunError(f"--device {name}: {str(error).splitlines()[0]}; give cpu, cuda or auto") from error


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the number type called `name`; "auto" is bfloat16 where the device multiplies it natively, else float32.

    Raises:
        RunError: the name is neither `auto`, `float32` nor `bfloat16`.
    """
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if name == "auto":
        has_bfloat16 = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if device.type == "cuda"
            else any(torch.cpu.get_capabilities().get(unit) for unit in ("avx512_bf16", "amx_bf16"))
        )
        return torch.bfloat16 if has_bfloat16 else torch.float32
    if name not in known:
        raise RunError(f"--precision {name}: give one of auto, {', '.join(known)}")
    return known[name]


@contextmanager
def enough_memory(setting: str, device: torch.device) -> Iterator[None]:
    """Say in one line that a setting asks for more memory than there is, where work inside runs out of it.

    Args:
        setting: what to make smaller, as it was given: `--batch-size 4096`.
        device: on which most of the memory is needed.

    Raises:
        RunError: memory ran out.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise RunError(f"{setting}: too large for the memory of {device}; give a smaller one") from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):  # which raises nothing narrower
            raise
        raise RunError(f"{setting}: too large for the memory of this machine; give a smaller one") from error
