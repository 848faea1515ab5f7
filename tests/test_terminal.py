"""`seedbed show` in a terminal: any width, with colours or without, whatever the crawled text holds."""

import os
import pty
import re
import struct
import subprocess
import termios
import unicodedata
from fcntl import ioctl
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len

from pipelines.harmless import harmless
from pipelines.strips import GAP, LABEL_HEIGHT, SHOWN_SIDE
from pipelines.terminal import HALF_BLOCK, RAMP, fitted
from shards import open_dataset
from tests.builds import SEEDBED, manifest_of, seedbed
from tests.tiny_datasets import write_windows

SGR = re.compile(r"\x1b\[([0-9;]*)m")
KEY = re.compile(r"^(?:window )?([0-9a-f]{32}(?:-k\d+-d\d+)?)$", re.MULTILINE)
ALL = "1000"


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def shown(*arguments: str | Path) -> str:
    done = seedbed("show", *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def controls(text: str) -> set[str]:
    return {letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co") and letter != "\n"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("an oak", "an oak"),
        ("an\noak\r\n\tby  the sea", "an oak by the sea"),
        ("\x1b]0;owned\x07\x1b[31m", r"\x1b]0;owned\x07\x1b[31m"),
        ("\x9b31m\x90q\x9c", r"\x9b31m\x90q\x9c"),
        ("a\u202eb\u2066c\ufeffd\U000e0041", r"a\u202eb\u2066c\ufeffd\U000e0041"),
        ("\x00\x08\x7f", r"\x00\x08\x7f"),
        ("a\u2028b\u2029c\x85d\x1ce", "a b c d e"),
        ("\ue000 and \ud800", r"\ue000 and \ud800"),
        ("نمی\u200cخواهم", "نمی\u200cخواهم"),
        ("Äste, 樹, 🌳", "Äste, 樹, 🌳"),
        ("a" * 500, "a" * 400 + "..."),
    ],
)
def test_harmless_text_is_one_line_without_a_control_character(text: str, told: str):
    assert harmless(text) == told


@pytest.mark.parametrize(("encoding", "told"), [("ascii", "?ste, ?"), ("latin-1", "Äste, ?"), ("utf-8", "Äste, 樹")])
def test_what_a_terminal_has_no_letter_for_is_a_question_mark(encoding: str, told: str):
    assert harmless("Äste, 樹", encoding) == told


