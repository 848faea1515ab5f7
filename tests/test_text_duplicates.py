"""Near duplicates in builds: what goes, what stays, and that no cluster is torn apart by the splits."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from crawl.minhash import hash_shingles, jaccard
from pipelines.build import build, make_job
from pipelines.engine import run_job
from pipelines.load_recipe import check_recipe
from pipelines.recipe import Recipe
from pipelines.tables import read_table
from pipelines.tombstones import Tombstones
from tests.builds import manifest_of, table_rows
from tests.shuffles import measured_shuffles

NUM_WORDS = 400
MOST_BYTES = 900
"""That cross all shuffles of the stage for a document: half of them tell what was fetched, and what goes."""
NO_RULES: dict[str, Any] = {"min_sentences": 0, "gopher_quality": None, "gopher_repetition": None, "private_data": []}


def _words(draw: random.Random, count: int = NUM_WORDS) -> list[str]:
    return [f"w{draw.randrange(10**6)}" for _ in range(count)]


def _replaced(words: list[str], draw: random.Random, similarity: float) -> list[str]:
    """The words with others from somewhere on, so that the sets of 5-grams have this Jaccard similarity."""
    num_shingles = len(words) - 4
    num_common = round(2 * num_shingles * similarity / (1 + similarity))
    return [*words[: num_common + 4], *_words(draw, len(words) - num_common - 4)]


def _recipe(root: Path, texts: Mapping[str, list[str]], **text: object) -> Recipe:
    folder = root / "texts"
    folder.mkdir(parents=True)
    for name, words in texts.items():
        lines = (" ".join(words[begin : begin + 20]) for begin in range(0, len(words), 20))
        (folder / f"{name}.txt").write_text("\n".join(lines))
    data = {
        "name": "twins",
        "contact": "gardener@example.org",
        "crawl": {"sources": {"texts": {"source": "folder", "path": str(folder)}}, "records_per_segment": 50},
        "text": {**NO_RULES, **text},
        "split": {"train": 0.4, "val": 0.3, "test": 0.3},
    }
    return check_recipe(data, "twins.yaml")


def _build(root: Path, texts: Mapping[str, list[str]], workers: int = 1, **text: object) -> Path:
    recipe = _recipe(root, texts, **text)
    build(recipe, root / "out", recipe.stages(), workers, Console(quiet=True))
    return root / "out"


def _name(url: str) -> str:
    return url.rpartition("/")[2].removesuffix(".txt")


def _kept(out: Path) -> dict[str, dict[str, Any]]:
    return {_name(row["url"]): row for row in table_rows(out, "text", "documents-")}


def _rejects(out: Path) -> dict[str, str]:
    return {_name(row["key"]): row["detail"] for row in _near(out)}


def _near(out: Path) -> Iterator[dict[str, Any]]:
    return (row for row in table_rows(out, "text", "rejects-") if row["reason"] == "near_duplicate")


def _planted(similarity: float, count: int) -> dict[str, list[str]]:
    draw = random.Random(7)
    originals = {f"{number:03d}-a": _words(draw) for number in range(count)}
    return originals | {f"{name[:3]}-b": _replaced(words, draw, similarity) for name, words in originals.items()}


def test_nearly_all_near_duplicates_go_and_nothing_else(tmp_path: Path) -> None:
    texts = _planted(0.8, 200)
    out = _build(tmp_path, texts)
    rejects, kept = _rejects(out), _kept(out)
    assert len(rejects) >= 0.9 * 200  # 0.92 expected; 0.02 is one standard deviation
    assert len(kept) + len(rejects) == 400 == manifest_of(out, "text").counts.records_in
    by_key = {row["key"]: row for row in kept.values()}
    for name, detail in rejects.items():
        key, _, similarity = detail.partition(", similarity ")
        twin = by_key[key]
        assert {_name(twin["url"])[:3]} == {name[:3]}
        alike = jaccard(hash_shingles(twin["text"]), hash_shingles(" ".join(texts[name])))
        assert alike == pytest.approx(float(similarity), abs=6e-4)
        assert alike >= 0.7


def test_texts_that_are_half_alike_stay(tmp_path: Path) -> None:
    out = _build(tmp_path, _planted(0.5, 100))
    assert _rejects(out) == {}
    assert all(row["cluster"] == row["key"] for row in _kept(out).values())


def _chain() -> dict[str, list[str]]:
    """Three texts, each four fifths like the next and the first little like the last; and some more."""
    draw = random.Random(1)
    words = _words(draw, 480)
    chain = {"first": words[:404], "second": words[42:444], "third": words[82:482]}
    return chain | {f"other-{number}": _words(draw) for number in range(5)}


def test_the_end_of_a_chain_stays_in_the_cluster_and_its_split(tmp_path: Path) -> None:
    out = _build(tmp_path, _chain())
    kept = _kept(out)
    assert sorted(kept) == ["first", *(f"other-{number}" for number in range(5)), "third"]
    assert _rejects(out).keys() == {"second"}
    assert _rejects(out)["second"].startswith(kept["first"]["key"])
    assert kept["first"]["cluster"] == kept["third"]["cluster"]
    assert kept["first"]["split"] == kept["third"]["split"]


def test_near_duplicates_that_are_kept_share_cluster_and_split(tmp_path: Path) -> None:
    out = _build(tmp_path, _planted(0.9, 40) | _chain(), near_duplicates="keep")
    kept, splits = _kept(out), set()
    assert _rejects(out) == {}
    clusters = {frozenset((f"{number:03d}-a", f"{number:03d}-b")) for number in range(40)}
    for names in (*clusters, frozenset(("first", "second", "third"))):
        rows = [kept[name] for name in names]
        assert {row["cluster"] for row in rows} == {min(row["key"] for row in rows)}
        splits.add(frozenset(row["split"] for row in rows))
    assert splits == {frozenset(("train",)), frozenset(("val",)), frozenset(("test",))}
    assert len(kept) == 80 + 8


@pytest.mark.slow
def test_a_stricter_similarity_lets_more_go_on(tmp_path: Path) -> None:
    out = _build(tmp_path, _planted(0.8, 30), min_similarity=0.85)
    assert len(_kept(out)) == 60


@pytest.mark.parametrize("near_duplicates", [pytest.param("reject", marks=pytest.mark.slow), "keep"])
def test_workers_change_no_byte(tmp_path: Path, near_duplicates: str) -> None:
    texts = _planted(0.85, 60) | _chain()
    built = [
        _build(tmp_path / str(workers), texts, workers, near_duplicates=near_duplicates, buckets=3)
        for workers in (1, 2)
    ]
    one, two = ((manifest_of(out, "text").files, manifest_of(out, "text").counts) for out in built)
    assert one == two


def test_a_document_costs_few_bytes_in_shuffles(tmp_path: Path) -> None:
    recipe, out = _recipe(tmp_path, _planted(0.85, 150)), tmp_path / "out"
    build(recipe, out, ("crawl",), 1, Console(quiet=True))
    job = make_job("text", recipe, out, {"crawl": manifest_of(out, "crawl")}, Tombstones(), workers=1)
    with measured_shuffles() as shuffles:
        run_job(job)
    (table,) = job.folder.glob("rejects-duplicates-0000.parquet")
    assert len(read_table(str(table))) > 10
    assert sum(map(sum, shuffles)) <= MOST_BYTES * 300
    assert max(map(max, shuffles)) <= 5_000
