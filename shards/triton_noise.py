"""The static as a Triton kernel: Philox 4x64-10 by 64-bit multiply-high, for CUDA."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCKS_A_PROGRAM = 128
"""Philox blocks, of 16 values each, that one program makes."""


def statics(key0: Tensor, key1: Tensor, draw: Tensor, count: int, table: Tensor) -> Tensor:
    """Return `count` normal values for each of B rows, float16 (B, count); see `shards.tensors.philox_statics`."""
    values = torch.empty(len(key1), count, dtype=torch.float16, device=table.device)
    grid = (len(key1), triton.cdiv(count, 16 * BLOCKS_A_PROGRAM))
    _statics[grid](values, table, key0, key1, draw, count, BLOCKS=BLOCKS_A_PROGRAM)
    return values


@triton.jit  # type: ignore[untyped-decorator]
def _statics(values, table, key0, key1, draw, count, BLOCKS: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """One row's blocks: counter (block + 1, 0, draw, 0), key (seed, id)."""
    row = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1) * BLOCKS + tl.arange(0, BLOCKS)
    k0 = tl.load(key0).to(tl.uint64, bitcast=True)
    k1 = tl.load(key1 + row).to(tl.uint64, bitcast=True)
    zero = tl.zeros([BLOCKS], dtype=tl.uint64)
    c0 = (block + 1).to(tl.uint64)
    c1 = zero
    c2 = zero + tl.load(draw + row).to(tl.uint64, bitcast=True)
    c3 = zero
    m0 = tl.full([BLOCKS], 0xD2E7470EE14C6C93, tl.uint64)
    m1 = tl.full([BLOCKS], 0xCA5A826395121157, tl.uint64)
    for _ in tl.static_range(10):
        high0 = tl.umulhi(c0, m0)
        low0 = c0 * m0
        high1 = tl.umulhi(c2, m1)
        low1 = c2 * m1
        c0 = high1 ^ c1 ^ k0
        c1 = low1
        c2 = high0 ^ c3 ^ k1
        c3 = low0
        k0 = k0 + tl.full([], 0x9E3779B97F4A7C15, tl.uint64)
        k1 = k1 + tl.full([], 0xBB67AE8584CAA73B, tl.uint64)
    for number in tl.static_range(4):
        output = c0 if number == 0 else (c1 if number == 1 else (c2 if number == 2 else c3))
        for word in tl.static_range(4):
            index = block * 16 + 4 * number + word
            place = ((output >> (16 * word)) & 0xFFFF).to(tl.int64)
            is_wanted = index < count
            tl.store(values + row * count + index, tl.load(table + place, mask=is_wanted), mask=is_wanted)
