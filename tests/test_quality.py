"""Quality by model: a head trained on good and bad texts scores documents, the same wherever it is asked."""

import gzip
import json
import math
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lxml import html
from rich.console import Console

from crawl.quality import parse_head, score_text
from models import classifier
from models.heads import SCORE_DIGITS, Head, read_head
from models.ngrams import ngram_matrix
from models.runs import RunFolder
from pipelines.build import build
from pipelines.errors import RecipeError, StageError
from pipelines.load_recipe import check_recipe
from tests.builds import manifest_of, table_rows
from tests.test_classifier import BAD, GOOD, sorted_texts

ARTICLES = Path(__file__).parents[2] / "shared" / "data" / "pages" / "article-extraction.tar.gz"
TEXTS = [
    "",
    "oak",
    "The old oak stands. The OLD oak stood!",
    "Élan\u2028naïve — 木 \U0001f333 …",
    "a lone \ud800 surrogate",
    "word " * 5000,
    " ".join(f"w{number % 700}" for number in range(9000)),
]


def _head(features: str = "ngrams", num_places: int = 4096, seed: int = 0) -> Head:
    weights = np.random.default_rng(seed).normal(0, 3, num_places).astype(np.float32)
    return Head("good", features, 0, weights, 0.25, {})


def test_a_text_has_the_score_that_the_trained_head_gives_it():
    head = _head()
    features = ngram_matrix(TEXTS, len(head.weights)).to_dense().numpy()
    asked = parse_head(head.to_bytes())
    scores = [score_text(text, asked) for text in TEXTS]
    assert scores == [head.score(row) for row in features]
    assert len(set(scores)) == len(TEXTS)
    assert all(round(score, SCORE_DIGITS) == score for score in scores)
    assert scores[0] == round(1 / (1 + math.exp(-0.25)), SCORE_DIGITS)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"oak", "no trained head"),
        (b"{}", "KeyError: 'weights'"),
        (_head("pixels").to_bytes(), "trained on 'pixels'; give one trained on texts"),
        (_head(num_places=0).to_bytes(), "0 weights"),
        (Head("good", "ngrams", 0, np.array([np.nan], np.float32), 0.0).to_bytes(), "1 weights, not all finite"),
    ],
)
def test_what_is_no_head_of_texts_is_refused(content: bytes, told: str):
    with pytest.raises(ValueError, match="head") as refused:
        parse_head(content)
    assert told in str(refused.value)


def _recipe(folder: Path, head: Path, at_least: float = 0.5) -> Any:
    data = {
        "name": "judged",
        "contact": "gardener@example.org",
        "crawl": {"sources": {"texts": {"source": "folder", "path": str(folder)}}},
        "text": {
            **{"min_sentences": 0, "gopher_quality": None, "gopher_repetition": None},
            "quality": {"head": str(head), "at_least": at_least},
        },
    }
    return check_recipe(data, "judged.yaml")


def _build(recipe: Any, out: Path, workers: int = 1) -> str:
    build(recipe, out, recipe.stages(), workers, Console(quiet=True))
    return manifest_of(out, "text").fingerprint


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(5):
        (folder / f"good-{number}.txt").write_text(f"{'. '.join(GOOD[number:] + GOOD[:number])}, seen in {number}.")
        (folder / f"bad-{number}.txt").write_text(f"{'! '.join(BAD[number:] + BAD[:number])} {number}!")
    return folder


@pytest.fixture
def head(tmp_path: Path) -> Path:
    folder = sorted_texts(tmp_path / "sorted", 15)
    lines = (folder / "bad.jsonl").read_text("utf-8").split("\n")
    bad = [json.loads(line)["text"] for line in lines]
    (folder / "bad.jsonl").unlink()
    pq.write_table(pa.table({"id": list(range(15)), "text": bad}), folder / "bad.parquet")
    chosen = ["--topic", "good", "--penalty", "1e-3", "--held-out", "0.3"]
    assert classifier.main([str(folder), "--out", str(tmp_path / "run"), *chosen]) == 0
    assert read_head(tmp_path / "run" / "head.json").about["data"]["train"]["other"] > 5
    return tmp_path / "run" / "head.json"


