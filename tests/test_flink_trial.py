"""What a worker of a Flink cluster does at its trial, and what a trial leaves."""

import re
from pathlib import Path

import pytest

from pipelines.errors import StageError
from pipelines.flink.trial import look, see_files, try_workers
from pipelines.load_recipe import check_recipe, load_recipe
from pipelines.receipts import WORK
from pipelines.source_files import file_digests, read_by_workers
from pipelines.stages import Job
from pipelines.tombstones import read_tombstones


def test_a_worker_that_may_not_write_into_the_folder_of_a_build_is_named():
    folder = Path("/proc/self")  # where not even root makes a file
    with pytest.raises(StageError) as refused:
        look(0, folder, folder / "status", {})
    assert re.fullmatch(
        r"worker \S+ cannot write into the folder /proc/self \(.+\): "
        "give an --out that every worker may write to, such as s3://BUCKET/PATH",
        str(refused.value),
    )


def test_a_trial_that_is_killed_leaves_nothing_but_where_its_stage_works(tmp_path: Path):
    job = Job("crawl", load_recipe("demo", []), tmp_path, "0" * 12, {}, read_tombstones(tmp_path))
    work = tmp_path / "crawl" / job.fingerprint / WORK
    left: list[Path] = []

    def run(_build: object) -> None:
        (marker,) = work.iterdir()
        look(3, tmp_path, marker, {})
        left.extend(path.relative_to(work) for path in tmp_path.rglob("*") if path.is_file())

    try_workers(job, run)
    (seen,) = left
    assert re.fullmatch("trial-[0-9a-f]{16}", str(seen))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_files_that_a_worker_does_not_have_as_we_do_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in ("here", "there"):
        (tmp_path / folder / "pictures").mkdir(parents=True)
        (tmp_path / folder / "good.json").write_text("{}")
        (tmp_path / folder / "pictures/oak.jpg").write_bytes(b"oak")
    monkeypatch.chdir(tmp_path / "here")
    wanted = file_digests(["pictures", "*.json"])
    monkeypatch.chdir(tmp_path / "there")
    see_files(wanted, "w1")
    Path("good.json").write_text("[]")
    with pytest.raises(StageError, match=r"^worker w1: \*\.json is another there than on this machine; put the"):
        see_files(wanted, "w1")
    Path("good.json").unlink()
    with pytest.raises(StageError, match=r"^worker w1 does not see \*\.json, which the recipe names; put the same on"):
        see_files(wanted, "w1")


def test_what_workers_read_on_their_disks_is_what_the_recipe_names_there():
    archives = {"source": "warc", "files": ["a/*.warc.gz", "s3://b/c.warc.gz", "https://d.example/e.warc.gz"]}
    sources = {"archives": archives, "pictures": {"source": "folder", "path": "oaks"}}
    text = {"decontaminate": ["tests.jsonl"], "quality": {"head": "good.json"}}
    recipe = check_recipe(
        {"name": "n", "contact": "a@example.org", "crawl": {"sources": sources}, "text": text}, "n.yaml"
    )
    assert read_by_workers("crawl", recipe) == ["a/*.warc.gz", "oaks"]
    assert read_by_workers("text", recipe) == ["tests.jsonl", "good.json"]
    assert read_by_workers("images", recipe) == []
