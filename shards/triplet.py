"""A triplet: a clean picture, a static, and the one mixed into the other.

Two ways of keeping it hold the same samples: a *materialised* dataset stores all
three arrays for each step and draw, a *virtual* one the picture alone.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shards.corruption import CORRUPTIONS, corrupted_pixels, mix, replace_pixels
from shards.json_values import elements, number, text, whole
from shards.noise import (
    PIXEL_STREAM,
    STATIC_STREAM,
    quantile_table,
    random_rows,
    sample_id,
    wide_quantile_table,
)
from shards.npy import npy_bytes, npy_length
from shards.schedule import ladder
from shards.tar import sample_bytes

KIND = "triplets"
MODES = ("materialised", "virtual")
CLEAN, NOISE, NOISY, CAPTION, RECORD = "clean.npy", "noise.npy", "noisy.npy", "txt", "json"

PICTURE_KEY_LETTERS = 32
"""Hex digits of a picture's key; behind them a stored triplet's key has its step and draw."""

PROVENANCE: Mapping[str, type] = {
    "url": str,
    "page_url": str,
    "sha256": str,
    "caption_source": str,
    "licence": str,
    "licence_url": str,
    "author": str,
    "warc_file": str,
    "warc_offset": int,
    "fetched_at": str,
    "robots_rule": str,
    "opt_out": str,
    "width": int,
    "height": int,
    "tree_score": float,
    "cluster": str,
    "split": str,
}
"""What every triplet says of where its picture came from: fields, types and order of the JSON."""


@dataclass(frozen=True)
class TripletSpec:
    """What the triplets of a dataset are.

    Attributes:
        size: S, the side of a picture in pixels.
        channels: C, 3 for colour or 1 for grey.
        steps: K, the steps of the ladder.
        draws: How many statics each picture is mixed with.
        schedule: The ladder's name, one of `shards.schedule.SCHEDULES`.
        sigma: σ of the schedule `add`; see `shards.schedule.ladder`.
        variances: Of the schedule `list`, K of them.
        corruption: One of `shards.corruption.CORRUPTIONS`.
        seed: Of the static, 0 to 2**63 - 1.
        mode: One of `MODES`.

    Raises:
        ValueError: A value is impossible; the message names it.
    """

    size: int
    channels: int = 3
    steps: int = 5
    draws: int = 1
    schedule: str = "interpolate"
    sigma: float = 1.0
    variances: tuple[float, ...] = ()
    corruption: str = "gaussian"
    seed: int = 0
    mode: str = "materialised"

    def __post_init__(self) -> None:
        for name in ("size", "steps", "draws"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        allowed: Mapping[str, tuple[object, ...]]
        allowed = {"channels": (1, 3), "corruption": CORRUPTIONS, "mode": MODES}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}: use one of {', '.join(map(str, values))}")
        # `datasets` cannot read integers of 2**63 and more.
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}: it must lie between 0 and 2**63 - 1")
        ladder(self.schedule, self.steps, self.sigma, self.variances)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a picture, `(S, S, C)`."""
        return (self.size, self.size, self.channels)

    @property
    def samples_per_picture(self) -> int:
        """Steps times draws."""
        return self.steps * self.draws

    @property
    def factors(self) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
        """The factors `(a, b)` in `noisy = a x + b noise`, float16 `(K,)` each; index k - 1 belongs to step k.

        The ladder's; where the corruption is not `gaussian`, the noise is what was added, and both are 1.
        """
        if self.corruption == "gaussian":
            return ladder(self.schedule, self.steps, self.sigma, self.variances)
        ones = np.ones(self.steps, np.float16)
        return ones, ones

    def to_json(self) -> dict[str, Any]:
        """Return the value that a manifest's configuration holds as `spec`."""
        return {"kind": KIND, **asdict(self), "variances": list(self.variances)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TripletSpec":
        """Return the spec that `to_json` wrote.

        Raises:
            ValueError: It is another one's.
        """
        if value.get("kind") != KIND or value.keys() != {"kind", *asdict(cls(size=1))}:
            raise ValueError(f"not a specification of triplets: {value}")
        name = "configuration.spec"
        variances = elements(value["variances"], f"{name}.variances")
        return cls(
            **{key: whole(value[key], f"{name}.{key}", 1, most) for key, most in _MOST.items()},
            schedule=text(value["schedule"], f"{name}.schedule"),
            sigma=number(value["sigma"], f"{name}.sigma"),
            variances=tuple(number(variance, f"{name}.variances") for variance in variances),
            corruption=text(value["corruption"], f"{name}.corruption"),
            seed=whole(value["seed"], f"{name}.seed", 0, 2**63 - 1),
            mode=text(value["mode"], f"{name}.mode"),
        )


_MOST = {"size": 2**15, "channels": 3, "steps": 2**16, "draws": 2**20}
"""The most that a spec that was read may have: what lies above would only fill the memory."""


def extensions(spec: TripletSpec) -> tuple[str, ...]:
    """Return the extensions of a sample's members, in their order."""
    if spec.mode == "virtual":
        return (CLEAN, CAPTION, RECORD)
    return (CLEAN, NOISE, NOISY, CAPTION, RECORD)


def picture_key(clean: NDArray[np.uint8]) -> str:
    """Return a picture's key: 32 hex digits of the SHA-256 of its pixels' bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(clean).data).hexdigest()[:PICTURE_KEY_LETTERS]


def triplet_key(key: str, step: int, draw: int) -> str:
    """Return the key of one stored triplet of a picture.

    >>> triplet_key("0123456789abcdef0123456789abcdef", 2, 0)
    '0123456789abcdef0123456789abcdef-k2-d0'
    """
    return f"{key}-k{step}-d{draw}"


def parse_triplet_key(key: str) -> tuple[str, int, int]:
    """Return the picture's key, the step and the draw in a sample's key; step and draw are 0 in a picture's own.

    >>> parse_triplet_key("0123456789abcdef0123456789abcdef-k2-d0")
    ('0123456789abcdef0123456789abcdef', 2, 0)
    """
    picture, *rung = key.split("-")
    step, draw = (int(part[1:]) for part in rung or ("k0", "d0"))
    return picture, step, draw


def rungs(spec: TripletSpec) -> Iterator[tuple[int, int]]:
    """Return the (step, draw) of each triplet of a picture: draws outermost, steps 1 … K."""
    return ((step, draw) for draw in range(spec.draws) for step in range(1, spec.steps + 1))


def corrupt(
    spec: TripletSpec,
    clean: NDArray[np.uint8],
    identities: Sequence[int],
    draws: Sequence[int],
    step: NDArray[np.int64],
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return noise and noisy of B triplets, float16 `(B, S, S, C)` each: the one definition of what is in them.

    Args:
        spec: What the dataset's triplets are.
        clean: The pictures, uint8 `(B, S, S, C)`.
        identities: The pictures' ids, see `shards.noise.sample_id`.
        draws: Which static of each picture, 0 or more.
        step: k of each, 1 to K, `(B,)`.
    """
    words = random_rows(spec.seed, identities, draws, STATIC_STREAM, clean[0].size).reshape(clean.shape)
    places = words.astype(np.intp)  # which both tables want
    noise: NDArray[np.float16] = quantile_table().take(places)
    if spec.corruption == "gaussian":
        a, b = (factor[step - 1, None, None, None] for factor in spec.factors)
        return noise, mix(clean, wide_quantile_table().take(places), a, b)
    words = random_rows(spec.seed, identities, draws, PIXEL_STREAM, spec.size * spec.size)
    return replace_pixels(spec.corruption, clean, noise, corrupted_pixels(words, step, spec.steps))


def triplet_record(spec: TripletSpec, key: str, step: int, draw: int, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of one materialised triplet, in the order of its schema.

    Raises:
        ValueError: The provenance lacks a field, has another one, or one of another type.
    """
    return _picture_facts(spec, key) | rung_facts(spec, step, draw) | checked_provenance(provenance)


def virtual_record(spec: TripletSpec, key: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of one virtual sample: a triplet's, but for what depends on step and draw.

    Raises:
        ValueError: As `triplet_record`.
    """
    return _picture_facts(spec, key) | checked_provenance(provenance)


def checked_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance in the order of the schema.

    Raises:
        ValueError: A field is missing, unknown or of another type (an integer is no float here).
    """
    if provenance.keys() != PROVENANCE.keys():
        missing = ", ".join(sorted(PROVENANCE.keys() - provenance.keys())) or "none"
        unknown = ", ".join(sorted(provenance.keys() - PROVENANCE.keys())) or "none"
        raise ValueError(f"provenance: missing fields: {missing}; unknown fields: {unknown}")
    for name, kind in PROVENANCE.items():
        if type(provenance[name]) is not kind:
            raise ValueError(f"provenance: {name} is {provenance[name]!r}, it must be of type {kind.__name__}")
    return {name: provenance[name] for name in PROVENANCE}


def record_bytes(record: Mapping[str, Any]) -> bytes:
    """Return a sample's JSON: fields in the order given, no spaces, floats always with a point or exponent.

    Raises:
        ValueError: A float is not finite.
    """
    return json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def encode_triplet(
    spec: TripletSpec,
    key: str,
    clean: NDArray[np.uint8],
    step: int,
    draw: int,
    *,
    caption: str,
    provenance: Mapping[str, Any],
) -> tuple[str, dict[str, bytes]]:
    """Return the key and the members of one materialised triplet.

    Args:
        spec: What the dataset's triplets are.
        key: The picture's key, see `picture_key`.
        clean: The picture, uint8 `(S, S, C)`.
        step: k, 1 to K.
        draw: Which static, 0 or more.
        caption: May be empty.
        provenance: The fields of `PROVENANCE`.

    Raises:
        ValueError: The picture has another shape or key, the step lies outside the ladder, or the provenance is not
            as `PROVENANCE` says.
    """
    _check_picture(spec, key, clean)
    if not 1 <= step <= spec.steps:
        raise ValueError(f"step {step} of picture {key}: the ladder has the steps 1 to {spec.steps}")
    noise, noisy = corrupt(spec, clean[None], [sample_id(key)], [draw], np.array([step]))
    members = {
        CLEAN: npy_bytes(clean),
        NOISE: npy_bytes(noise[0]),
        NOISY: npy_bytes(noisy[0]),
        CAPTION: caption.encode(),
        RECORD: record_bytes(triplet_record(spec, key, step, draw, provenance)),
    }
    return triplet_key(key, step, draw), members


def encode_virtual(
    spec: TripletSpec, key: str, clean: NDArray[np.uint8], *, caption: str, provenance: Mapping[str, Any]
) -> tuple[str, dict[str, bytes]]:
    """Return the key and the members of one virtual sample; see `encode_triplet`."""
    _check_picture(spec, key, clean)
    record = record_bytes(virtual_record(spec, key, provenance))
    return key, {CLEAN: npy_bytes(clean), CAPTION: caption.encode(), RECORD: record}


def triplet_bytes(
    spec: TripletSpec, key: str, step: int, draw: int, *, caption: str, provenance: Mapping[str, Any]
) -> int:
    """Return what the triplet that `encode_triplet` makes takes in a tar, without its pixels."""
    arrays = [npy_length("|u1", spec.shape), npy_length("<f2", spec.shape), npy_length("<f2", spec.shape)]
    record = record_bytes(triplet_record(spec, key, step, draw, provenance))
    return sample_bytes([*arrays, len(caption.encode()), len(record)])


def virtual_bytes(spec: TripletSpec, key: str, *, caption: str, provenance: Mapping[str, Any]) -> int:
    """Return what the sample that `encode_virtual` makes takes in a tar, without its pixels."""
    record = record_bytes(virtual_record(spec, key, provenance))
    return sample_bytes([npy_length("|u1", spec.shape), len(caption.encode()), len(record)])


def spec_facts(spec: TripletSpec) -> dict[str, Any]:
    """Return what the JSON of every triplet of a dataset says of its spec."""
    return {name: getattr(spec, name) for name in ("seed", "steps", "draws", "schedule", "corruption")}


def rung_facts(spec: TripletSpec, step: int, draw: int) -> dict[str, Any]:
    """Return what the JSON of a materialised triplet says of its step, 1 to K, and its draw."""
    a, b = spec.factors
    return {"step": step, "draw": draw, "a": float(a[step - 1]), "b": float(b[step - 1])}


def _picture_facts(spec: TripletSpec, key: str) -> dict[str, Any]:
    return {"sample_id": key[:16], **spec_facts(spec)}


def _check_picture(spec: TripletSpec, key: str, clean: NDArray[np.uint8]) -> None:
    if clean.dtype != np.uint8 or clean.shape != spec.shape:
        raise ValueError(f"picture {key} is {clean.dtype} {clean.shape}, the dataset's are uint8 {spec.shape}")
    if picture_key(clean) != key:
        raise ValueError(f"picture {key} has the pixels of {picture_key(clean)}")