def test_a_build_turns_bad_texts_away_and_keeps_every_score(texts: Path, head: Path, tmp_path: Path):
    fingerprint = _build(_recipe(texts, head), tmp_path / "out")
    asked = parse_head(head.read_bytes())
    kept = {Path(row["url"]).stem: row for row in table_rows(tmp_path / "out", "text", "documents-")}
    assert kept.keys() == {f"good-{number}" for number in range(5)}
    assert all(row["quality_score"] == score_text(row["text"], asked) >= 0.5 for row in kept.values())
    assert all("quality" in row["filters"].split(",") for row in kept.values())
    rejects = {Path(row["key"]).stem: row for row in table_rows(tmp_path / "out", "text", "rejects-")}
    for number in range(5):
        text = (texts / f"bad-{number}.txt").read_text()
        row = rejects[f"bad-{number}"]
        assert (row["reason"], row["detail"]) == ("low_quality_score", f"{score_text(text, asked):.4f} < 0.5")
    assert manifest_of(tmp_path / "out", "text").counts.rejected == {"low_quality_score": 5}

    # Where the head lies decides nothing; what stands in it does, and so does the threshold
    moved = head.rename(tmp_path / "moved.json")
    assert _build(_recipe(texts, moved), tmp_path / "out") == fingerprint
    assert _build(_recipe(texts, moved, at_least=0), tmp_path / "out") != fingerprint
    assert len(table_rows(tmp_path / "out", "text", "documents-")) == 10
    moved.write_bytes(_head().to_bytes())
    assert _build(_recipe(texts, moved), tmp_path / "out") != fingerprint


def test_a_head_that_cannot_be_had_is_named_before_any_work(texts: Path, tmp_path: Path):
    path = tmp_path / "head.json"
    with pytest.raises(StageError, match=r"text: .*head\.json: no such file; check the files that the recipe names"):
        _build(_recipe(texts, path), tmp_path / "out")
    path.write_bytes(_head("pixels").to_bytes())
    with pytest.raises(StageError, match=r"text\.quality\.head .*head\.json: a head trained on 'pixels'"):
        _build(_recipe(texts, path), tmp_path / "out")
    with pytest.raises(RecipeError, match=r"text\.quality\.at_least"):
        _recipe(texts, path, at_least=1.5)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (pa.table({"body": ["oak"]}), "No match for FieldRef|text"),
        (pa.table({"text": ["oak", None]}), "row 2: its text is no string"),
    ],
)
def test_a_table_without_texts_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], table: Any, told: str):
    folder = sorted_texts(tmp_path / "sorted", 2)
    pq.write_table(table, folder / "more.parquet")
    assert classifier.main([str(folder), "--topic", "good", "--out", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err
    assert "more.parquet: cannot be read" in said
    assert any(each in said for each in told.split("|"))


def _sorted_articles(folder: Path) -> Iterator[tuple[str, str]]:
    """Of each page its article, as a person marked it, and the rest of its lines: menus, teasers, notices."""
    with tarfile.open(ARTICLES) as tar:
        tar.extractall(folder, filter="data")
    root = folder / "article-extraction"
    for name, held in json.loads((root / "ground-truth.json").read_text("utf-8")).items():
        page = gzip.decompress((root / "html" / f"{name}.html.gz").read_bytes())
        tree = html.fromstring(page, parser=html.HTMLParser(encoding="utf-8"))
        for element in tree.xpath("//script|//style|//noscript|//template"):
            element.drop_tree()
        article = " ".join(held["articleBody"].split())
        lines = (" ".join(line.split()) for line in tree.text_content().split("\n"))
        yield held["articleBody"], "\n".join(line for line in lines if line and line not in article)


@pytest.mark.skipif(not ARTICLES.exists(), reason="needs ../shared/data/pages")
def test_a_head_tells_articles_from_what_stands_around_them(tmp_path: Path):
    folder = tmp_path / "sorted"
    folder.mkdir()
    for label, found in zip(("good", "bad"), zip(*_sorted_articles(tmp_path), strict=True), strict=True):
        long = [text for text in found if len(text.split()) >= 50]
        (folder / f"{label}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in long), "utf-8")
    chosen = ["--topic", "good", "--penalty", "1e-3", "--tolerance", "1e-4"]
    assert classifier.main([str(folder), "--out", str(tmp_path / "run"), *chosen]) == 0
    results = RunFolder(tmp_path / "run").results()
    assert results is not None
    assert results["held_out"]["auc"] >= 0.95
    assert results["held_out"]["accuracy"] >= 0.85
