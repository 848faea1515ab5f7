"""What a model runs on, and in which numbers."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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

    Linux grants memory that is not there, and kills whoever uses it; so this process is granted no more than there is.

    Args:
        setting: what to make smaller, as it was given: `--batch-size 4096`.
        device: on which most of the memory is needed.

    Raises:
        RunError: memory ran out.
    """
    try:
        with _granted_what_is_there(device):
            yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise RunError(f"{setting}: too large for the memory of {device}; give a smaller one") from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):  # which raises nothing narrower
            raise
        raise RunError(f"{setting}: too large for the memory of this machine; give a smaller one") from error


@contextmanager
def _granted_what_is_there(device: torch.device) -> Iterator[None]:
    """Limit the memory that this process may ask for to what it holds and what is left; on Linux, without a GPU."""
    left = memory_left() if device.type == "cpu" else None
    if left is None:
        yield
        return
    import resource  # noqa: PLC0415 - not everywhere

    held = _kilobytes("/proc/self/status", "VmData") * 1024
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = [limit for limit in (before, hard, held + left) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(most), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))


def memory_left() -> int | None:
    """Return the bytes that this process may still fill, as the machine and its control group have it; None if unknown.

    Source: Linux, proc(5), MemAvailable; "Control Group v2", memory.max and memory.current.
    """
    if sys.platform != "linux":
        return None
    left = (_kilobytes("/proc/meminfo", "MemAvailable") + _kilobytes("/proc/meminfo", "SwapFree")) * 1024
    with suppress(OSError, ValueError, IndexError):
        name = Path("/proc/self/cgroup").read_text("utf-8").split("::", 1)[1].split("\n", 1)[0]
        group = Path("/sys/fs/cgroup") / name.lstrip("/")
        left = min(left, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(0, left)


def _kilobytes(file: str, name: str) -> int:
    """Return the number of kB that a line of a file in /proc tells, 0 where there is none."""
    for line in Path(file).read_text("utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0
