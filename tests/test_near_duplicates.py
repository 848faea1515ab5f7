"""Near duplicates: PDQ, what is found beside what, and builds that keep one picture of each cluster."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.console import Console

from crawl.demo.trees import draw_picture, survey
from crawl.likeness import ENOUGH, LIKENESS, Look, look_at, shrink, transposed
from crawl.pdq import MAX_DISTANCE, hash_of
from crawl.picture_filters.settings import NO_FILTERS
from crawl.picture_filters.sketch import draw_sketch
from crawl.similar_pairs import (
    MAX_AMONG,
    MAX_LOOKED_UP,
    components,
    count_tasks,
    search_tasks,
    similar_pairs,
    unique_pairs,
)
from pipelines.build import build
from pipelines.forget import forget
from pipelines.load_recipe import check_recipe
from pipelines.near_duplicates import find_pairs
from pipelines.receipts import STAGING, receipt_names, remove_receipt
from pipelines.staging import create_staged, staged_name
from pipelines.verify import print_faults
from tests.builds import manifest_of, table_rows
from tests.reference_pdq import dihedral_forms, hamming_distance, pdq

PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "photos"
TREES, SCENES = PHOTOS / "anki-trees.tar.gz", PHOTOS / "scenes.tar.gz"
"""Photographs of some 800 by 1,000 pixels, and of 150 by 150."""

KEPT = 0.9**0.5

TURNS = (
    None,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_270,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.TRANSVERSE,
)


def _drawn(number: int, side: int = 256) -> Image.Image:
    return draw_picture(survey(0, 12)[number]).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)


def _look(picture: Image.Image) -> Look:
    """How a picture looks to the images stage."""
    reduced = picture.reduce(max(1, min(picture.size) // ENOUGH))
    sketch = draw_sketch(reduced, reduced.size, picture.size)
    return look_at(shrink(reduced, sketch.picture, reduced.size, picture.size))


def _looks(pictures: list[Image.Image]) -> NDArray[np.void]:
    return np.frombuffer(b"".join(_look(picture).likeness for picture in pictures), LIKENESS)


def _pairs(looks: NDArray[np.void], **most: int) -> list[tuple[int, int]]:
    found = unique_pairs(np.concatenate([similar_pairs(looks, task) for task in search_tasks(len(looks), **most)]))
    return [(int(one), int(two)) for one, two in found]


def test_pdq_is_that_of_the_reference_implementation():
    """The reference's hash of a picture that is made of waves, as `pdqhash` 0.2.8 gives it."""
    down, across = np.mgrid[0:200, 0:300]
    grey = 128 + 60 * np.sin(down / 23) * np.cos(across / 31) + 40 * np.sin((down * across) / 4000)
    found = pdq(grey.astype(np.uint8))
    assert (hamming_distance(found.hash, bytes.fromhex(REFERENCE_HASH)) <= 2, found.quality) == (
        True,
        REFERENCE_QUALITY,
    )


REFERENCE_HASH = "55538aa155532aa35553aaa55553aaa95553aaad5553aaa5554a5552aaacfff0"
REFERENCE_QUALITY = 100


def test_the_eight_forms_are_the_hashes_of_the_turned_pictures():
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    picture = Image.fromarray(noise).resize((1024, 1024), Image.Resampling.BICUBIC)
    forms = [hash_of(form) for form in dihedral_forms(pdq(np.asarray(picture)).coefficients)]
    turned = [picture if turn is None else picture.transpose(turn) for turn in TURNS]
    apart = [hamming_distance(form, pdq(np.asarray(each)).hash) for form, each in zip(forms, turned, strict=True)]
    assert max(apart) <= 16, apart
    assert len({*forms}) == 8


def test_a_reduced_picture_has_nearly_the_hash_of_the_whole():
    picture = _drawn(1, 1024).convert("L")
    whole, small = pdq(np.asarray(picture)), pdq(np.asarray(picture.reduce(8)), picture.size[::-1])
    assert hamming_distance(whole.hash, small.hash) <= 8


@pytest.mark.parametrize("shape", [(4, 100), (100, 4), (1, 1)])
def test_a_sliver_has_no_hash(shape: tuple[int, int]):
    assert pdq(np.zeros(shape, np.uint8)).quality == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60))
def test_components_are_what_walking_from_one_to_the_next_reaches(edges: list[tuple[int, int]]):
    label = components(np.array(edges, np.int64).reshape(-1, 2), 31)
    reached = list(range(31))
    for _ in range(31):
        for one, two in edges:
            reached[one] = reached[two] = min(reached[one], reached[two])
    assert label.tolist() == reached


