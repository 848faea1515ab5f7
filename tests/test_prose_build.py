"""Prose in a build: packed windows, byte pairs, evaluations kept out."""

import json
from pathlib import Path

import pytest

from crawl.demo.server import DemoServer
from shards import open_dataset
from shards.bpe import train_bpe
from tests.arboretum import run
from tests.builds import manifest_of, seedbed, table_rows
from tests.file_server import serve_files
from tests.test_build import copy_of


def texts_by_key(out: Path) -> dict[str, str]:
    return {str(row["key"]): str(row["text"]) for row in table_rows(out, "text", "documents-")}


@pytest.mark.parametrize(
    ("windows", "least_used"),
    [
        ("{packing: best_fit, context: 64}", 0.98),
        ("{packing: document, context: 32, stride: 16}", 0.5),
        pytest.param(
            "{tokenizer: bpe, vocab_size: 600, packing: best_fit, context: 128}", 0.98, marks=pytest.mark.slow
        ),
    ],
)
def test_every_word_of_a_packed_window_is_found_in_its_document(
    built: Path, server: DemoServer, tmp_path: Path, windows: str, least_used: float
):
    out = copy_of(built, tmp_path, ("crawl", "text"))
    run(server, out, f"windows={windows}", stages=("windows",))
    texts = texts_by_key(out)
    held: dict[str, set[int]] = {}
    num_tokens = num_positions = 0
    for split in manifest_of(out, "windows").splits:
        dataset = open_dataset(out / "windows", split)
        tokenizer = dataset.tokenizer  # type: ignore[union-attr]
        for number in range(len(dataset)):
            sample = dataset[number]
            num_tokens, num_positions = num_tokens + sample["meta"]["length"], num_positions + len(sample["tokens"])
            for piece in sample["meta"]["documents"]:
                whole = [*tokenizer.encode(texts[piece["key"]]).tolist(), tokenizer.eos_id]
                part = sample["tokens"][piece["offset"] : piece["offset"] + piece["length"]].tolist()
                assert part == whole[piece["start"] : piece["start"] + piece["length"]]
                held.setdefault(piece["key"], set()).update(range(piece["start"], piece["start"] + piece["length"]))
    assert held.keys() == texts.keys()
    for key, text in texts.items():
        assert held[key] == set(range(len(tokenizer.encode(text)) + 1))
    assert num_tokens >= least_used * num_positions
    assert seedbed("verify", str(out / "windows"), "--deep").returncode == 0


def test_texts_of_an_evaluation_are_kept_out_with_the_evidence(built: Path, server: DemoServer, tmp_path: Path):
    out, quiz = copy_of(built, tmp_path, ("crawl", "text")), tmp_path / "quiz.jsonl"
    key, text = next(iter(texts_by_key(out).items()))
    quiz.write_text(json.dumps({"id": 7, "question": [" ".join(text.split()[10:30]).upper()]}) + "\n", "utf-8")
    run(server, out, f"text.decontaminate=[{quiz}]", stages=("text",))
    assert key not in texts_by_key(out)
    rejects = [row for row in table_rows(out, "text", "rejects-") if row["reason"] == "contaminated"]
    assert len(rejects) == manifest_of(out, "text").counts.rejected["contaminated"] >= 1
    assert all(row["detail"].endswith("(quiz.jsonl, line 1)") for row in rejects)


def test_what_stages_read_besides_may_lie_behind_the_web(built: Path, server: DemoServer, tmp_path: Path):
    out, files = tmp_path / "build", tmp_path / "files"
    files.mkdir()
    key, text = next(iter(texts_by_key(built).items()))
    (files / "quiz.txt").write_text(" ".join(text.split()[10:30]) + "\n", "utf-8")
    tokenizer = train_bpe(texts_by_key(built).values(), 600)
    (files / "bpe.json").write_text(tokenizer.definition, "utf-8")
    with serve_files(files) as web:
        run(
            server,
            out,
            "crawl.allow_hosts=[arboretum.example, pictures.example, 127.0.0.1]",
            f"text.decontaminate=[{web.url}/quiz.txt]",
            f"windows={{tokenizer: bpe, tokenizer_file: '{web.url}/bpe.json'}}",
            stages=("crawl", "text", "windows"),
        )
    assert key not in texts_by_key(out)
    assert open_dataset(out / "windows", "train").tokenizer.sha256() == tokenizer.sha256()  # type: ignore[union-attr]
