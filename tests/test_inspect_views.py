"""What the views show is what stands in shards and tables: every number and picture is compared with its source."""

import html
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from models import denoiser, language
from pipelines.inspect.ladders import is_recomputed, noisy_at, percent_of
from pipelines.inspect.pixels import values_to_pixels
from pipelines.inspect.places import find_sample, key_of
from pipelines.inspect.sources import Source
from pipelines.inspect.views.windows import _piece, shown_token
from shards import open_dataset
from shards.dataset import WindowDataset
from shards.npy import npy_bytes
from shards.tokenizer import WordTokenizer, build_vocabulary, split_words
from shards.triplet import TripletSpec, encode_triplet, parse_triplet_key
from tests.builds import manifest_of, table_rows
from tests.inspected import client_of, keys_in, picture_at, text_of
from tests.tiny_datasets import draw_tree, write_triplets, write_windows
from tests.virtual_samples import LICENCES, write_virtual_build

TINY_RUN = ("--num-steps", "1", "--batch-size", "2", "--width", "16", "--report-steps", "1")
SPECS = {
    "interpolate": TripletSpec(8, seed=7),
    "add": TripletSpec(8, steps=4, schedule="add", sigma=2.0),
    "list": TripletSpec(8, steps=2, schedule="list", variances=(0.25, 1.0)),
    "sparse": TripletSpec(8, corruption="sparse"),
    "whiteout": TripletSpec(8, corruption="whiteout"),
    "draws": TripletSpec(8, steps=2, draws=3),
    "virtual": TripletSpec(8, steps=3, draws=2, mode="virtual"),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of 200 pictures with everything stored, and two trained models."""
    folder = write_virtual_build(tmp_path_factory.mktemp("views"), 200, 60, is_stored=True)
    assert denoiser.main([str(folder), "--out", str(folder / "runs" / "small"), *TINY_RUN]) == 0
    assert language.main([str(folder), "--out", str(folder / "runs" / "words"), *TINY_RUN, "--num-layers", "1"]) == 0
    return folder


@pytest.fixture(scope="module")
def client(out: Path) -> TestClient:
    return client_of(out)


@pytest.mark.parametrize("name", SPECS)
def test_a_picture_at_the_level_of_a_rung_is_that_rung_bit_for_bit(tmp_path: Path, name: str):
    spec = SPECS[name]
    write_triplets(tmp_path / "triplets", spec, {"train": [draw_tree(3, 8)]})
    dataset = open_dataset(tmp_path / "triplets")
    for number in range(len(dataset)):
        sample = dataset[number]
        key, step, draw = parse_triplet_key(sample["key"])
        percent = percent_of(spec, step)
        if 100 * step % spec.steps == 0:
            assert noisy_at(spec, key, sample["clean"], draw, percent).tobytes() == sample["noisy"].tobytes()
        assert is_recomputed(spec, sample)
        for changed in ("noise", "noisy"):
            other = sample | {changed: sample[changed] + np.float16(1)}
            assert not is_recomputed(spec, other)
        assert not is_recomputed(spec, sample | {"clean": 255 - sample["clean"]})


@pytest.mark.parametrize("mode", ["materialised", "virtual"])
def test_every_sample_is_found_by_its_key_in_any_number_of_shards(tmp_path: Path, mode: str):
    spec = TripletSpec(8, steps=3, draws=2, mode=mode)
    pictures = [draw_tree(seed, 8) for seed in range(11)]
    write_triplets(tmp_path / "triplets", spec, {"train": pictures}, samples_per_shard=4)
    dataset = open_dataset(tmp_path / "triplets")
    keys = [dataset[number]["key"] for number in range(len(dataset))]
    assert [key_of(dataset, number) for number in range(len(dataset))] == keys
    assert [find_sample(dataset, key) for key in keys] == list(range(len(dataset)))
    for unknown in ("0" * 32, "f" * 32 + "-k1-d0", keys[0][:32] + "-k4-d0", keys[0][:32] + "-k1-d2"):
        assert find_sample(dataset, unknown) is None
    client = client_of(tmp_path)
    for step in range(4):
        found = [key for first in range(0, 66, 24) for key in keys_in(client, f"/triplets?step={step}&first={first}")]
        assert sorted(found) == sorted(key for key in keys if not step or f"-k{step}-" in key)


def test_filters_show_what_has_them_and_nothing_else(client: TestClient, out: Path):
    rows = [row for row in table_rows(out, "images", "images-") if row["split"] == "train"]
    host = rows[0]["url"].split("/")[2]
    word = rows[0]["caption"].split()[0]
    wanted = {
        "licence=CC0-1.0": {row["key"] for row in rows if row["licence"] == "CC0-1.0"},
        f"host={host}": {row["key"] for row in rows if f"//{host}/" in row["url"]},
        f"word={word.upper()}": {row["key"] for row in rows if word.lower() in row["caption"].lower()},
        f"licence=CC0-1.0&host={host}": {
            r["key"] for r in rows if r["licence"] == "CC0-1.0" and f"//{host}/" in r["url"]
        },
    }
    for query, keys in wanted.items():
        found = [
            key for first in range(0, 240, 24) for key in keys_in(client, f"/triplets?{query}&step=2&first={first}")
        ]
        assert sorted(found) == sorted(f"{key}-k2-d0" for key in keys), query
        assert f"of {len(keys):,}" in text_of(client, f"/triplets?{query}&step=2")
    assert len(set(LICENCES)) == 4


def test_a_dataset_that_came_alone_is_filtered_by_its_records(out: Path, tmp_path: Path):
    (tmp_path / "triplets").symlink_to(out / "triplets")
    client = client_of(tmp_path)
    rows = [
        row for row in table_rows(out, "images", "images-") if row["split"] == "train" and row["licence"] == "CC0-1.0"
    ]
    found, path = [], "/triplets?licence=CC0-1.0&step=1"
    while path:
        page = client.get(path).text
        found += re.findall(r'href="/triplet\?key=([^"&]*)', page)
        following = re.search(r'<a rel="next" href="([^"]*)"', page)
        path = html.unescape(following[1]) if following else ""
    assert sorted(found) == sorted(f"{row['key']}-k1-d0" for row in rows)
    assert "evenly drawn: this dataset came without the tables" in text_of(client, "/fragment/charts")


def test_the_panels_of_a_triplet_are_its_arrays(client: TestClient, out: Path):
    dataset = Source(out).triplets("train")
    sample = dataset[17]
    where = f"split=train&key={sample['key']}"
    assert np.array_equal(picture_at(client, f"/picture/panel?{where}&panel=clean"), sample["clean"])
    assert np.array_equal(picture_at(client, f"/picture/panel?{where}&panel=noisy"), values_to_pixels(sample["noisy"]))
    assert np.array_equal(picture_at(client, f"/picture/ladder?{where}&percent=0"), sample["clean"])
    level = percent_of(dataset.spec, sample["step"])
    assert np.array_equal(
        picture_at(client, f"/picture/ladder?{where}&percent={level}"), values_to_pixels(sample["noisy"])
    )
    strip = picture_at(client, f"/picture/strip?{where}")
    assert np.array_equal(strip[:, 18:34], sample["clean"])
    page = text_of(client, f"/triplet?{where}")
    assert f"mean {sample['noise'].astype(float).mean():+.3f}" in page
    assert sample["meta"]["url"] in page
    assert "✓" in page


def test_stored_noise_that_is_another_is_ticked_off_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = TripletSpec(8, steps=1)
    write_triplets(tmp_path / "right" / "triplets", spec, {"train": [draw_tree(3, 8)]})

    def encode_wrongly(*arguments: Any, **more: Any) -> tuple[str, dict[str, bytes]]:
        key, members = encode_triplet(*arguments, **more)
        return key, members | {"noise.npy": npy_bytes(np.zeros(spec.shape, np.float16))}

    monkeypatch.setattr("tests.tiny_datasets.encode_triplet", encode_wrongly)
    write_triplets(tmp_path / "wrong" / "triplets", spec, {"train": [draw_tree(3, 8)]})
    assert "✓ recomputed noise equals stored" in text_of(client_of(tmp_path / "right"), "/triplet")
    assert "✗ recomputed noise differs from stored" in text_of(client_of(tmp_path / "wrong"), "/triplet")


def test_a_window_shows_its_words_the_next_ones_and_those_the_dictionary_lacks(client: TestClient, out: Path):
    dataset = Source(out).windows("val")
    texts = {row["key"]: row["text"] for row in table_rows(out, "text", "documents-")}
    num_unknown = 0
    for number in range(len(dataset)):
        sample = dataset[number]
        tokens = sample["tokens"][: sample["length"]].tolist()
        page = client.get(f"/window?split=val&key={sample['key']}").text
        chips = re.findall(r'<span class="chip([^"]*)" tabindex="0"(?: data-next="([^"]*)")?>([^<]*)</span>', page)
        assert [html.unescape(following) for _, following, _ in chips] == [
            *(shown_token(dataset.tokenizer.token(token)) for token in tokens[1:]),
            "",
        ]
        everything = " ".join(texts[piece["key"]] for piece in sample["meta"]["documents"])
        for token, (kind, _, word) in zip(tokens, chips, strict=True):
            assert ("unknown" in kind) == (token == 0)
            assert html.unescape(word) in everything if token == 0 else word
        num_unknown += tokens.count(0)
        parts = re.findall(r'<mark class="calm">([^<]*)</mark>', page)
        assert len(parts) == len(sample["meta"]["documents"])
        for part, piece in zip(parts, sample["meta"]["documents"], strict=True):
            own = dataset.tokenizer.encode(html.unescape(part)).tolist()
            assert own == [t for t in tokens[piece["offset"] : piece["offset"] + piece["length"]] if t != 1]
    assert num_unknown > 0


def test_the_funnel_is_that_of_the_manifests_and_leads_to_every_record(client: TestClient, out: Path):
    funnel = text_of(client, "/funnel")
    for stage in ("crawl", "images", "text"):
        counts = manifest_of(out, stage).counts
        rejected, failed = sum(counts.rejected.values()), sum(counts.failed.values())
        told = f"{counts.records_in:,} in = {counts.kept:,} kept + {rejected:,} rejected + {failed:,} failed"
        assert told in funnel
    rows = [row for row in table_rows(out, "images", "rejects-") if row["reason"] == "near_duplicate"]
    page = client.get("/rejects?stage=images&reason=rejected:near_duplicate").text
    assert f"of {len(rows)}" in page
    for row in rows:
        assert html.escape(row["key"]) in page
    for path in re.findall(r'src="(/picture/fetched[^"]*)"', page):
        assert picture_at(client, html.unescape(path)).shape[2] == 3


@pytest.mark.parametrize(("epoch", "rank", "world"), [(0, 0, 1), (0, 2, 3), (4, 1, 2)])
def test_the_trainers_batch_is_the_loaders_next(client: TestClient, out: Path, epoch: int, rank: int, world: int):
    dataset = open_dataset(out / "triplets")
    loader = dataset.loader(4, seed=5, rank=rank, world_size=world, noise="fresh")
    position = epoch * len(dataset) + 40
    loader.load_state_dict(loader.state_dict() | {"epoch": position // len(dataset), "position": position})
    batch = next(iter(loader))
    query = f"seed=5&epoch={epoch}&position=40&rank={rank}&world={world}&batch=4"
    for row in range(4):
        strip = picture_at(client, f"/picture/batch?{query}&row={row}")
        assert np.array_equal(strip[:, :16], values_to_pixels(batch["noisy"][row]))
        assert np.array_equal(strip[:, 18:34], batch["clean"][row])
    told = f"A loader whose state says position {position:,} delivers this next."
    assert told in text_of(client, f"/trainer?{query}")


def test_trained_models_are_shown_at_work(client: TestClient, out: Path):
    assert "small" in text_of(client, "/trainer")
    assert len(re.findall("squared error [0-9.]+", text_of(client, "/fragment/denoised?run=small&batch=4"))) == 4
    assert picture_at(client, "/picture/denoised?run=small&batch=4&row=3").shape == (16, 16, 3)
    grown = client.get("/fragment/grown?run=small").text
    assert len(re.findall("levels away", grown)) == 4
    known = {row["key"] for row in table_rows(out, "images", "images-") if row["split"] == "train"}
    nearest = set(re.findall(r"key=([0-9a-f]{32})-k", grown))
    assert nearest
    assert nearest <= known
    words = text_of(client, "/fragment/next_words?stage=windows&run=words&row=1&at=5")
    shares = [float(share) for share in re.findall(r"([0-9.]+) %", words)]
    assert 8 <= len(shares) <= 9
    assert shares[:8] == sorted(shares[:8], reverse=True)
    assert sum(shares) <= 100.5
    assert "came" in words
    windows = Source(out).windows("train")
    tokens = next(iter(windows.loader(8)))["tokens"][1]
    assert windows.tokenizer.decode(tokens[:6].tolist()) in words
    wrong = client.get("/fragment/denoised?run=words")
    assert (wrong.status_code, "it is one of small" in wrong.text) == (400, True)


def test_every_seed_of_64_bits_can_be_looked_at(client: TestClient):
    assert f"seed {2**64 - 1}," in text_of(client, f"/trainer?seed={2**64 - 1}")
    assert client.get(f"/trainer?seed={2**64}").status_code == 400


@pytest.mark.parametrize("view", ["windows", "triplets", "pictures"])
def test_behind_the_last_page_there_is_none(client: TestClient, view: str):
    number = int(re.findall(r"1 to \d+ of ([\d,]+)", text_of(client, f"/{view}"))[-1].replace(",", ""))
    assert f"none of {number:,}" in text_of(client, f"/{view}?first={number}")
    assert f"{number:,} to {number:,} of {number:,}" in text_of(client, f"/{view}?first={number - 1}")


def test_a_rung_that_no_whole_per_cent_is_is_told_as_it_is(tmp_path: Path):
    write_triplets(tmp_path / "triplets", TripletSpec(8, steps=8), {"train": [draw_tree(3, 8)]})
    dataset = open_dataset(tmp_path / "triplets")
    (key,) = [dataset[n]["key"] for n in range(8) if dataset[n]["step"] == 5]
    client = client_of(tmp_path)
    page = text_of(client, f"/triplet?key={key}")
    assert "noisy 62.5 %" in page
    assert "62.5 % static" in page
    assert "noisy 63 %" in text_of(client, f"/triplet?key={key}&percent=63")


def test_the_source_of_a_window_in_small_letters_is_marked_to_the_letter(tmp_path: Path):
    text = "İİİ İzmir has oaks. The elm stands by the river. " * 3
    words = Counter(split_words(text, True))
    tokenizer = WordTokenizer(build_vocabulary(words, 100), lower_case=True)
    dataset = open_dataset(write_windows(tmp_path / "windows", 8, {"train": [text]}, tokenizer))
    assert isinstance(dataset, WindowDataset)
    page, row = tokenizer.encode(text).tolist(), {"key": "k", "url": "u"}
    dots = tokenizer.encode("İ").tolist()[1:]
    whole = [start for start in range(len(page) - 8) if not {page[start], page[start + 8]} & set(dots)]
    assert len(whole) > 20
    for start in whole:
        piece = _piece(dataset, page, row | {"start": start, "length": 8, "offset": start}, text)
        assert tokenizer.encode(piece.within).tolist() == page[start : start + 8]
