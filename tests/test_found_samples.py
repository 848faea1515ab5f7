"""`seedbed show` finds what is asked for, says what it cannot show, and shows the rest."""

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from pipelines.found_samples import host_of
from tests.builds import seedbed, table_rows
from tests.test_terminal import ALL, KEY, shown
from tests.virtual_samples import STEPS


def keys_shown(*arguments: str | Path) -> list[str]:
    return KEY.findall(shown(*arguments))


@pytest.fixture(params=["virtual", "materialised"])
def dataset_out(request: pytest.FixtureRequest) -> Path:
    """A build of each kind, at least some of whose pictures come from each of several hosts."""
    out: Path = request.getfixturevalue("planted" if request.param == "virtual" else "built")
    return out


def test_without_a_step_each_picture_is_shown_once_at_one_step_after_the_other(dataset_out: Path):
    keys = keys_shown(dataset_out / "triplets", "--count", "12")
    assert [int(key.partition("-k")[2][0]) for key in keys] == [1 + number % STEPS for number in range(12)]
    assert len({key[:32] for key in keys}) == 12


def test_every_picture_is_found_when_all_are_asked_for(dataset_out: Path):
    split = "val"
    expected = {row["key"] for row in table_rows(dataset_out, "images", "images-") if row["split"] == split}
    if (dataset_out / "score").exists():
        expected &= {row["key"] for row in table_rows(dataset_out, "score", "scores-")}
    keys = keys_shown(dataset_out / "triplets", "--count", ALL, "--split", split)
    assert Counter(key[:32] for key in keys) == Counter(expected)


def test_step_and_key_choose_samples(dataset_out: Path):
    keys = keys_shown(dataset_out, "--step", "4", "--count", "9")
    assert [key[32:] for key in keys] == ["-k4-d0"] * 9
    picture = keys[3][:32]
    assert keys_shown(dataset_out, "--key", picture) == [f"{picture}-k{step}-d0" for step in range(1, STEPS + 1)]
    assert keys_shown(dataset_out, "--key", picture[:9], "--step", "2") == [f"{picture}-k2-d0"]
    assert keys_shown(dataset_out, "--key", f"{picture}-k5-d0") == [f"{picture}-k5-d0"]
    window = keys_shown(dataset_out / "windows", "--count", "3")[2]
    assert keys_shown(dataset_out, "--key", window) == [window]


def test_host_and_search_choose_samples(planted: Path):
    rows = {row["key"]: row for row in table_rows(planted, "images", "images-") if row["split"] == "train"}
    for host in ("trees-33.example", "TREES-33.example.", "trees-30.example"):
        expected = {key for key, row in rows.items() if host_of(row["url"]) == host.lower().strip(".")}
        keys = keys_shown(planted / "triplets", "--count", ALL, "--host", host)
        assert {key[:32] for key in keys} == expected
        assert len(expected) in (4, 5)
    expected = {key for key, row in rows.items() if "behind the HOUSE".casefold() in row["caption"].casefold()}
    keys = keys_shown(planted / "triplets", "--count", ALL, "--search", "behind the HOUSE")
    assert {key[:32] for key in keys} == expected
    assert expected
    text = shown(planted / "windows", "--count", ALL, "--search", "tel", "--host", "trees-34.example")
    assert set(re.findall(r"https://([^/]*)/", text)) >= {"trees-34.example"}


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("--step", "9"), 1, "its ladder has the steps 1 to 5, no step 9"),
        (("--step", "0"), 2, "--step"),
        (("--key", "../../etc"), 1, "'../../etc' is no key"),
        (("--host", "nowhere.example"), 1, "no sample has --host nowhere.example"),
        (("--search", "a giant sequoia"), 1, "no sample has --search 'a giant sequoia'"),
        (("--split", "dev"), 1, "have no sample in dev"),
        (("--reason", "too_green"), 1, "nothing was turned away as 'too_green'; there is broken_image, "),
        (("--rejects", "--host", "x.example"), 1, "nothing that was turned away has --host x.example"),
    ],
)
def test_what_cannot_be_shown_is_one_clear_line(planted: Path, arguments: tuple[str, ...], status: int, told: str):
    done = seedbed("show", planted, *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert len(done.stderr.splitlines()) == 1
    assert told in done.stderr


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nowhere", "is not a folder"),
        ("", "nothing was committed there"),
        ("out/images", "neither triplets nor windows were built there, but images"),
        ("half", "nothing was committed there"),
    ],
)
def test_a_folder_that_is_no_dataset_is_one_clear_line(planted: Path, tmp_path: Path, place: str, told: str):
    shutil.copytree(planted / "images", tmp_path / "out" / "images")
    (tmp_path / "half" / "triplets" / "0123456789ab").mkdir(parents=True)
    done = seedbed("show", tmp_path / place)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert told in done.stderr


def test_what_is_damaged_is_told_of_and_the_rest_is_shown(planted: Path, tmp_path: Path):
    shutil.copytree(planted / "triplets", tmp_path / "triplets")
    (tar,) = (tmp_path / "triplets").glob("*/train-000000.tar")
    whole = keys_shown(tmp_path, "--count", ALL)
    content = bytearray(tar.read_bytes())
    content[content.index(b"\x93NUMPY") + 200] ^= 1
    tar.write_bytes(content)
    done = seedbed("show", tmp_path, "--count", ALL)
    assert done.returncode == 1
    assert "is damaged: clean.npy has another CRC-32C" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(KEY.findall(done.stdout)) == len(whole) - 1
    tar.unlink()
    done = seedbed("show", tmp_path, "--count", ALL)
    assert done.returncode == 1
    assert "train-000000.tar is missing" in done.stderr
    assert KEY.findall(seedbed("show", tmp_path, "--split", "val").stdout) != []
