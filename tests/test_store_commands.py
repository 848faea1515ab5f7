"""Commands that look at a build in a store say of it what they say of one on disk; the others why they cannot."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shards.object_path import ObjectPath, files_below
from tests.builds import manifest_bytes, manifest_of, seedbed, table_rows
from tests.object_store import ObjectStore
from tests.test_build import copy_of

STAGES = ("crawl", "images", "score", "text", "triplets", "windows")


@pytest.fixture(scope="module")
def stored(built: Path, s3: ObjectStore) -> Iterator[ObjectPath]:
    """The demo's build, in the store; what a test changes there it puts back."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        yield copy_of(built, ObjectPath(f"s3://{s3.bucket}/stored"), STAGES)


def said(*arguments: str | Path | ObjectPath, out: Path | ObjectPath) -> tuple[int, str]:
    """Exit status of a command and what it printed, without the folder's name."""
    done = seedbed(*arguments)
    assert "Traceback" not in done.stderr
    return done.returncode, (done.stdout + done.stderr).replace(str(out), "OUT")


def test_a_url_and_keys_have_the_same_story(built: Path, stored: ObjectPath) -> None:
    page = next(row for row in table_rows(built, "text", "documents-"))
    picture = next(row for row in table_rows(built, "images", "images-"))
    for name in (page["url"], page["key"], picture["key"]):
        told = [said("explain", out, name, out=out) for out in (built, stored)]
        assert told[0] == told[1]
        assert told[1][0] == 0
        assert len(told[1][1].splitlines()) > 5
    assert said("explain", stored, "https://example.org/never", out=stored)[0] == 1


@pytest.mark.parametrize("command", [("show", "--count", "2"), ("stats", "--json"), ("stats",)], ids=" ".join)
def test_samples_and_numbers_are_the_same(built: Path, stored: ObjectPath, command: tuple[str, ...]) -> None:
    name, *options = command
    told = [said(name, out, *options, out=out) for out in (built, stored)]
    assert told[0] == told[1]
    assert told[1][0] == 0
    assert told[1][1]


def test_an_export_from_a_store_has_the_same_bytes(built: Path, stored: ObjectPath, tmp_path: Path) -> None:
    for name, out in (("disk", built), ("store", stored)):
        assert said("export", "parquet", out / "windows", tmp_path / name, out=out)[0] == 0
    assert files_below(tmp_path / "disk") == files_below(tmp_path / "store")
    for path in files_below(tmp_path / "disk"):
        if path.endswith(".parquet"):
            assert (tmp_path / "disk" / path).read_bytes() == (tmp_path / "store" / path).read_bytes()


def test_verify_looks_at_all_that_it_looks_at_on_disk(built: Path, stored: ObjectPath) -> None:
    told = [said("verify", out, "--deep", out=out) for out in (built, stored)]
    assert told[0] == told[1]
    assert told[1][0] == 0


def test_verify_finds_a_leftover_and_a_changed_document_in_a_store(stored: ObjectPath) -> None:
    manifest = manifest_of(stored, "windows")
    folder = stored / "windows" / manifest.fingerprint
    (folder / "left.tmp").write_text("over")
    status, told = said("verify", stored / "windows", out=stored)
    assert (status, "left.tmp: is not in the manifest" in told) == (1, True), told
    (folder / "left.tmp").unlink()
    text = manifest_of(stored, "text")
    path = stored / "text" / text.fingerprint / "manifest.json"
    before = path.read_bytes()
    path.write_bytes(before + b"\n")
    status, told = said("verify", stored / "windows", out=stored)
    assert (status, "it was made from another OUT/text/" in told) == (1, True), told
    path.write_bytes(before)


def test_what_is_forgotten_in_a_store_is_forgotten_as_on_disk(
    built: Path, s3_folder: ObjectPath, tmp_path: Path
) -> None:
    picture = next(row for row in table_rows(built, "images", "images-"))
    story = next(row for row in table_rows(built, "text", "documents-"))
    asked = ("--url", picture["url"], "--url", story["url"])
    told = []
    for out in (copy_of(built, tmp_path, STAGES), copy_of(built, s3_folder, STAGES)):
        told.append(said("forget", out, *asked, out=out))
        assert said("verify", out, "--deep", out=out)[0] == 0
    assert told[0] == told[1]
    assert told[1][0] == 0
    assert manifest_bytes(tmp_path, STAGES) == manifest_bytes(s3_folder, STAGES)
    before = {f"{stage}/{manifest_of(built, stage).fingerprint}/" for stage in STAGES}
    assert not [name for name in s3_folder.listing() if name.startswith(tuple(before))]
    status, again = said("forget", s3_folder, *asked, out=s3_folder)
    assert (status, "Nothing in OUT came from there" in again) == (0, True), again


@pytest.mark.parametrize(
    "command",
    [
        ("inspect", "OUT"),
        ("report", "OUT"),
        ("sheet", "OUT"),
        ("show", "OUT", "--rejects"),
        ("plan", "--measure", "OUT"),
        ("doctor", "--out", "OUT"),
        ("export", "parquet", "OUT/windows", "OUT/export"),
    ],
    ids=" ".join,
)
def test_what_takes_a_folder_of_this_machine_says_so(command: tuple[str, ...]) -> None:
    out = "s3://bucket/OUT"
    done = seedbed(*(each.replace("OUT", out) for each in command))
    assert done.returncode == 2
    assert "lies in a store; this command takes a folder of this machine: copy it here" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_builds_are_compared_on_this_machine_alone(built: Path, stored: ObjectPath) -> None:
    for pair in ((stored, built), (built, stored)):
        status, told = said("diff", *pair, out=stored)
        assert (status, told) == (1, "seedbed: OUT is not on this machine; copy it here to compare it\n")
