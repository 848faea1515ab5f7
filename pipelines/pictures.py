"""Clean pictures, read back from the parts of the images stage by reference."""

import io
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crawl.image_settings import EXTENSIONS
from crawl.picture_files import sha256_key
from pipelines.errors import StageError
from pipelines.open_files import OpenFiles
from shards.object_path import AnyPath
from shards.tar import members
from shards.triplet import PROVENANCE


class Picture(NamedTuple):
    """A clean picture as it stands in a part."""

    key: str
    pixels: NDArray[np.uint8]
    """(S, S, C), read-only"""
    caption: str
    provenance: dict[str, Any]


def read_picture(files: OpenFiles, part: AnyPath, offset: int, length: int) -> Picture:
    """The clean picture whose sample stands at `offset` of a part of the images stage; its key is that of its pixels.

    Raises:
        StageError: the part is damaged there.
    """
    try:
        found = {name.partition(".")[2]: content for name, content in members(files.read(part, offset, length))}
        record = json.loads(found["json"])
        (picture,) = found.keys() & set(EXTENSIONS.values())
        image = Image.open(io.BytesIO(found[picture]))
        pixels = image.tobytes()
        if sha256_key(pixels if picture == "png" else found[picture]) != record["key"]:
            raise ValueError("the picture is not that of the key")
        shaped = np.frombuffer(pixels, np.uint8).reshape(image.height, image.width, -1)
        return Picture(record["key"], shaped, found["txt"].decode(), provenance(record))
    except (KeyError, ValueError, OSError) as error:
        raise StageError(
            f"{part}: the picture at offset {offset} is damaged ({type(error).__name__}: {error}); "
            f"remove {part.parent} and build again to make it anew"
        ) from error


def provenance(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a triplet says of where its picture came from, by the picture's record; its width is the original's."""
    original = {"width": record["original_width"], "height": record["original_height"]}
    return {name: record[name] for name in PROVENANCE} | original
