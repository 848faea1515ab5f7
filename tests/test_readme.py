"""The README: its commands exist, its code runs, its tables name what there is."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.recipe import CrawlConfig, ImagesConfig, SplitConfig, TripletsConfig, WindowsConfig
from pipelines.score_recipe import ScoreConfig
from pipelines.section import Section
from pipelines.text_recipe import TextConfig
from tests.builds import manifest_of, seedbed

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"(?:^    .*\n|^\n)+", README, re.MULTILINE)


def _commands() -> list[str]:
    lines = [line.strip() for block in BLOCKS for line in block.splitlines()]
    return [line.removeprefix(".venv/bin/") for line in lines if line.startswith((".venv/bin/seedbed", "seedbed "))]


def test_every_command_has_a_help_page():
    names = {" ".join(word for word in shlex.split(line)[1:3] if word.isalpha()) for line in _commands()}
    first = {name.split()[0] for name in names}
    assert {"build", "show", "train", "generate"} <= first
    for name in first:
        assert seedbed(name, "--help").returncode == 0, name


def test_every_key_of_the_recipe_table_exists():
    sections: dict[str, type[Section]] = {
        "crawl": CrawlConfig,
        "images": ImagesConfig,
        "score": ScoreConfig,
        "split": SplitConfig,
        "text": TextConfig,
        "triplets": TripletsConfig,
        "windows": WindowsConfig,
    }
    table = README.partition("## Recipes")[2].partition("## ")[0]
    keys = re.findall(r"^\| `([a-z]+)\.([a-z_]+)`", table, re.MULTILINE)
    assert len(keys) >= 12
    for section, key in keys:
        assert key in sections[section].model_fields, f"{section}.{key}"


def test_what_comes_out_is_what_the_demo_builds(built: Path):
    table = README.partition("## What comes out")[2].partition("## ")[0]
    rows = dict(re.findall(r"^\| ([a-z]+) (\|.+)\|$", table, re.MULTILINE))
    rows.pop("stage")
    assert list(rows) == ["crawl", "images", "score", "text", "triplets", "windows"]
    for stage, row in rows.items():
        counts, splits = manifest_of(built, stage).counts, manifest_of(built, stage).splits
        told = [cell.strip() for cell in row.split("|")[1:]]
        reasons = [
            ", ".join(f"{n} {reason}" for reason, n in _ranked(found)) for found in (counts.rejected, counts.failed)
        ]
        number = int(told[1].replace(",", "").removesuffix(" samples"))
        assert [told[0].partition(" ")[0], number, *told[2:]] == [
            str(counts.records_in),
            sum(splits.values()) or counts.kept,
            *reasons,
        ]


def _ranked(found: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


# webdataset leaves the tars it has read to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_code_runs_on_what_the_demo_builds(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    code = [block for block in BLOCKS if "import" in block and "for " in block]
    assert len(code) == 2
    (tmp_path / "seedbed-demo").symlink_to(built)
    monkeypatch.chdir(tmp_path)
    for block in code:
        lines = [line[4:] for line in block.splitlines() if line.strip()]
        ends = "\n    break\n" if "state_dict" in block else "\n"
        exec(compile("\n".join(lines) + ends, "README.md", "exec"), {})


def test_it_is_under_250_lines_and_says_nothing_of_this_machine():
    assert len(README.splitlines()) < 250
    assert not re.search(r"/(work|root|tmp)/", README)
