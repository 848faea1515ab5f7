"""How much of what a GPU can compute a training makes it compute: model FLOPs utilisation (MFU)."""

import torch

PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
"""Floating-point operations a second in dense bfloat16, by what stands in the name of a GPU.

Source: NVIDIA's data sheets of these GPUs, those of SXM where there are several; half of what they say "with sparsity".
"""


def utilisation(flops_per_s: float, gpu: str) -> float | None:
    """Return the share of a GPU's bfloat16 peak that a training uses, or None of a GPU that is not known.

    Operations that the model asks for count, once each; what is computed again to save memory does not.

    Source: Chowdhery et al. 2022, "PaLM" (arXiv:2204.02311), section 4.1 and appendix B.

    Args:
        flops_per_s: operations a second that the model asks for, of one GPU.
        gpu: its name.

    >>> round(utilisation(490_000 * 857e6, "NVIDIA H200"), 2)
    0.42
    """
    known = [peak for name, peak in PEAK_FLOPS.items() if name in gpu.replace("-", " ").split()]
    return flops_per_s / known[0] if known else None


def device_utilisation(flops_per_s: float, device: torch.device, precision: torch.dtype) -> dict[str, float]:
    """Return `mfu`, in [0, 1], where training is in bfloat16 on a GPU whose peak is known; nothing else."""
    if device.type != "cuda" or precision != torch.bfloat16:
        return {}
    share = utilisation(flops_per_s, torch.cuda.get_device_name(device))
    return {} if share is None else {"mfu": round(share, 4)}
