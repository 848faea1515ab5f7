"""Small committed datasets for tests and benchmarks, written with the writers that a build uses."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from shards.manifest import Counts, FileEntry, Manifest, atomic_write, write_current, write_manifest
from shards.tokenizer import TOKENIZER_NAME, ByteTokenizer, WordTokenizer, build_vocabulary, split_words
from shards.triplet import PROVENANCE, TripletSpec, encode_triplet, encode_virtual, extensions, picture_key, rungs
from shards.window import EXTENSIONS, Piece, WindowSpec, encode_window, num_windows, place_pieces
from shards.writer import order_hash, shard_name, write_shard

FINGERPRINT = "0123456789ab"
WHOLE_SPLIT = 10**9
"""Samples a shard, where one shard holds a whole split."""

Sample = tuple[str, Mapping[str, bytes]]


def draw_tree(seed: int, size: int) -> NDArray[np.uint8]:
    """A crown over a trunk before a sky, uint8 (size, size, 3)."""
    rng = np.random.default_rng(seed)
    side = 4 * size
    sky, ground, crown = rng.integers((90, 140, 200), 255), rng.integers(40, 130, 3), rng.integers(20, 230, 3)
    image = Image.new("RGB", (side, side), tuple(sky.tolist()))
    draw = ImageDraw.Draw(image)
    horizon = int(side * rng.uniform(0.65, 0.8))
    draw.rectangle((0, horizon, side, side), fill=tuple(ground.tolist()))
    draw.rectangle((side * 0.46, side * 0.4, side * 0.54, horizon + side * 0.05), fill=(80, 55, 40))
    radius = side * rng.uniform(0.18, 0.32)
    middle, top = side / 2, side * 0.38
    draw.ellipse((middle - radius, top - radius, middle + radius, top + radius), fill=tuple(crown.tolist()))
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))


def write_triplets(
    stage: Path,
    spec: TripletSpec,
    splits: Mapping[str, Iterable[NDArray[np.uint8]]],
    samples_per_shard: int = WHOLE_SPLIT,
) -> Path:
    """Commit triplets of the pictures of each split; return the stage's folder."""
    provenance = {name: kind() for name, kind in PROVENANCE.items()}
    chosen = {split: _triplets(spec, pictures, provenance) for split, pictures in splits.items()}
    return _commit(stage, spec.to_json(), chosen, extensions(spec), [], samples_per_shard)


def write_windows(
    stage: Path,
    context: int,
    splits: Mapping[str, Sequence[str]],
    tokenizer: ByteTokenizer | WordTokenizer | None = None,
    samples_per_shard: int = WHOLE_SPLIT,
) -> Path:
    """Commit windows over the texts of each split, the dictionary from train; return the stage's folder."""
    words = Counter(word for text in splits["train"] for word in split_words(text))
    chosen_tokenizer = tokenizer or WordTokenizer(build_vocabulary(words, 10_000))
    spec = WindowSpec.of(chosen_tokenizer, context, context)
    samples = {split: _windows(spec, split, chosen_tokenizer, texts) for split, texts in splits.items()}
    data = chosen_tokenizer.to_json().encode()
    (stage / FINGERPRINT).mkdir(parents=True)
    atomic_write(stage / FINGERPRINT / TOKENIZER_NAME, data)
    entry = FileEntry(TOKENIZER_NAME, len(data), chosen_tokenizer.sha256(), chosen_tokenizer.vocab_size)
    return _commit(stage, spec.to_json(), samples, EXTENSIONS, [entry], samples_per_shard)


def _triplets(spec: TripletSpec, pictures: Iterable[NDArray[np.uint8]], provenance: Mapping[str, Any]) -> list[Sample]:
    samples: list[Sample] = []
    for clean in pictures:
        key = picture_key(clean)
        if spec.mode == "virtual":
            samples.append(encode_virtual(spec, key, clean, caption="a tree", provenance=provenance))
            continue
        for step, draw in rungs(spec):
            samples.append(encode_triplet(spec, key, clean, step, draw, caption="a tree", provenance=provenance))
    return samples


def _windows(
    spec: WindowSpec, split: str, tokenizer: WordTokenizer | ByteTokenizer, texts: Sequence[str]
) -> list[Sample]:
    end = np.array([tokenizer.eos_id])
    documents = [np.concatenate([tokenizer.encode(text), end]).astype(spec.dtype) for text in texts]
    stream = np.concatenate(documents)
    pieces: dict[int, list[Piece]] = {
        number: [] for number in range(num_windows(len(stream), spec.context, spec.stride))
    }
    start = 0
    for number, document in enumerate(documents):
        for placed in place_pieces(start, len(document), spec.context, spec.stride, len(stream)):
            piece = Piece(f"{number:032x}", "https://a.example/", placed.start, placed.length, placed.offset)
            pieces[placed.window].append(piece)
        start += len(document)
    places = [(number * spec.stride, parts) for number, parts in pieces.items()]
    return [encode_window(spec, split, at, parts, stream[at : at + spec.context + 1]) for at, parts in places]


def _commit(
    stage: Path,
    spec: dict[str, Any],
    splits: Mapping[str, list[Sample]],
    members: tuple[str, ...],
    files: list[FileEntry],
    samples_per_shard: int,
) -> Path:
    folder = stage / FINGERPRINT
    folder.mkdir(parents=True, exist_ok=True)
    for split, samples in splits.items():
        samples.sort(key=lambda sample: order_hash(sample[0]))
        for number, start in enumerate(range(0, len(samples), samples_per_shard)):
            part = samples[start : start + samples_per_shard]
            files += write_shard(folder / shard_name(split, number), part, members)
    manifest = Manifest(
        stage=spec["kind"],
        fingerprint=FINGERPRINT,
        configuration={"spec": spec},
        inputs=(),
        counts=Counts(),
        splits={split: len(samples) for split, samples in splits.items()},
        files=tuple(files),
    )
    write_manifest(folder, manifest)
    write_current(stage, FINGERPRINT)
    return stage
