"""What is forgotten is gone from everything under a build, stays gone, and leaves the rest as it was."""

import gzip
import hashlib
import io
import json
import random
import shutil
import signal
import subprocess
import tarfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from PIL import Image

from crawl.demo.server import DemoServer
from crawl.warc import read_record
from pipelines.forget import forget
from shards import open_dataset
from shards.manifest import FileEntry
from shards.object_path import AnyPath, files_below, remove_tree
from shards.tokenizer import WordTokenizer, load_tokenizer, split_words
from tests.arboretum import run
from tests.builds import SEEDBED, manifest_bytes, manifest_of, seedbed, seedbed_process
from tests.object_store import slow_in_store
from tests.test_build import copy_of
from tests.test_verify import change_manifest, faults, folder_of

STAGES = ("crawl", "images", "score", "text", "triplets", "windows")


def rows(out: Path, stage: str, prefix: str) -> list[dict[str, Any]]:
    files = sorted(folder_of(out, stage).glob(f"{prefix}*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def contents(out: Path, stage: str) -> dict[str, str]:
    """SHA-256 of each file of a stage in force, by name."""
    return {entry.path: entry.sha256 for entry in manifest_of(out, stage).files}


def everything(out: Path) -> bytes:
    """All bytes under a folder, packed ones unpacked, but for what says that something was forgotten."""
    pieces = []
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        if path.name == "tombstones.jsonl" or path.parent.name in ("forgotten", "runs"):
            continue
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        elif path.suffix == ".parquet":
            data = json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False).encode()
        pieces.append(data)
    return b"\0".join(pieces)


@pytest.fixture
def out(built: Path, tmp_path: Path) -> Path:
    """The arboretum's build, to be changed."""
    return Path(shutil.copytree(built, tmp_path / "out"))


def a_picture(out: Path) -> dict[str, Any]:
    """A picture of the largest split that is there once: no other URL has its bytes, or its pixels."""
    shas = Counter(row["sha256"] for row in rows(out, "crawl", "ledger-"))
    originals = {row["detail"] for row in rows(out, "images", "rejects-")}
    return next(
        row
        for row in rows(out, "images", "images-")
        if row["split"] == "train" and shas[row["sha256"]] == 1 and row["url"] not in originals
    )


def a_story(out: Path) -> dict[str, Any]:
    """A document on whose page pictures were found."""
    pages = {row["page_url"] for row in rows(out, "images", "images-")}
    return next(row for row in rows(out, "text", "documents-") if row["url"] in pages and row["split"] == "train")


def test_a_picture_is_gone_from_every_stage_and_all_else_keeps_its_bytes(out: Path) -> None:
    picture = a_picture(out)
    row = next(row for row in rows(out, "crawl", "ledger-") if row["url"] == picture["url"])
    payload = read_record(folder_of(out, "crawl") / row["warc_file"], row["warc_offset"]).payload
    before = {stage: contents(out, stage) for stage in STAGES}
    counts = {stage: manifest_of(out, stage).counts for stage in STAGES}
    splits = manifest_of(out, "triplets").splits
    pixels = np_bytes(out, picture)
    assert seedbed("forget", out, "--url", picture["url"]).returncode == 0

    assert faults(out, deep=True) == []
    left = everything(out)
    for trace in (picture["key"].encode(), picture["sha256"].encode(), payload, pixels):
        assert trace not in left
    after = {stage: contents(out, stage) for stage in STAGES}
    changed = {
        stage: {name for name in before[stage] if after[stage].get(name) != before[stage][name]} for stage in STAGES
    }
    part = picture["part"].removesuffix(".tar")
    table = f"images-{part.removeprefix('part-')}.parquet"
    assert changed["images"] == {f"{part}.tar", f"{part}.idx", table, "ATTRIBUTION"}
    assert changed["text"] == changed["windows"] == set()
    assert len({name for name in changed["triplets"] if name.endswith(".tar")}) < sum(
        name.endswith(".tar") for name in before["triplets"]
    )
    assert manifest_of(out, "images").counts.kept == counts["images"].kept - 1
    assert manifest_of(out, "crawl").counts.records_in == counts["crawl"].records_in
    assert manifest_of(out, "crawl").counts.rejected["forgotten"] == 1
    assert manifest_of(out, "triplets").splits == {**splits, "train": splits["train"] - 5}
    (forgotten,) = (row for row in rows(out, "crawl", "ledger-") if row["url"] == picture["url"])
    assert (forgotten["fate"], forgotten["reason"], forgotten["sha256"]) == ("rejected", "forgotten", "")


def np_bytes(out: Path, picture: dict[str, Any]) -> bytes:
    """The pixels of a clean picture, as they stand in its triplets."""
    with tarfile.open(folder_of(out, "images") / picture["part"]) as tar:
        member = tar.extractfile(f"{picture['key']}.png")
        assert member is not None
        return Image.open(io.BytesIO(member.read())).tobytes()


def test_a_page_takes_its_document_its_windows_and_what_it_said_of_pictures_along(out: Path) -> None:
    story = a_story(out)
    pictures = {row["key"]: row for row in rows(out, "images", "images-") if row["page_url"] == story["url"]}
    windows = manifest_of(out, "windows").splits["train"]
    sentence = max(story["text"].splitlines(), key=len).encode()
    assert sentence in everything(out)
    forget(out, [("url", story["url"])])

    assert faults(out, deep=True) == []
    left = everything(out)
    assert sentence not in left
    assert story["key"].encode() not in left
    ledger = [row for row in rows(out, "crawl", "ledger-") if story["url"] in row.values()]
    assert [row["reason"] for row in ledger] == ["forgotten"]
    assert left.count(story["url"].encode()) == sum(list(row.values()).count(story["url"]) for row in ledger)
    now = {row["key"]: row for row in rows(out, "images", "images-")}
    for key, row in pictures.items():
        said = {name: now[key][name] for name in ("caption", "page_url", "licence", "author", "caption_source")}
        assert said == {
            "caption": "",
            "page_url": "",
            "licence": "unknown",
            "author": "unknown",
            "caption_source": "none",
        }
        assert now[key]["url"] == row["url"]
    assert manifest_of(out, "windows").splits["train"] < windows
    assert manifest_of(out, "text").counts.kept == 59
    assert manifest_of(out, "windows").counts.kept == 59


def test_words_that_only_a_forgotten_page_had_leave_the_dictionary_and_the_rest_keep_their_ids(out: Path) -> None:
    before = load_tokenizer(folder_of(out, "windows"))
    assert isinstance(before, WordTokenizer)
    words = {row["key"]: set(split_words(row["text"], before.lower_case)) for row in rows(out, "text", "documents-")}
    stories = [row for row in rows(out, "text", "documents-") if row["split"] == "train"]
    own = {
        row["key"]: words[row["key"]]
        .intersection(before.words)
        .difference(*(words[key] for key in words if key != row["key"]))
        for row in stories
    }
    story = next(row for row in stories if own[row["key"]])
    forget(out, [("url", story["url"])])
    after = load_tokenizer(folder_of(out, "windows"))
    assert isinstance(after, WordTokenizer)
    assert own[story["key"]].isdisjoint(after.words)
    assert {(old, new) for old, new in zip(before.words, after.words, strict=True) if old != new} == {
        (word, "") for word in set(before.words) - set(after.words)
    }
    used = set().union(*(tokens_of(out, split) for split in ("train", "val", "test")))
    assert [bool(word) for word in after.words] == [number + 2 in used for number in range(len(after.words))]
    assert after.sha256() == before.sha256()
    blank = after.words.index("")
    assert (after.token(blank + 2), after.encode(next(iter(own[story["key"]]))).tolist()) == ("<unk>", [0])
    assert faults(out, deep=True) == []


def tokens_of(out: Path, split: str) -> set[int]:
    """The ids that stand in the windows of a split, which may be empty."""
    if not manifest_of(out, "windows").splits.get(split):
        return set()
    batches = open_dataset(out / "windows", split).loader(64, finite=True, fields=("tokens",))
    return {token for batch in batches for token in batch["tokens"].reshape(-1).tolist()}


def test_a_host_and_a_file_are_forgotten_too(out: Path) -> None:
    story = a_story(out)
    forget(out, [("host", "PICTURES.example"), ("sha256", story["sha256"].upper())])
    assert faults(out, deep=True) == []
    assert manifest_of(out, "images").counts.kept == 0
    assert manifest_of(out, "triplets").splits == {"train": 0, "val": 0, "test": 0}
    assert manifest_of(out, "text").counts.kept == 59
    assert max(story["text"].splitlines(), key=len).encode() not in everything(out)
    hosts = {row["host"] for row in rows(out, "crawl", "ledger-") if row["reason"] != "forgotten"}
    assert "pictures.example" not in hosts


def test_an_address_with_tracking_parameters_forgets_what_the_crawl_knows_it_by(out: Path) -> None:
    picture = a_picture(out)
    done = seedbed("forget", str(out), "--url", f"{picture['url']}?utm_source=mail#top")
    assert done.returncode == 0, done.stderr
    assert picture["sha256"] not in {row["sha256"] for row in rows(out, "images", "images-")}
    assert [json.loads(line)["url"] for line in (out / "tombstones.jsonl").read_text().splitlines()] == [
        f"{picture['url']}?utm_source=mail",
        picture["url"],
    ]


def test_the_warc_files_stay_readable_and_every_other_record_where_it_was(out: Path) -> None:
    story = a_story(out)
    sizes = {path.name: path.stat().st_size for path in folder_of(out, "crawl").glob("*.warc.gz")}
    forget(out, [("url", story["url"])])
    found: dict[str, list[Any]] = {}
    for path in sorted(folder_of(out, "crawl").glob("*.warc.gz")):
        assert path.stat().st_size == sizes[path.name]
        assert subprocess.run(["gzip", "-t", str(path)], check=False).returncode == 0
        with path.open("rb") as file:
            found[path.name] = [record.record_type for record in ArchiveIterator(file, parse_http=False)]
    assert sum(types.count(WarcRecordType.metadata) for types in found.values()) == 1
    checked = subprocess.run(
        [Path(SEEDBED).with_name("warcio"), "check", *map(str, folder_of(out, "crawl").glob("*.warc.gz"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_it_stays_out_of_later_builds_which_fetch_nothing_again(server: DemoServer, out: Path) -> None:
    picture, story = a_picture(out), a_story(out)
    forget(out, [("url", picture["url"]), ("url", story["url"])])
    crawl = manifest_bytes(out, ("crawl",))
    asked = len(server.log)
    run(server, out)
    assert len(server.log) == asked
    assert manifest_bytes(out, ("crawl",)) == crawl
    assert faults(out, deep=True) == []
    assert picture["url"] not in {row["url"] for row in rows(out, "images", "images-")}
    assert story["url"] not in {row["url"] for row in rows(out, "text", "documents-")}
    assert manifest_of(out, "triplets").counts.kept == 431
    run(server, out, "crawl.snapshot=again")
    asked_again = {f"http://{request.host}{request.path}" for request in server.log[asked:]}
    assert len(asked_again) > 500
    assert not {picture["url"], story["url"]} & asked_again
    assert picture["url"] not in {row["url"] for row in rows(out, "images", "images-")}


def test_a_receipt_says_what_followed_what_and_a_run_that_learnt_from_it_is_named(out: Path) -> None:
    sha256 = hashlib.sha256((folder_of(out, "triplets") / "manifest.json").read_bytes()).hexdigest()
    (out / "runs" / "trees").mkdir(parents=True)
    (out / "runs" / "trees" / "config.json").write_text(json.dumps({"manifest_sha256": sha256}))
    before = {stage: manifest_of(out, stage).fingerprint for stage in STAGES}
    picture = a_picture(out)
    done = seedbed("forget", out, "--url", picture["url"])
    assert done.returncode == 0, done.stderr
    assert "runs/trees learnt from what is gone and cannot forget: train again" in done.stdout
    receipt = json.loads((out / "forgotten" / "000001.json").read_text())
    assert receipt["forgotten"] == [["url", picture["url"]]]
    assert {each["stage"]: each["before"] for each in receipt["folders"]} == before
    assert {each["stage"]: each["after"] for each in receipt["folders"]} == {
        stage: manifest_of(out, stage).fingerprint for stage in STAGES
    }
    assert {each["stage"]: each["num_removed"] for each in receipt["folders"]} == {
        "crawl": 1, "images": 1, "score": 1, "text": 0, "triplets": 5, "windows": 0,
    }  # fmt: skip


def test_what_matches_nothing_is_said_and_remembered(out: Path) -> None:
    before = {stage: contents(out, stage) for stage in STAGES}
    done = seedbed("forget", out, "--host", "elsewhere.example", "--url", "https://elsewhere.example/b a")
    assert done.returncode == 0
    assert "came from there" in done.stdout
    assert {stage: contents(out, stage) for stage in STAGES} == before
    assert [json.loads(line) for line in (out / "tombstones.jsonl").read_text().splitlines()] == [
        {"url": "https://elsewhere.example/b%20a"},
        {"host": "elsewhere.example"},
    ]


def test_old_versions_and_unfinished_ones_are_cleaned_as_well(server: DemoServer, out: Path) -> None:
    run(server, out, "triplets.mode=virtual", "images.size=24", stages=("images", "score", "triplets"))
    unfinished = out / "windows" / "0123456789ab" / "_work" / "staging"
    unfinished.mkdir(parents=True)
    (unfinished / "tokens.bin").write_bytes(b"half")
    picture = a_picture(out)
    forget(out, [("url", picture["url"])])
    assert len(list((out / "triplets").glob("*/manifest.json"))) == 2
    assert not (out / "windows" / "0123456789ab").exists()
    assert picture["sha256"].encode() not in everything(out)
    for folder in (out / "triplets").glob("*/"):
        assert faults(folder, deep=True) == []


def test_a_dataset_whose_crawl_is_gone_forgets_too_and_only_once(out: Path) -> None:
    picture = a_picture(out)
    for stage in ("crawl", "images", "score", "text"):
        shutil.rmtree(out / stage)
    assert [each.num_removed for each in forget(out, [("url", picture["url"])])] == [5]
    assert faults(out / "triplets", deep=True) == []
    assert forget(out, [("url", picture["url"])]) == []


@slow_in_store
@pytest.mark.parametrize("num_kills", [pytest.param(3, id="3"), pytest.param(25, id="25", marks=pytest.mark.slow)])
def test_killed_at_any_moment_the_same_command_ends_with_the_same_bytes(
    built: Path, tmp_path: Path, place: AnyPath, num_kills: int
) -> None:
    picture, story = a_picture(built), a_story(built)
    command = ("forget", "--url", picture["url"], "--url", story["url"])
    whole = Path(shutil.copytree(built, tmp_path / "whole"))
    started = time.monotonic()
    assert seedbed_process(*command, whole).returncode == 0
    seconds = time.monotonic() - started
    moments = random.Random(num_kills)
    for attempt in range(num_kills):
        out = copy_of(built, place / str(attempt), STAGES)
        process = subprocess.Popen([SEEDBED, *command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.3, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert seedbed(*command, out).returncode == 0
        assert manifest_bytes(out, STAGES) == manifest_bytes(whole, STAGES)
        assert seedbed("verify", out, "--deep").returncode == 0
        folders = {name.split("/")[1] for name in files_below(out) if name.startswith(STAGES) and name.count("/") > 1}
        assert len(folders) == len(STAGES)
        remove_tree(out)


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ((), 2, "name what to forget: --url, --host or --sha256"),
        (("--sha256", "abc"), 1, "--sha256 'abc' is no sha256; give one as in 64 hex digits"),
        (("--host", "a b/c"), 1, "--host 'a b/c' is no host; give one as in example.org"),
        (("--url", "not a url"), 1, "--url 'not a url' is no url; give one as in https://example.org/a"),
    ],
)
def test_what_cannot_be_meant_is_refused(out: Path, arguments: tuple[str, ...], status: int, told: str) -> None:
    done = seedbed("forget", out, *arguments)
    assert done.returncode == status
    assert told in " ".join(done.stderr.split())
    assert not (out / "tombstones.jsonl").exists()


def test_a_folder_without_a_build_is_refused(tmp_path: Path) -> None:
    done = seedbed("forget", tmp_path, "--host", "a.example")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "nothing was built there" in done.stderr


@pytest.mark.parametrize(
    "change", [{"fingerprint": "../../elsewhere"}, {"files": (FileEntry("../../x", 0, "0" * 64, 0),)}]
)
def test_a_manifest_that_names_what_lies_elsewhere_stops_it_and_nothing_there_is_touched(
    out: Path, change: dict[str, Any]
) -> None:
    elsewhere = out / "elsewhere"
    elsewhere.mkdir()
    change_manifest(folder_of(out, "triplets"), **change)
    done = seedbed("forget", out, "--host", "arboretum.example")
    assert (done.returncode, done.stderr.count("Traceback")) == (1, 0)
    assert "build it again, after removing" in " ".join(done.stderr.split())
    assert elsewhere.is_dir()
