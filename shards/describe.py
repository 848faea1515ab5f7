"""What a dataset says of itself to others: a dataset card for Hugging Face, and Croissant for everyone.

Both follow from the manifest's own facts, so that whoever changes a dataset can write them anew.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from shards import triplet, window
from shards.manifest import FileEntry, canonical_json
from shards.triplet import PROVENANCE, TripletSpec
from shards.writer import TAR_SUFFIX, shards_files

CARD_NAME, CROISSANT_NAME = "README.md", "croissant.json"

SPLITS = ("train", "val", "test")

TRIPLET_FACTS: Mapping[str, type] = {
    "sample_id": str,
    "seed": int,
    "steps": int,
    "draws": int,
    "schedule": str,
    "corruption": str,
}
"""The first fields of a triplet's JSON; of a materialised one `RUNG_FACTS` come next, and `PROVENANCE` last."""

RUNG_FACTS: Mapping[str, type] = {"step": int, "draw": int, "a": float, "b": float}

WINDOW_FACTS: Mapping[str, type] = {"split": str, "position": int, "length": int, "tokenizer_sha256": str}
"""The plain fields of a window's JSON; `documents`, a list of objects, comes last."""

_MEANINGS = {
    "clean.npy": "the picture u, uint8 (S, S, C); x = (2u - 255) / 256",
    "noise.npy": "the noise n, float16 (S, S, C)",
    "noisy.npy": "a x + b n, float16 (S, S, C)",
    "txt": "the caption, UTF-8, may be empty",
    "tokens.npy": "context and next words, uint16 or uint32 (T + 1,)",
    "json": "what the sample is and where it came from",
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))
_CROISSANT_TYPES = {str: "sc:Text", int: "sc:Integer", float: "sc:Float"}


def describing_files(
    configuration: Mapping[str, Any], splits: Mapping[str, int], files: Iterable[FileEntry]
) -> dict[str, str]:
    """Return the files that say what a dataset is, by name: the lists of its shards, its card and its Croissant.

    Args:
        configuration: As the manifest holds it: `name` and `published` of the recipe, and `spec`.
        splits: Samples in each.
        files: Of the dataset; those that are no tars are passed over.
    """
    name, published, spec = configuration["name"], configuration["published"], configuration["spec"]
    shards = [file for file in files if file.path.endswith(TAR_SUFFIX)]
    return {
        **shards_files(f"{name}-{spec['kind']}", shards),
        CARD_NAME: dataset_card(name, spec, splits),
        CROISSANT_NAME: canonical_json(croissant(name, published, spec, splits, shards)),
    }


def record_fields(spec: Mapping[str, Any]) -> dict[str, type]:
    """Return the plain fields of the JSON of a dataset's samples, in their order, from the manifest's `spec`."""
    if spec["kind"] == window.KIND:
        return dict(WINDOW_FACTS)
    rung = RUNG_FACTS if spec["mode"] == "materialised" else {}
    return {**TRIPLET_FACTS, **rung, **PROVENANCE}


def dataset_card(name: str, spec: Mapping[str, Any], splits: Mapping[str, int]) -> str:
    """Return the text of `README.md`: YAML that `datasets` reads, then prose for people.

    Source: https://huggingface.co/docs/hub/datasets-cards and datasets-manual-configuration.

    Args:
        name: Of the recipe.
        spec: As the manifest holds it.
        splits: Samples in each; splits without any are left out.
    """
    there = {split: splits[split] for split in SPLITS if splits.get(split)}
    kind = spec["kind"]
    total = sum(there.values())
    size = next((label for limit, label in _SIZES if total < limit), "n>10M")
    task = "image-to-image" if kind == triplet.KIND else "text-generation"
    files = "\n".join(f"  - split: {split}\n    path: {split}-*{TAR_SUFFIX}" for split in there)
    members = "\n".join(f"| `{extension}` | {_MEANINGS[extension]} |" for extension in _extensions(spec))
    counts = "\n".join(f"| {split} | {count:,} |" for split, count in there.items())
    fields = ", ".join(f"`{field}`" for field in record_fields(spec))
    return f"""---
pretty_name: {json.dumps(f"{name}: {kind}")}
tags:
- webdataset
- seedbed
task_categories:
- {task}
size_categories:
- {size}
configs:
- config_name: default
  data_files:
{files}
---

# {name}: {kind}

{_summary(spec)}

| split | samples |
|---|---|
{counts}

Each sample is a few files side by side in a tar, as webdataset has them:

| member | what it is |
|---|---|
{members}

The fields of `json`: {fields}{", `documents`" if kind == window.KIND else ""}.

    import datasets
    dataset = datasets.load_dataset("THIS FOLDER")

    from shards import open_dataset
    loader = open_dataset("THIS FOLDER", "train").loader(batch_size=256)

Every sample says where it came from and under which licence, as far as that is known; "unknown" never counts as
permitted. `manifest.json` lists every file with its SHA-256, and beside each tar stands its index.
"""


