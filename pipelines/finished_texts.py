"""Documents finished: less what their hosts repeat, judged anew, kept out of evaluations, scored, and set aside again.

This comes before documents are compared with one another: near duplicates would otherwise be found by their menus,
and documents that differ by nothing else be kept.
"""

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crawl.contamination import find_contamination
from crawl.host_lines import remove_lines
from crawl.minhash import hash_shingles
from crawl.quality import QualityHead, parse_head, score_text
from crawl.settings import FetchSettings
from crawl.stored_file import open_stored
from crawl.text import judge_rest
from crawl.verdict import Verdict
from pipelines.cleaning import Cleaned, cleaned_records, records_set_aside
from pipelines.errors import StageError
from pipelines.evaluations import evaluations
from pipelines.fates import Fates, Reject
from pipelines.fetching import settings_of
from pipelines.host_lines import common_lines
from pipelines.open_files import OpenFiles
from pipelines.receipts import Receipt, finish_part
from pipelines.stages import Job
from pipelines.staging import create_staged, stage_payload, staged_name
from pipelines.tables import write_rejects
from pipelines.text_recipe import TextConfig
from shards.manifest import FileEntry
from shards.object_path import AnyPath

Document = dict[str, Any]


def finish_texts(part: str, job: Job, _counted: Sequence[int] = ()) -> Iterator[Cleaned]:
    """Finishes the documents of one staging file, unless an earlier run has; yields those that go on.

    Args:
        part: the staging file, whose records are JSON and the hashes of lines.
        job: the stage's.
        _counted: the ranges of hosts whose boilerplate is known: all, by the time that Beam can hand them on.
    """
    name = part.replace("clean-", "text-")
    yield from cleaned_records(name, finish_part(job.folder, name, lambda: _finish(name, part, job)))


def _finish(name: str, part: str, job: Job) -> Receipt:
    """Finishes documents into another staging file; what is turned away settles its fate here."""
    rejects: list[Reject] = []
    going_on: list[tuple[str, str, tuple[int, ...]]] = []
    with create_staged(job.folder, name) as staging:
        for document in _documents(job.folder, part):
            found = finish_text(document, job)
            if isinstance(found, Verdict):
                rejects.append(Reject(document["url"], found.fate, found.reason, found.detail))
                continue
            shingles = hash_shingles(found["text"]).astype("<u8").tobytes()
            pieces = (json.dumps(found, ensure_ascii=False).encode(), shingles)
            going_on.append((found["key"], found["url"], stage_payload(staging, pieces)))
        size = staging.tell()
    files = (FileEntry(staged_name(name), size, "", len(going_on)), *write_rejects(job.folder, name, rejects))
    return Receipt(files, Fates.of(rejects), notes={"cleaned": going_on})


def _documents(folder: AnyPath, part: str) -> Iterator[Document]:
    with OpenFiles() as files:
        for record in records_set_aside(folder, part):
            yield json.loads(files.read(folder / staged_name(part), record.offset, record.lengths[0]))


def finish_text(document: Document, job: Job) -> Document | Verdict:
    """A document as it goes on, or why it does not."""
    assert job.recipe.text is not None
    config = job.recipe.text
    rest = _without_lines(document, config, job.folder) if config.common_lines else document
    if isinstance(rest, Verdict):
        return rest
    shared = find_contamination(rest["text"], evaluations(tuple(config.decontaminate), settings_of(job.recipe)))
    if shared is not None:
        return Verdict("rejected", "contaminated", shared)
    return _scored(rest, job) if config.quality else rest


def _without_lines(document: Document, config: TextConfig, folder: AnyPath) -> Document | Verdict:
    """A document without the boilerplate of its host; one that is the first of copies stays as it is."""
    remaining = remove_lines(document["text"], document["url"], document["key"], common_lines(folder, document["url"]))
    if not remaining.num_lines:
        return document
    told = f"{remaining.num_lines} lines of boilerplate"
    left: str | Verdict = Verdict("rejected", "only_boilerplate", told)
    if remaining.text:
        left = judge_rest(remaining.text, document["language"], config.settings)
    if not isinstance(left, Verdict):
        return {**document, **text_columns(left), "num_boilerplate_lines": remaining.num_lines}
    if remaining.is_first:
        return document
    return left if not remaining.text else Verdict(left.fate, left.reason, f"{left.detail} without {told}")


def text_columns(text: str) -> Mapping[str, Any]:
    """What a document's row says of its text; the key is 32 hex digits of its SHA-256."""
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    return {"key": key, "text": text, "num_words": len(text.split()), "cluster": key}


def _scored(document: Document, job: Job) -> Document | Verdict:
    assert job.recipe.text is not None
    assert job.recipe.text.quality is not None
    score, at_least = score_text(document["text"], quality_head(job)), job.recipe.text.quality.at_least
    if score < at_least:
        return Verdict("rejected", "low_quality_score", f"{score:.4f} < {at_least:g}")
    return {**document, "quality_score": score}


def quality_head(job: Job) -> QualityHead:
    """The head that a job's texts are scored by, read once a worker.

    Raises:
        StageError: it cannot be read, or is none of texts.
    """
    assert job.recipe.text is not None
    assert job.recipe.text.quality is not None
    return _read_head(job.recipe.text.quality.head, job.files["quality"], settings_of(job.recipe))


@functools.lru_cache(maxsize=1)
def _read_head(path: str, _identity: str, settings: FetchSettings) -> QualityHead:
    try:
        with open_stored(path, settings) as file:
            return parse_head(file.read())
    except (OSError, ValueError) as error:
        told = "train one: seedbed train classifier FOLDER --topic good"
        raise StageError(f"text: text.quality.head {path}: {error}; {told}") from error
