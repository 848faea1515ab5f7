"""Samples written anew from their own records: what tells a right one from one that is merely undamaged."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards import triplet, window
from shards.committed import Committed
from shards.npy import npy_header
from shards.tokenizer import TOKENIZER_NAME, from_json
from shards.tokens import Tokenizer
from shards.triplet import PROVENANCE, TripletSpec, encode_triplet, encode_virtual
from shards.window import Piece, WindowSpec, encode_window

SampleWriter = Callable[[str, Mapping[str, bytes]], tuple[str, dict[str, bytes]]]
"""Takes a split and a sample's members; returns the key and the members that they should have."""


def sample_writer(committed: Committed) -> SampleWriter | None:
    """Return what writes a dataset's samples anew, None of what is no dataset.

    The writer raises ValueError, KeyError or TypeError where a sample cannot be written.

    Raises:
        ValueError: The dataset's specification or tokenizer is none.
        OSError: The tokenizer cannot be read.
    """
    spec = committed.manifest.configuration.get("spec")
    if spec is None:
        return None
    if spec.get("kind") not in (triplet.KIND, window.KIND):
        raise ValueError(f"configuration.spec.kind is {spec.get('kind')!r}: use {triplet.KIND} or {window.KIND}")
    if spec["kind"] == triplet.KIND:
        triplets = TripletSpec.from_json(spec)
        return lambda split, members: _triplet(triplets, split, members)
    tokenizer = from_json(committed.store.read(TOKENIZER_NAME).decode())
    windows = WindowSpec.from_json(spec, tokenizer)
    return lambda split, members: _window(windows, tokenizer, split, members)


def _triplet(spec: TripletSpec, split: str, members: Mapping[str, bytes]) -> tuple[str, dict[str, bytes]]:
    record, caption = json.loads(members[triplet.RECORD]), members[triplet.CAPTION].decode()
    clean = _array(members[triplet.CLEAN], "|u1", spec.shape)
    provenance = {name: record[name] for name in PROVENANCE}
    if provenance["split"] != split:
        raise ValueError(f"its record says that it belongs to {provenance['split']}")
    key = triplet.picture_key(clean)
    if spec.mode == "virtual":
        return encode_virtual(spec, key, clean, caption=caption, provenance=provenance)
    return encode_triplet(spec, key, clean, record["step"], record["draw"], caption=caption, provenance=provenance)


def _window(
    spec: WindowSpec, tokenizer: Tokenizer, split: str, members: Mapping[str, bytes]
) -> tuple[str, dict[str, bytes]]:
    record = json.loads(members[window.RECORD])
    tokens = _array(members[window.TOKENS], spec.dtype, (spec.context + 1,))
    if int(tokens.max()) >= tokenizer.vocab_size:
        raise ValueError(f"token {int(tokens.max())} is none of the {tokenizer.vocab_size} of the tokenizer")
    pieces = [Piece(**piece) for piece in record["documents"]]
    return encode_window(spec, split, record["position"], pieces, tokens[: record["length"]])


def _array(data: bytes, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the array in a `.npy` file.

    Raises:
        ValueError: It has another type or shape.
    """
    expected = npy_header(dtype, shape)
    if not data.startswith(expected):
        raise ValueError(f"an array is not {dtype} {shape}")
    return np.frombuffer(data, dtype, offset=len(expected)).reshape(shape)