def croissant(
    name: str, published: str, spec: Mapping[str, Any], splits: Mapping[str, int], files: Iterable[FileEntry]
) -> dict[str, Any]:
    """Return the value of `croissant.json`: the tars with their hashes, what lies in them, the fields of the JSON.

    Source: MLCommons, "Croissant Format Specification", version 1.1.

    Args:
        name: Of the recipe.
        published: The recipe's date, YYYY-MM-DD.
        spec: As the manifest holds it.
        splits: Samples in each.
        files: Of the dataset; those that are no tars are passed over.
    """
    tars = sorted((file for file in files if file.path.endswith(TAR_SUFFIX)), key=lambda file: file.path)
    contained = [{"@id": tar.path} for tar in tars]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": f"{name}-{spec['kind']}",
        "description": f"{_summary(spec)} {sum(splits.values()):,} samples.",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "citeAs": f"{name}: {spec['kind']}, grown from the web by Seedbed",
        "datePublished": published,
        "license": "Each sample's JSON names its own licence; unknown never counts as permitted.",
        "url": "./",
        "version": "1.0.0",
        "distribution": [
            *(_file_object(tar) for tar in tars),
            *(_file_set(extension, contained) for extension in _extensions(spec)),
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "samples",
                "name": "samples",
                "description": "The JSON of each sample.",
                "field": [_field(field, kind) for field, kind in record_fields(spec).items()],
            }
        ],
    }


def _extensions(spec: Mapping[str, Any]) -> tuple[str, ...]:
    return window.EXTENSIONS if spec["kind"] == window.KIND else triplet.extensions(TripletSpec.from_json(spec))


def _summary(spec: Mapping[str, Any]) -> str:
    if spec["kind"] == window.KIND:
        return (
            f"Windows of {spec['context']} words and, for each, the word that comes next: a window holds "
            f"{spec['context'] + 1} tokens, the next one begins {spec['stride']} on."
        )
    stored = "all three arrays" if spec["mode"] == "materialised" else "the clean pictures; readers make the noise"
    return (
        f"Noisy, clean and noise: pictures of {spec['size']} × {spec['size']} × {spec['channels']} at "
        f"{spec['steps']} steps of a ladder ({spec['schedule']}, {spec['corruption']}). Stored are {stored}."
    )


def _file_object(tar: FileEntry) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": tar.path,
        "name": tar.path,
        "description": f"{tar.records} samples.",
        "contentUrl": tar.path,
        "contentSize": f"{tar.bytes} B",
        "encodingFormat": "application/x-tar",
        "sha256": tar.sha256,
    }


def _file_set(extension: str, contained: list[dict[str, str]]) -> dict[str, Any]:
    formats = {"json": "application/json", "txt": "text/plain"}
    return {
        "@type": "cr:FileSet",
        "@id": extension,
        "name": extension,
        "description": _MEANINGS[extension],
        "containedIn": contained,
        "encodingFormat": formats.get(extension, "application/x-npy"),
        "includes": f"*.{extension}",
    }


def _field(name: str, kind: type) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"samples/{name}",
        "name": name,
        "description": name.replace("_", " "),
        "dataType": _CROISSANT_TYPES[kind],
        "source": {"fileSet": {"@id": "json"}, "extract": {"jsonPath": f"$.{name}"}},
    }


CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The JSON-LD context that the specification prescribes."""
