"""Whether the words in windows are those of the documents that they name: looked up where the text stage lies beside.

Every document is made into tokens again, set aside on disk, and each window is compared with the parts it should hold.
"""

import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.tables import read_table
from shards.committed import Committed
from shards.manifest import MANIFEST_NAME, Manifest, ManifestError, read_manifest
from shards.object_path import AnyPath
from shards.shard import DamageError, Shard, ShardFiles
from shards.tokenizer import load_tokenizer
from shards.tokens import Tokenizer, TokenizerError, Tokens
from shards.verify import Fault
from shards.window import EXTENSIONS, KIND, RECORD, TOKENS
from shards.writer import INDEX_SUFFIX, TAR_SUFFIX


class Document(NamedTuple):
    """Where a document's tokens were set aside, its `<eos>` included, in tokens; and where it came from."""

    first: int
    length: int
    url: str


def word_faults(committed: Committed, folder: AnyPath) -> Iterator[Fault]:
    """What windows say otherwise than their documents; nothing of other stages, or where the text stage is not there.

    What cannot be read is passed over: whoever reads every byte has told of it.
    """
    if committed.manifest.configuration.get("spec", {}).get("kind") != KIND:
        return
    try:
        text = _text_folder(committed.manifest, folder)
        tokenizer = load_tokenizer(folder)
    except (ManifestError, TokenizerError):
        return
    if text is None:
        return
    with tempfile.TemporaryFile() as file:
        try:
            documents = _set_aside(text, tokenizer, file)
        except (pa.ArrowException, OSError, LookupError) as error:
            yield Fault(MANIFEST_NAME, f"the documents in {text} cannot be read ({type(error).__name__}: {error})")
            return
        tokens: Tokens = np.memmap(file, tokenizer.dtype, "r") if documents else np.empty(0, np.uint16)
        for shard in _shards(committed):
            for row in range(len(shard.index)):
                if shard.is_whole(row, EXTENSIONS) and (what := _told(shard, row, documents, tokens)):
                    yield Fault(Path(shard.path).name, f"sample {shard.index.keys[row].decode()}: {what}")


def _text_folder(manifest: Manifest, folder: AnyPath) -> AnyPath | None:
    """The folder of the documents that windows were made from, where it lies beside theirs."""
    for source in manifest.inputs:
        path = folder.resolve().parent.parent / "text" / source.fingerprint
        if source.stage == "text" and (path / MANIFEST_NAME).exists():
            return path
    return None


def _set_aside(text: AnyPath, tokenizer: Tokenizer, file: IO[bytes]) -> dict[str, Document]:
    """Writes the tokens of every document, each closed by `<eos>`, one behind the other; returns where, by key."""
    documents: dict[str, Document] = {}
    total = 0
    for entry in read_manifest(text).files:
        if entry.path.startswith("documents-"):
            columns = read_table(f"{text}/{entry.path}", ("key", "url", "text"))
            for key, url, words in zip(*(columns[name].to_pylist() for name in ("key", "url", "text")), strict=True):
                tokens = np.append(tokenizer.encode(words), tokenizer.eos_id).astype(tokenizer.dtype)
                file.write(tokens.tobytes())
                documents[key] = Document(total, len(tokens), url)
                total += len(tokens)
    file.flush()
    return documents


def _shards(committed: Committed) -> Iterator[Shard]:
    entries = {entry.path: entry for entry in committed.manifest.files}
    for path, tar in sorted(entries.items()):
        index = entries.get(path.removesuffix(TAR_SUFFIX) + INDEX_SUFFIX)
        if path.endswith(TAR_SUFFIX) and index is not None:
            try:
                yield Shard(committed.store, ShardFiles(tar, index), is_tolerant=True)
            except DamageError:
                continue


def _told(shard: Shard, row: int, documents: Mapping[str, Document], tokens: Tokens) -> str:
    """What a window says otherwise than its documents, empty if nothing."""
    try:
        record: dict[str, Any] = json.loads(shard.read(row, RECORD))
        found = np.load(io.BytesIO(shard.read(row, TOKENS)), allow_pickle=False)
        for piece in record["documents"]:
            document = documents.get(piece["key"])
            if document is None:
                return f"its document {piece['key']} is none of the text stage's"
            if piece["url"] != document.url:
                return f"its document {piece['key']} is from {document.url}, not from {piece['url']}"
            start, end = piece["start"], piece["start"] + piece["length"]
            expected = tokens[document.first + start : document.first + end]
            is_inside = 0 <= start < end <= document.length
            if not is_inside or not np.array_equal(found[piece["offset"] :][: piece["length"]], expected):
                return f"its words are not those of its document {piece['key']} from word {start} on"
    except (ValueError, LookupError, TypeError) as error:
        return f"its words cannot be compared ({type(error).__name__}: {error})"
    return ""
