"""Two builds side by side: what is the same, what was lost, and why."""

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipelines.inspect.difference import RecordDifference, compare, compare_records, merged
from pipelines.inspect.ordered_records import Record, Version
from pipelines.inspect.reasons import CHANGED, NEVER_MET, UNTOLD, Reasons
from pipelines.terminal import RAMP
from shards.manifest import read_manifest
from shards.triplet import TripletSpec
from tests.builds import manifest_of, seedbed, table_rows
from tests.planted import PLANTED
from tests.test_terminal import controls
from tests.tiny_datasets import draw_tree, write_triplets
from tests.virtual_samples import write_virtual_build


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of the second build's pictures one of ten is turned away, of the first's one of twenty; not to be changed."""
    folder = tmp_path_factory.mktemp("builds")
    first = write_virtual_build(folder / "first", 1_000, 500, PLANTED, is_stored=True)
    return first, write_virtual_build(folder / "second", 1_000, 1_000, PLANTED, is_stored=True, one_of=10)


def version(out: Path, stage: str) -> Version:
    manifest = manifest_of(out, stage)
    return Version(out / stage / manifest.fingerprint, manifest)


def of_stage(builds: tuple[Path, Path], stage: str, num_examples: int = 3) -> RecordDifference:
    return compare_records(version(builds[0], stage), version(builds[1], stage), num_examples)


def keys(out: Path, stage: str, prefix: str) -> dict[str, str]:
    return {row["key"]: row["url"] for row in table_rows(out, stage, prefix)}


def test_lost_pictures_are_those_that_one_table_lacks_each_with_its_reason(builds: tuple[Path, Path]):
    first, second = (keys(out, "images", "images-") for out in builds)
    rejects = {row["key"]: row for row in table_rows(builds[1], "images", "rejects-")}
    lost = first.keys() - second.keys()
    found = of_stage(builds, "images", num_examples=4)
    assert found.num_kept == len(first.keys() & second.keys())
    assert (found.num_moved, found.gained.counts) == (0, Counter())
    assert found.lost.counts == Counter(rejects[first[key]]["reason"] for key in lost)
    assert found.lost.counts.total() == len(lost) > 30
    for reason, examples in found.lost.examples.items():
        assert len(examples) == min(4, found.lost.counts[reason])
        for each in examples:
            assert each.url == first[each.key]
            assert (reason, each.detail) == (rejects[each.url]["reason"], rejects[each.url]["detail"])
    back = of_stage((builds[1], builds[0]), "images", num_examples=4)
    assert (back.num_kept, back.gained, back.lost.counts) == (found.num_kept, found.lost, Counter())


def test_a_document_whose_words_are_others_is_changed_under_its_url(builds: tuple[Path, Path]):
    first, second = (keys(out, "text", "documents-") for out in builds)
    found = of_stage(builds, "text")
    assert found.lost.counts == Counter({CHANGED: len(first.keys() - second.keys())})
    assert found.gained.counts == Counter({CHANGED: len(second.keys() - first.keys())})
    for each in found.lost.examples[CHANGED]:
        assert second[each.detail] == each.url


def test_samples_are_compared_by_the_indexes_of_their_shards(builds: tuple[Path, Path]):
    found = of_stage(builds, "triplets")
    pictures = of_stage(builds, "images")
    assert (found.num_kept, found.lost.counts) == (pictures.num_kept, Counter({UNTOLD: pictures.lost.counts.total()}))


def test_a_picture_in_another_split_is_neither_lost_nor_new(tmp_path: Path):
    spec, trees = TripletSpec(16, steps=3), [draw_tree(seed, 16) for seed in range(4)]
    write_triplets(tmp_path / "first" / "triplets", spec, {"train": trees[:3], "val": trees[3:]}, 2)
    write_triplets(tmp_path / "second" / "triplets", spec, {"train": trees[:2], "val": [trees[2]]}, 2)
    found = of_stage((tmp_path / "first", tmp_path / "second"), "triplets")
    assert (found.num_kept, found.num_moved, found.lost.counts.total(), found.gained.counts.total()) == (9, 3, 3, 0)
    assert [each.split for each in found.lost.examples[UNTOLD]] == ["val"] * 3


def test_a_url_that_the_other_crawl_never_met_or_could_not_have(tmp_path: Path, builds: tuple[Path, Path]):
    small = write_virtual_build(tmp_path / "small", 300, 100)
    found = of_stage((builds[0], small), "images", num_examples=1)
    assert NEVER_MET in found.lost.counts
    reasons = Reasons(version(small, "images"))
    assert reasons.of("https://trees-01.example/gone") == "crawl: http_404"
    assert reasons.of("https://trees-00.example/forbidden") == "crawl: robots_disallowed"
    assert reasons.of("https://elsewhere.example/") == NEVER_MET


def test_settings_counts_and_inputs_that_are_others_are_named(builds: tuple[Path, Path]):
    by_stage = {each.stage: each for each in compare(*builds)}
    assert list(by_stage) == ["crawl", "images", "text", "triplets", "windows"]
    assert by_stage["images"].settings == (("filters.one_of", "20", "10"),)
    assert by_stage["windows"].settings == ()
    assert by_stage["triplets"].inputs == ("images",)
    counts = {(each.fate, each.reason): (each.before, each.after) for each in by_stage["images"].counts}
    manifests = [manifest_of(out, "images").counts for out in builds]
    assert counts["in", ""] == (1_000, 1_000)
    assert counts["kept", ""] == (manifests[0].kept, manifests[1].kept)
    assert counts["rejected", "flat"] == (manifests[0].rejected["flat"], manifests[1].rejected["flat"])
    assert not any(each.is_same for each in by_stage.values())
    assert all(each.is_same for each in compare(builds[0], builds[0]))


def as_records(names: set[bytes]) -> list[Record]:
    return [Record(name, name.hex(), "", "") for name in sorted(names)]


@given(st.sets(st.binary(min_size=1, max_size=2)), st.sets(st.binary(min_size=1, max_size=2)))
def test_merging_in_order_is_set_arithmetic(first: set[bytes], second: set[bytes]):
    pairs = list(merged(as_records(first), as_records(second)))
    assert {one.order for one, other in pairs if one and not other} == first - second
    assert {other.order for one, other in pairs if other and not one} == second - first
    assert {one.order for one, other in pairs if one and other and one == other} == first & second
    assert len(pairs) == len(first | second)


def test_records_are_read_as_they_are_compared_not_before(builds: tuple[Path, Path]):
    read = 0

    def counted() -> Iterator[Record]:
        nonlocal read
        for number in range(10**9):
            read += 1
            yield Record(number.to_bytes(8, "big"), "", "", "")

    pairs = merged(counted(), counted())
    for _ in range(100):
        next(pairs)
    assert read <= 202


def shown(*arguments: str | Path) -> str:
    done = seedbed("diff", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("columns", [80, 40])
def test_the_terminal_shows_what_changed_with_examples(
    builds: tuple[Path, Path], columns: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = shown(*builds, "--count", "2")
    assert controls(text) == set()
    assert [line for line in text.splitlines() if cell_len(line) > columns and "://" not in line[:12]] == []
    found = of_stage(builds, "images")
    assert "  filters.one_of: 20 -> 10\n" in text
    assert f"  kept: {found.num_kept + found.lost.counts.total()} -> {found.num_kept} (-" in text
    assert f"  lost: flat, {found.lost.counts['flat']}\n" in text
    drawn = sum(set(line) <= set(RAMP) and len(line) > 16 for line in text.splitlines())
    assert drawn == 8 * len(found.lost.counts), "two pictures a reason, side by side"
    one = shown(*builds, "--stage", "text", "--count", "1")
    assert re.findall(r"^(\w+): ", one, re.MULTILINE) == ["text"]
    assert "lost: changed, " in one


def test_the_same_build_is_the_same(builds: tuple[Path, Path]):
    lines = shown(builds[0], builds[0]).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["crawl", "images", "text", "triplets", "windows"]
    assert all(": the same, " in line for line in lines)


def test_hostile_text_in_examples_stays_text(builds: tuple[Path, Path]):
    text = shown(*builds, "--count", "500")
    assert controls(text) == set()
    assert "seedbedPlanted=28" in text


def break_order(folder: Path) -> str:
    table = pq.read_table(folder / "images-000000.parquet")
    pq.write_table(table.take(pa.array(np.arange(len(table))[::-1])), folder / "images-000000.parquet")
    return "is not where its hash belongs"


def cut_table(folder: Path) -> str:
    (folder / "rejects-duplicates-0000.parquet").write_bytes(b"PAR1 no table")
    return "rejects-duplicates-0000.parquet cannot be read"


def lose_column(folder: Path) -> str:
    path = folder / "images-000000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["url"]), path)
    return "images-000000.parquet cannot be read"


@pytest.mark.parametrize("harm", [break_order, cut_table, lose_column])
def test_a_damaged_table_is_one_clear_line(builds: tuple[Path, Path], tmp_path: Path, harm):
    shutil.copytree(builds[0], tmp_path / "out")
    told = harm(version(tmp_path / "out", "images").folder)
    done = seedbed("diff", tmp_path / "out", builds[1], "--stage", "images")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert told in done.stderr


def test_a_missing_index_is_one_clear_line(builds: tuple[Path, Path], tmp_path: Path):
    shutil.copytree(builds[0], tmp_path / "out")
    next((tmp_path / "out" / "triplets").glob("*/val-000000.idx")).unlink()
    done = seedbed("diff", tmp_path / "out", builds[1], "--stage", "triplets")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "val-000000.idx cannot be read" in done.stderr


def test_what_cannot_be_compared_is_one_clear_line(builds: tuple[Path, Path], tmp_path: Path):
    first = builds[0]
    images = first / "images" / read_manifest(version(first, "images").folder).fingerprint
    for arguments, told in (
        ((first, tmp_path / "nowhere"), "is not a folder"),
        ((tmp_path, first), "nothing was committed there"),
        ((images, first / "text"), "there is nothing to compare"),
        ((first, first, "--stage", "score"), "have no stage 'score'; there is crawl, images, "),
    ):
        done = seedbed("diff", *arguments)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
        assert told in done.stderr
    assert "filters.one_of: 20 -> 10" in shown(images, version(builds[1], "images").folder, "--count", "0")