def _random_looks(count: int) -> NDArray[np.void]:
    drawn = np.random.default_rng(0)
    looks = np.zeros(count, LIKENESS)
    looks["quality"] = 100
    looks["whole"] = drawn.integers(0, 2**64, (count, 4), np.uint64)
    looks["parts"] = drawn.integers(0, 2**64, (count, 13, 4), np.uint64)
    looks["colours"] = drawn.integers(0, 256, (count, 4, 4, 3))
    return looks


def test_every_pair_within_the_distance_is_found_turned_or_not_and_none_beyond():
    looks, drawn = _random_looks(4000), np.random.default_rng(1)
    expected = []
    for row in range(0, 1200, 2):
        errors = np.zeros(256, np.uint8)
        errors[drawn.choice(256, MAX_DISTANCE + row % 4 // 2, replace=False)] = 1  # 31 and 32 in turns
        looks[row + 1] = looks[row]
        looks["parts"][row + 1] = looks["parts"][row + 2]
        looks["whole"][row + 1] ^= np.packbits(errors).view("<u8")
        if row % 3 == 1:
            looks["whole"][row + 1] ^= np.array([0, 0, 2**64 - 1, 2**64 - 1], np.uint64)
            looks["colours"][row + 1] = looks["colours"][row + 1][:, ::-1]
        if row % 3 == 2:
            looks["whole"][row + 1] = transposed(looks["whole"][row + 1 : row + 2])[0]
            looks["colours"][row + 1] = looks["colours"][row + 1].transpose(1, 0, 2)
        if row % 4 == 0:
            expected.append((row, row + 1))
    assert _pairs(looks) == expected
    assert _pairs(looks, max_rows=1500, max_among=1100) == expected


@given(st.integers(0, 100), st.integers(1, 30), st.integers(1, 30))
def test_the_tasks_of_a_search_compare_each_picture_with_each_once(count: int, max_rows: int, max_among: int):
    seen = np.zeros((4, count, count), int)
    for word, rows, among in search_tasks(count, max_rows, max_among):
        assert rows[1] - rows[0] <= max_rows
        assert among[1] - among[0] <= max_among
        seen[word, slice(*rows), slice(*among)] += 1
    assert (seen == 1).all()


def test_a_task_of_a_search_that_has_a_receipt_is_not_done_again(tmp_path: Path):
    looks = _random_looks(40)
    looks["whole"][1::2], looks["colours"][1::2] = looks["whole"][::2], looks["colours"][::2]
    with create_staged(tmp_path, "looks") as staged:
        staged.write(looks.tobytes())
    tasks = list(search_tasks(len(looks)))
    assert [find_pairs(task, tmp_path) for task in tasks] == [(0, task) for task in tasks]
    found = {path.name: path.read_bytes() for path in (tmp_path / STAGING).iterdir()}
    assert len(found) == 1 + len(tasks)
    (tmp_path / staged_name("looks")).unlink()
    assert [find_pairs(task, tmp_path) for task in tasks] == [(0, task) for task in tasks]
    for name in receipt_names(tmp_path)[:1]:
        remove_receipt(tmp_path, name)
    with pytest.raises(FileNotFoundError):
        [find_pairs(task, tmp_path) for task in tasks]


def test_a_plan_counts_the_tasks_of_a_search():
    for count in (0, 1, MAX_LOOKED_UP + 1, 3 * MAX_AMONG + 1):
        assert count_tasks(count) == len(list(search_tasks(count)))


def test_pictures_with_other_colours_or_nothing_to_see_are_no_copies():
    looks = _random_looks(6)
    looks["whole"][1::2] = looks["whole"][::2]
    looks["colours"][1], looks["colours"][5] = looks["colours"][0], looks["colours"][4]
    looks["quality"][4] = 49
    assert _pairs(looks) == [(0, 1)]


def _photographs(archive: Path, every: int) -> Iterator[Image.Image]:
    """Every so many-th of the photographs in an archive, at 512 pixels or little more where they are larger."""
    if not archive.exists():
        pytest.skip(f"{archive} is not there")
    with tarfile.open(archive) as tar:
        for member in [member for member in tar if member.name.endswith(".jpg")][::every]:
            file = tar.extractfile(member)
            assert file
            picture = Image.open(io.BytesIO(file.read()))
            picture.draft("RGB", (512, 512))
            yield picture.convert("RGB")


def _smaller(picture: Image.Image, part: int, whole: int) -> Image.Image:
    return picture.resize([side * part // whole for side in picture.size], Image.Resampling.LANCZOS)


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _cut(picture: Image.Image, left: float, top: float) -> Image.Image:
    """The picture without a tenth of its area; 0 and 0 cut right and below, 1 and 1 left and above."""
    width, height = (round(KEPT * side) for side in picture.size)
    x, y = round(left * (picture.width - width)), round(top * (picture.height - height))
    return picture.crop((x, y, x + width, y + height))


CHANGES: dict[str, tuple[float, Callable[[Image.Image, np.random.Generator], Image.Image]]] = {
    "half": (0.95, lambda picture, _: _smaller(picture, 1, 2)),
    "two thirds": (0.95, lambda picture, _: _smaller(picture, 2, 3)),
    "jpeg 40": (0.95, lambda picture, _: _jpeg(picture, 40)),
    "jpeg 95": (0.95, lambda picture, _: _jpeg(picture, 95)),
    "grey": (0.95, lambda picture, _: picture.convert("L").convert("RGB")),
    "mirrored": (0.95, lambda picture, _: ImageOps.mirror(picture)),
    "turned": (0.95, lambda picture, _: picture.transpose(Image.Transpose.ROTATE_90)),
    "cut all round": (0.85, lambda picture, _: _cut(picture, 0.5, 0.5)),
    "cut anywhere": (0.85, lambda picture, drawn: _cut(picture, drawn.random(), drawn.random())),
    "cut below": (0.85, lambda picture, _: picture.crop((0, 0, picture.width, round(0.9 * picture.height)))),
    "cut and mirrored": (0.85, lambda picture, drawn: ImageOps.mirror(_cut(picture, drawn.random(), drawn.random()))),
    "askew by 1°": (0.85, lambda picture, _: picture.rotate(1, Image.Resampling.BICUBIC)),
}


def test_the_hash_of_a_draft_is_nearly_that_of_the_whole_photograph():
    apart = []
    for photograph in _photographs(TREES, 3):
        draft = photograph.resize([max(1, round(side * 160 / min(photograph.size))) for side in photograph.size])
        seen = look_at(shrink(draft, draft, draft.size, photograph.size))
        apart.append(hamming_distance(seen.pdq.hash, pdq(np.asarray(photograph.convert("L"))).hash))
    assert sorted(apart)[int(0.9 * len(apart))] <= 10
    assert max(apart) <= 20


@pytest.mark.parametrize(("archive", "every", "count"), [(TREES, 3, 43), (SCENES, 27, 98)], ids=["large", "small"])
def test_copies_of_real_photographs_are_found_and_nothing_else(archive: Path, every: int, count: int):
    photographs, drawn = list(_photographs(archive, every)), np.random.default_rng(0)
    assert len(photographs) == count
    alone = _looks(photographs)
    assert _pairs(alone) == [], "photographs of different things"
    for name, (least, change) in CHANGES.items():
        copies = _looks([change(photograph, drawn) for photograph in photographs])
        pairs = _pairs(np.concatenate([alone, copies]))
        right = [(one, two) for one, two in pairs if two == one + count]
        assert len(right) == len(pairs), name
        print(f"{name}: {len(right) / count:.2f}")
        assert len(right) >= least * count, name


def _save(folder: Path, name: str, picture: Image.Image) -> None:
    picture.save(folder / name)
    (folder / f"{Path(name).stem}.json").write_text(
        json.dumps({"caption": f"The {name}", "licence": "CC BY 4.0", "author": "Ann"})
    )


def _built(out: Path, pictures: Path, **images: object) -> Path:
    data = {
        "name": "twins",
        "contact": "gardener@example.org",
        "crawl": {"sources": {"pictures": {"source": "folder", "path": str(pictures)}}},
        "images": {"size": 64, **images},
        "triplets": {"mode": "virtual"},
    }
    recipe = check_recipe(data, "twins.yaml")
    build(recipe, out, recipe.stages(), 1, Console(quiet=True))
    return out


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures; of the first there are a smaller, a mirrored and a cut copy."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(6):
        _save(folder, f"oak-{number}.png", _drawn(number, 300))
    _save(folder, "small.png", _drawn(0, 150))
    _save(folder, "mirrored.png", ImageOps.mirror(_drawn(0, 200)))
    _save(folder, "cut.png", _cut(_drawn(0, 300), 0.5, 0.5))
    return folder


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def test_of_a_cluster_the_largest_goes_on_and_the_others_name_it(pictures: Path, tmp_path: Path):
    out = _built(tmp_path / "out", pictures)
    kept = {_name(row["url"]): row for row in table_rows(out, "images", "images-")}
    assert sorted(kept) == [f"oak-{number}.png" for number in range(6)]
    rejects = [row for row in table_rows(out, "images", "rejects-") if row["reason"] == "near_duplicate"]
    assert sorted(_name(row["key"]) for row in rejects) == ["cut.png", "mirrored.png", "small.png"]
    assert {row["detail"] for row in rejects} == {kept["oak-0.png"]["key"]}
    assert all(len(row["perceptual_hash"]) == 64 for row in kept.values())


def test_near_duplicates_that_are_kept_share_cluster_and_split(pictures: Path, tmp_path: Path):
    out = _built(tmp_path / "out", pictures, near_duplicates="keep")
    rows = {_name(row["url"]): row for row in table_rows(out, "images", "images-")}
    alike = [rows[name] for name in ("oak-0.png", "small.png", "mirrored.png", "cut.png")]
    assert len(rows) == 9
    assert {row["cluster"] for row in alike} == {min(row["key"] for row in alike)}
    assert len({row["split"] for row in alike}) == 1
    others = [row for row in rows.values() if row not in alike]
    assert all(row["cluster"] == row["key"] for row in others)


def test_near_duplicates_that_are_ignored_are_clusters_of_their_own(pictures: Path, tmp_path: Path):
    out = _built(tmp_path / "out", pictures, near_duplicates="ignore")
    rows = table_rows(out, "images", "images-")
    assert len(rows) == 9
    assert all(row["cluster"] == row["key"] for row in rows)
    assert {row["perceptual_hash"] for row in rows} == {"unknown"}
    assert print_faults(str(out), True, Console(quiet=True)) == 0


def test_a_clean_picture_names_the_filters_that_were_on(pictures: Path, tmp_path: Path):
    def filters(name: str, **images: object) -> str:
        (found,) = {
            row["filters"] for row in table_rows(_built(tmp_path / name, pictures, **images), "images", "images-")
        }
        return str(found)

    first, last = "format,pixels,side,aspect", "exact_duplicate,same_pixels"
    every = f"{first},flat,blur,colour,drawing,text,places,{last},near_duplicate"
    assert filters("all", filters={}) == every
    assert filters("licensed", filters={}, licences="known") == f"licence,{every}"
    assert filters("few", filters={**asdict(NO_FILTERS), "min_contrast": 8}) == f"{first},flat,{last},near_duplicate"
    assert filters("none", filters=asdict(NO_FILTERS), near_duplicates="keep") == f"{first},{last}"


def _attribution(out: Path, stage: str) -> list[str]:
    """The lines in force, without what stands above them."""
    folder = out / stage / manifest_of(out, stage).fingerprint
    return (folder / "ATTRIBUTION").read_text().splitlines()[2:]


def test_the_attribution_names_author_licence_and_address(pictures: Path, tmp_path: Path):
    out = _built(tmp_path / "out", pictures)
    for stage in ("images", "triplets"):
        lines = _attribution(out, stage)
        assert [line.split("\t")[:2] for line in lines] == [["CC-BY-4.0", "Ann"]] * 6, stage
        assert [_name(line.split("\t")[2]) for line in lines] == [f"oak-{number}.png" for number in range(6)]


def test_what_is_forgotten_goes_from_the_attribution(pictures: Path, tmp_path: Path):
    out = _built(tmp_path / "out", pictures)
    gone = next(row for row in table_rows(out, "images", "images-") if _name(row["url"]) == "oak-3.png")
    before = {stage: _attribution(out, stage) for stage in ("images", "triplets")}
    forget(out, [("sha256", gone["sha256"])])
    for stage, lines in before.items():
        assert _attribution(out, stage) == [line for line in lines if gone["url"] not in line], stage
        assert len(lines) == 6
        entries = {file.path: file for file in manifest_of(out, stage).files}
        assert entries["ATTRIBUTION"].records == 5


def test_a_recipe_turns_away_licences_it_does_not_name(pictures: Path, tmp_path: Path):
    (tmp_path / "pictures").mkdir()
    for number, licence in enumerate(("CC BY 4.0", "CC BY-NC 4.0", "")):
        _save(tmp_path / "pictures", f"oak-{number}.png", _drawn(number))
        told = {"licence": licence} if licence else {}
        (tmp_path / "pictures" / f"oak-{number}.json").write_text(json.dumps(told))
    out = _built(tmp_path / "out", tmp_path / "pictures", licences=["CC-BY-4.0", "CC0-1.0"])
    assert [row["licence"] for row in table_rows(out, "images", "images-")] == ["CC-BY-4.0"]
    reasons = sorted(row["reason"] for row in table_rows(out, "images", "rejects-"))
    assert reasons == ["licence_not_allowed", "unknown_licence"]