@pytest.mark.parametrize("more", [(), ("--rejects",)])
def test_nothing_crawled_reaches_the_terminal_as_more_than_letters(
    planted: Path, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    plain = shown(planted, "--count", ALL, *more)
    assert controls(plain) == set()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    coloured = shown(planted, "--count", ALL, *more)
    assert HALF_BLOCK in coloured
    assert controls(SGR.sub("", coloured)) == set()
    for number in (1, 28, 30):  # they were there to be met
        assert f"seedbedPlanted={number}" in plain


@pytest.mark.parametrize("columns", [80, 40, 20])
@pytest.mark.parametrize("more", [(), ("--rejects",)])
def test_no_line_but_an_address_is_wider_than_the_terminal(
    planted: Path, columns: int, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = shown(planted, "--count", "40", *more).splitlines()
    wide = [line for line in lines if cell_len(line) > columns]
    assert [line for line in wide if not re.match(r"(\d+ )?(https://|javascript:)", line)] == []
    assert max(len(line) for line in lines if "://" not in line) > 0.8 * columns


def test_colours_are_those_of_the_picture_two_pixels_a_letter(planted: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    text = shown(planted / "triplets", "--count", "1")
    key = KEY.search(SGR.sub("", text))
    assert key is not None
    dataset = open_dataset(planted / "triplets")
    clean = next(sample["clean"] for sample in map(dataset.__getitem__, range(len(dataset))) if sample["key"] == key[1])
    cells = re.findall(r"\x1b\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀", text)
    found = np.array(cells, int).reshape(8, 3, 16, 2, 3)  # line, picture, column, upper and lower, colour
    assert (found[:, 1].transpose(0, 2, 1, 3).reshape(16, 16, 3) == clean).all()


def test_fewer_colours_or_none_where_the_terminal_has_no_more(planted: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = shown(planted, "--count", "1")
    assert re.search(r"\x1b\[38;5;\d+;48;5;\d+m▀", text)
    assert "38;2;" not in text
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(planted, "--count", "1")
    assert all(set(code.split(";")) <= {"0", "1", "2", "7"} for code in SGR.findall(text))
    assert HALF_BLOCK not in text
    monkeypatch.delenv("NO_COLOR")
    for terminal in ("linux-16color", "dumb"):
        monkeypatch.setenv("TERM", terminal)
        assert HALF_BLOCK not in shown(planted, "--count", "1")
    monkeypatch.delenv("FORCE_COLOR")
    assert SGR.search(shown(planted, "--count", "1")) is None


def test_bright_places_are_bright_letters(planted: Path):
    lines = shown(planted / "triplets", "--count", "1").splitlines()
    clean = np.array([[RAMP.index(letter) for letter in line[27:43].ljust(16)] for line in lines[2:10]])
    key = KEY.search("\n".join(lines))
    assert key is not None
    dataset = open_dataset(planted / "triplets")
    sample = next(s for s in map(dataset.__getitem__, range(len(dataset))) if s["key"] == key[1])
    bright = sample["clean"].astype(float).mean(axis=2).reshape(8, 2, 16).mean(axis=1)
    assert np.corrcoef(clean.ravel(), bright.ravel())[0, 1] > 0.97


def in_terminal(columns: int, *arguments: str | Path, **surroundings: str) -> bytes:
    """What `seedbed show …` writes to a real terminal of this width."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    command = [SEEDBED, "show", *map(str, arguments)]
    environment = os.environ | surroundings
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment) as process:
        os.close(theirs)
        pieces = []
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # a terminal's way to say that the other end is closed
                break
            if not piece:
                break
            pieces.append(piece)
    os.close(ours)
    assert process.returncode == 0, b"".join(pieces)
    return b"".join(pieces).replace(b"\r\n", b"\n")


def test_a_real_terminal_of_40_columns_gets_half_blocks(planted: Path):
    text = in_terminal(40, planted, "--count", "1", "--key", "0", LC_ALL="C.UTF-8").decode()
    lines = SGR.sub("", text).splitlines()
    assert max(line.count(HALF_BLOCK) for line in lines) == 2 * 16
    assert max(cell_len(line) for line in lines if "://" not in line) <= 40


def test_a_terminal_that_is_not_utf_8_gets_letters_it_has(planted: Path, tmp_path: Path):
    raw = in_terminal(80, planted, "--count", "40", LC_ALL="C.UTF-8", PYTHONIOENCODING="iso-8859-1:strict")
    text = SGR.sub("", raw.decode("ascii"))
    assert controls(text) == set()
    assert any(set(line) <= set(RAMP) and len(line) > 40 for line in text.splitlines())
    write_windows(tmp_path / "windows", 4, {"train": ["Das Grün der Äste, 樹木 ."]})
    raw = in_terminal(80, tmp_path, LC_ALL="C.UTF-8", PYTHONIOENCODING="iso-8859-1:strict")
    assert "Das Grün der Äste" in raw.decode("iso-8859-1")
    assert ", ??." in raw.decode("iso-8859-1")


def test_windows_mark_the_next_word_and_show_the_end_of_a_long_context(tmp_path: Path):
    words = " ".join(f"word{number}" for number in range(300))
    write_windows(tmp_path / "windows", 256, {"train": [words]})
    text = shown(tmp_path, "--count", "1", "--search", "word0")
    assert text.splitlines()[1].startswith("... ")
    assert "word254 word255 [word256]" in " ".join(text.split())
    assert "word100 " not in text


def test_rejects_are_shown_by_reason_with_their_numbers(built: Path):
    text = shown(built, "--rejects", "--count", "2")
    told = re.findall(r"^(\w+): (\w+), ([\d,]+) (rejected|failed)$", text, re.MULTILINE)
    expected = [
        (stage, reason, f"{number:,}", fate)
        for stage in ("crawl", "images", "score", "text")
        for fate in ("rejected", "failed")
        for reason, number in sorted(
            getattr(manifest_of(built, stage).counts, fate).items(), key=lambda item: (-item[1], item[0])
        )
    ]
    assert told == expected
    assert "3 < 25 at a quick look\n  All about" in shown(built, "--reason", "too_few_words")
    one = shown(built, "--reason", "extreme_aspect")
    assert re.findall(r"^(\w+): (\w+),", one, re.MULTILINE) == [("images", "extreme_aspect")]
    assert "avenue.jpg\n  6.00 > 3" in one
    assert any(len(line) == 24 and set(line) <= set(RAMP) for line in one.splitlines()), "the picture itself"


def test_pictures_are_written_as_png_under_names_of_ours(planted: Path, tmp_path: Path):
    text = shown(planted / "triplets", "--count", "6", "--png", tmp_path / "png")
    keys = KEY.findall(text)
    paths = sorted((tmp_path / "png").iterdir())
    assert [path.name for path in paths] == sorted(f"triplet-{key}.png" for key in keys)
    assert all(str(path) in text for path in paths)
    dataset = open_dataset(planted / "triplets")
    samples = {sample["key"]: sample for sample in map(dataset.__getitem__, range(len(dataset)))}
    with Image.open(tmp_path / "png" / f"triplet-{keys[2]}.png") as strip:
        assert strip.size == (GAP + 3 * (SHOWN_SIDE + GAP), SHOWN_SIDE + 2 * LABEL_HEIGHT + GAP)
        left = GAP + SHOWN_SIDE + GAP
        clean = strip.crop((left, LABEL_HEIGHT, left + SHOWN_SIDE, LABEL_HEIGHT + SHOWN_SIDE)).resize((16, 16), 0)
    assert (np.asarray(clean) == samples[keys[2]]["clean"]).all()
    shown(planted, "--reason", "flat", "--png", tmp_path / "rejects")
    names = [path.name for path in (tmp_path / "rejects").iterdir()]
    assert len(names) == 4
    assert all(re.fullmatch(r"flat-[0-9a-f]{16}\.png", name) for name in names)


def test_large_pictures_keep_their_single_pixels_and_small_ones_grow_by_whole_numbers():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    small = fitted(noise, 26)
    assert small.shape == (26, 26, 3)
    assert {tuple(pixel) for pixel in small.reshape(-1, 3)} <= {tuple(pixel) for pixel in noise.reshape(-1, 3)}
    grey = np.arange(25, dtype=np.uint8).reshape(5, 5, 1)
    grown = fitted(grey, 13)
    assert grown.shape == (10, 10, 3)
    assert (grown[::2, ::2] == grey).all()
    assert fitted(np.zeros((1, 400, 3), np.uint8), 24).shape == (2, 24, 3)
    assert fitted(np.zeros((400, 1, 3), np.uint8), 24).shape == (48, 1, 3)


def test_other_commands_and_errors_spell_out_control_characters_too(planted: Path):
    dataset = open_dataset(planted / "windows")
    window = next(
        sample
        for sample in map(dataset.__getitem__, range(len(dataset)))
        if any("\x1b]0;owned" in piece["url"] for piece in sample["meta"]["documents"])
    )
    done = seedbed("explain", planted, window["key"])
    assert done.returncode == 0
    assert r"\x1b]0;owned\x07" in done.stdout
    assert controls(done.stdout) == set()
    done = seedbed("show", planted / "no\x1b[2J\x07where")
    assert done.returncode == 1
    assert r"no\x1b[2J\x07where is not a folder" in done.stderr
    assert controls(done.stderr) == set()
