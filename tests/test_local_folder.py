"""Folders of pictures, captions and texts, and what else may lie in them."""

import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crawl.damage import Damage
from crawl.decoding import FORMATS
from crawl.demo.folder import write_folder
from crawl.local_folder import LocalFile, read_folder
from crawl.pictures import READABLE_TYPES
from crawl.signatures import sniff_picture

PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "photos" / "anki-trees.tar.gz"


def _picture(media_format: str = "PNG") -> bytes:
    file = BytesIO()
    Image.new("RGB", (4, 4), "green").save(file, media_format)
    return file.getvalue()


def _folder(root: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def _read(root: Path) -> list[Any]:
    """Gives the files, damage as (path, reason)."""
    return [(item.source, item.reason) if isinstance(item, Damage) else item for item in read_folder(root, "trees")]


@pytest.mark.parametrize("media_format", FORMATS)
def test_pictures_are_known_by_their_content(tmp_path: Path, media_format: str):
    data = _picture(media_format)
    (file,) = _read(_folder(tmp_path, {"oak.dat": data}))
    expected = f"image/{media_format.lower()}"
    assert (file.kind, file.media_type, file.num_bytes) == ("image", expected, len(data))
    assert expected in READABLE_TYPES


def test_the_order_is_that_of_names_and_files_come_before_folders(tmp_path: Path):
    names = ["b.png", "a/z.png", "a.png", "a/b/c.png", "B.png", "c/x.png", "a-b.png"]
    found = _read(_folder(tmp_path, dict.fromkeys(names, _picture())))
    assert [file.path for file in found] == ["B.png", "a.png", "a-b.png", "b.png", "a/z.png", "a/b/c.png", "c/x.png"]


def test_captions_stand_beside_pictures(tmp_path: Path):
    files: dict[str, bytes | str] = {
        "ash.jpg": _picture("JPEG"),
        "elm.png": _picture(),
        "elm.txt": "\ufeffAn old\n elm ",
        "oak.jpg": _picture("JPEG"),
        "oak.json": json.dumps(
            {
                "caption": "An oak",
                "license": "CC BY-SA 4.0",
                "license_url": "https://creativecommons.org/licenses/by-sa/4.0/",
                "author": "Ann  Gardener",
                "url": "https://trees.example/oak#top",
                "height_m": 21.5,
                "é": [None, "\ud800"],
            }
        ),
    }
    ash, elm, oak = _read(_folder(tmp_path, files))
    assert ash == LocalFile("file:///trees/ash.jpg", "ash.jpg", "image", "image/jpeg", len(files["ash.jpg"]))
    assert (elm.path, elm.caption, elm.licence) == ("elm.png", "An old elm", "unknown")
    assert oak._replace(num_bytes=0) == LocalFile(
        url="file:///trees/oak.jpg",
        path="oak.jpg",
        kind="image",
        media_type="image/jpeg",
        num_bytes=0,
        caption="An oak",
        licence="CC-BY-SA-4.0",
        licence_url="https://creativecommons.org/licenses/by-sa/4.0/",
        author="Ann Gardener",
        page_url="https://trees.example/oak",
        extra='{"height_m": 21.5, "é": [null, "\ufffd"]}',
    )


@pytest.mark.parametrize(
    ("fields", "licence", "licence_url", "extra"),
    [
        ({"licence": "CC-BY-4.0"}, "CC-BY-4.0", "unknown", {}),
        ({"licence": "https://creativecommons.org/publicdomain/zero/1.0/"}, "CC0-1.0",
         "https://creativecommons.org/publicdomain/zero/1.0/", {}),
        ({"licence": "ask me"}, "ask me", "unknown", {}),
        ({"licence": 7, "author": None, "url": "oak", "caption": ["x"]}, "unknown", "unknown", {"url": "oak"}),
        ({"x": float("nan")}, "unknown", "unknown", {"x": None}),
    ],
)  # fmt: skip
def test_fields_are_taken_as_far_as_they_can_be(
    tmp_path: Path, fields: dict[str, Any], licence: str, licence_url: str, extra: dict[str, Any]
):
    (oak,) = _read(_folder(tmp_path, {"oak.png": _picture(), "oak.json": json.dumps(fields)}))
    assert (oak.licence, oak.licence_url, json.loads(oak.extra)) == (licence, licence_url, extra)
    assert (oak.caption, oak.author, oak.page_url) == ("", "unknown", "")


def test_a_caption_of_its_own_file_goes_first(tmp_path: Path):
    files: dict[str, bytes | str] = {
        "oak.png": _picture(),
        "oak.webp": _picture("WEBP"),
        "oak.txt": "txt",
        "oak.json": '{"caption": "json"}',
    }
    assert [(file.path, file.caption) for file in _read(_folder(tmp_path, files))] == [
        ("oak.png", "txt"),
        ("oak.webp", "txt"),
    ]


def test_texts_that_stand_beside_no_picture_are_documents(tmp_path: Path):
    files: dict[str, bytes | str] = {
        "a.txt": "a",
        "b.md": "# b",
        "c.HTML": "<p>c",
        "d.txt": "e".encode("utf-16"),
        "e.jpg.txt": "f",
    }
    found = _read(_folder(tmp_path, {**files, "oak.png": _picture(), "oak.txt": "caption"}))
    assert [(file.path, file.kind, file.media_type) for file in found] == [
        ("a.txt", "page", "text/plain"),
        ("b.md", "page", "text/markdown"),
        ("c.HTML", "page", "text/html"),
        ("d.txt", "page", "text/plain"),
        ("e.jpg.txt", "page", "text/plain"),
        ("oak.png", "image", "image/png"),
    ]


def test_every_file_nothing_comes_of_is_told(tmp_path: Path):
    root = _folder(
        tmp_path / "folder",
        {
            "a.svg": "<svg/>",
            "b.txt": b"\0\1\2",
            "c.png": b"",
            "d.json": "{}",
            "e.png": _picture(),
            "e.txt": b"\xff",
            "f.png": _picture(),
            "f.json": "[1]",
            "g.png": _picture(),
            "g.json": "[" * 100_000,
            "h.png": _picture(),
            "h.txt": b"x" * (2**20 + 1),
            ".hidden.png": _picture(),
            ".git/x.png": _picture(),
        },
    )
    found = _read(root)
    assert [item for item in found if not isinstance(item, LocalFile)] == [
        ("a.svg", "unsupported_type"),
        ("b.txt", "not_text"),
        ("c.png", "empty"),
        ("d.json", "unsupported_type"),
        ("e.txt", "not_utf8"),
        ("f.json", "bad_json"),
        ("g.json", "bad_json"),
        ("h.txt", "too_many_bytes"),
    ]
    assert [item.path for item in found if isinstance(item, LocalFile)] == ["e.png", "f.png", "g.png", "h.png"]


def test_nothing_outside_the_folder_is_read_and_no_loop_entered(tmp_path: Path):
    _folder(tmp_path, {"secret.png": _picture(), "folder/in.png": _picture(), "folder/sub/deep.png": _picture()})
    root = tmp_path / "folder"
    (root / "again.png").symlink_to("in.png")
    (root / "gone.png").symlink_to("nowhere")
    (root / "loop").symlink_to(".")
    (root / "out.png").symlink_to("../secret.png")
    (root / "self.png").symlink_to("self.png")
    (root / "up").symlink_to("..")
    os.mkfifo(root / "pipe.png")
    found = _read(root)
    assert [item if isinstance(item, tuple) and len(item) == 2 else item.path for item in found] == [
        "again.png",
        ("gone.png", "unreadable"),
        "in.png",
        ("loop", "linked_folder"),
        ("out.png", "outside_folder"),
        ("pipe.png", "not_a_file"),
        ("self.png", "unreadable"),
        ("up", "outside_folder"),
        "sub/deep.png",
    ]
    told = [item for item in read_folder(root) if isinstance(item, Damage)]
    assert not any(str(tmp_path) in item.text for item in told)


def test_a_name_that_is_no_text_is_told(tmp_path: Path):
    (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(_picture())
    assert _read(tmp_path) == [("?.png", "bad_name")]


def test_folders_may_lie_very_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    depth = (4_000 - len(str(tmp_path))) // 2
    monkeypatch.chdir(tmp_path)
    for _ in range(depth):
        Path("a").mkdir()
        os.chdir("a")
    Path("oak.png").write_bytes(_picture())
    os.chdir(tmp_path)
    found = _read(tmp_path)
    subprocess.run(["rm", "-r", "a"], check=True)  # pytest's own way down to it ends at Python's recursion limit
    assert [item.path for item in found] == ["a/" * depth + "oak.png"]


def test_the_url_is_the_same_on_every_machine(tmp_path: Path):
    for place in ("here", "there/below"):
        root = _folder(tmp_path / place / "my trees", {"é/#1?.png": _picture()})
        (file,) = read_folder(root)
        assert isinstance(file, LocalFile)
        assert file.url == "file:///my%20trees/%C3%A9/%231%3F.png"
    for path in ("/", "missing"):
        with pytest.raises((ValueError, NotADirectoryError)):
            list(read_folder(Path(path)))


@given(st.dictionaries(st.sampled_from(["a.png", "a.txt", "a.json", "b.txt", "c.html", "d"]), st.binary(max_size=40)))
def test_any_files_come_out_once_each(files: dict[str, bytes]):
    with tempfile.TemporaryDirectory() as folder:
        found = _read(_folder(Path(folder), {**files, "a.gif": b"GIF89a"}))
    names = [item.path if isinstance(item, LocalFile) else item[0] for item in found]
    assert len(names) == len(set(names))
    used = {"a.txt", "a.json"}
    assert set(names) | used == set(files) | {"a.gif"} | used


@given(st.binary(max_size=80), st.sampled_from([b"", b"BM", b"RIFF", b"\0\0\0\x20ftyp"]))
def test_any_bytes_may_be_sniffed(data: bytes, start: bytes):
    assert sniff_picture(start + data) in {"", *READABLE_TYPES}


def test_a_real_folder_of_photos(tmp_path: Path):
    if not PHOTOS.exists():
        pytest.skip(f"{PHOTOS} is not there")
    with tarfile.open(PHOTOS) as tar:
        tar.extractall(tmp_path, filter="data")
    found = list(read_folder(tmp_path))
    pictures = [item for item in found if isinstance(item, LocalFile) and item.kind == "image"]
    assert len(pictures) == 150
    assert {Path(item.source).suffix for item in found if isinstance(item, Damage)} <= {".json"}
    for item in pictures:
        with Image.open(tmp_path / item.path) as picture:
            assert Image.MIME[picture.format or ""] == item.media_type


def test_the_arboretum_can_be_had_as_a_folder(tmp_path: Path):
    write_folder(tmp_path, count=3)
    found = _read(tmp_path)
    assert all(isinstance(item, LocalFile) for item in found)
    pictures = [file for file in found if file.kind == "image"]
    assert [(file.media_type, file.licence, file.author) for file in pictures] == [
        ("image/jpeg", licence, "The Seedbed Arboretum") for licence in ("CC0-1.0", "CC-BY-4.0", "CC-BY-4.0")
    ]
    assert all(len(file.caption) > 20 for file in pictures)
    assert [file.kind for file in found].count("page") == 60
