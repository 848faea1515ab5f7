"""The static made on a device, beside the CPU's, with the bytes compared: `python -m tests.bench.device`."""

import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from shards.noise import statics
from shards.tensors import device_statics, philox_statics, quantiles

BATCH, SHAPE, ROUNDS = 256, (64, 64, 3), 20


def main() -> int:
    """Prints pictures a second for each way that this machine has; returns 1 where one gives other bytes."""
    identities = [int(word) for word in np.random.default_rng(0).integers(0, 2**64, BATCH, np.uint64)]
    draws = list(range(BATCH))
    known = statics(1, identities, draws, SHAPE).tobytes()
    print(f"statics of {SHAPE}, batches of {BATCH}, median of {ROUNDS}")
    is_same = _tell("numpy, one core", lambda: torch.from_numpy(statics(1, identities, draws, SHAPE)), known)
    if not torch.cuda.is_available():
        print("no CUDA device here")
        return 0 if is_same else 1
    table = quantiles("cuda")
    seed, rows, number = (
        torch.from_numpy(np.array(values, np.uint64).view(np.int64)).cuda() for values in ([1], identities, draws)
    )
    name = torch.cuda.get_device_name()
    is_same &= _tell(f"{name}, kernel", lambda: device_statics(1, identities, draws, SHAPE, table), known)
    compiled = torch.compile(philox_statics)
    is_same &= _tell(f"{name}, compiled", lambda: compiled(seed, rows, number, 64 * 64 * 3, table), known)
    is_same &= _tell(f"{name}, eager", lambda: philox_statics(seed, rows, number, 64 * 64 * 3, table), known)
    return 0 if is_same else 1


def _tell(label: str, make: Callable[[], torch.Tensor], known: bytes) -> bool:
    seconds = []
    for _ in range(ROUNDS + 3):
        started = time.perf_counter()
        made = make()
        if made.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    is_same = made.cpu().numpy().tobytes() == known
    told = "the same bytes" if is_same else "OTHER BYTES"
    print(f"{label:<30} {BATCH / median(seconds[3:]):>12,.0f} pictures a second, {told}")
    return is_same


if __name__ == "__main__":
    sys.exit(main())
