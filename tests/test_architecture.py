"""The rooms and who may call whom: the arrows of the architecture, read from the imports themselves."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("crawl", "shards", "models", "pipelines")

MAY_IMPORT = {
    "crawl": set(),
    "shards": set(),
    "models": {"shards"},
    "pipelines": {"crawl", "shards"},
}
MODELS_ALLOWED_IN = ("pipelines/score.py", "pipelines/inspect/", "pipelines/commands/")

ONLY_IN = {
    "aiohttp": ("crawl/",),
    "requests": ("crawl/",),
    "bs4": ("crawl/",),
    "ada_url": ("crawl/",),
    "trafilatura": ("crawl/",),
    "py3langid": ("crawl/",),
    "resiliparse": ("crawl/",),
    "lxml": ("crawl/",),
    "torch": ("models/", "shards/tensors.py", "shards/triton_noise.py"),
    "triton": ("shards/triton_noise.py",),
    "matplotlib": ("models/", "pipelines/inspect/"),
    "apache_beam": ("pipelines/",),
    "grpc": ("pipelines/flink/jobs.py", "pipelines/flink/ready.py"),
    "pydantic": ("pipelines/",),
    "typer": ("pipelines/",),
    "psutil": ("pipelines/",),
    "jinja2": ("pipelines/inspect/",),
    "markupsafe": ("pipelines/inspect/",),
    "starlette": ("pipelines/inspect/",),
    "uvicorn": ("pipelines/inspect/",),
    "webdataset": ("shards/",),
    "airflow": ("airflow/",),
}
READING_PATH = {"numpy", "pyarrow", "PIL", "fsspec", "crc32c"}
FETCHING = (
    "crawl/exchange.py",
    "crawl/pinned.py",
    "crawl/ranges.py",
    "crawl/http.py",
    "crawl/addresses.py",
    "crawl/resolver.py",
)
FLINK = "pipelines/flink/rest.py"
"""Opens connections, to a cluster that the command line names, never to the web."""
WRITERS_OF_CONNECTIONS = ("aiohttp", "requests", "socket", "urllib.request", "urllib3", "http.client")


def _files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    """Dotted names that a file imports, those inside functions and `if TYPE_CHECKING` among them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            names.add(node.module)
    return names


def _top(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_it_may(room: str):
    for path in _files(room):
        place = path.relative_to(ROOT).as_posix()
        others = {_top(name) for name in _imports(path)} & (set(ROOMS) | {"tests"}) - {room}
        allowed = MAY_IMPORT[room] | ({"models"} if place.startswith(MODELS_ALLOWED_IN) else set())
        assert others <= allowed, f"{place} imports {sorted(others - allowed)}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_third_party_package_stays_in_its_rooms(room: str):
    for path in _files(room):
        place = path.relative_to(ROOT).as_posix()
        for name in {_top(name) for name in _imports(path)} & ONLY_IN.keys():
            assert place.startswith(ONLY_IN[name]), f"{place} imports {name}"


def test_reading_and_training_need_only_a_few_packages():
    for room in ("shards", "models"):
        for path in _files(room):
            outside = {_top(name) for name in _imports(path)} - set(sys.stdlib_module_names) - {"shards", "models"}
            optional = {"torch", "matplotlib", "triton", "webdataset", "tokenizers"}
            assert outside <= READING_PATH | optional, f"{path}: {sorted(outside)}"


def test_only_the_fetching_modules_open_connections():
    for room in ROOMS:
        for path in _files(room):
            place = path.relative_to(ROOT).as_posix()
            if place in (*FETCHING, FLINK) or place.startswith("crawl/demo/"):
                continue
            used = _imports(path) & set(WRITERS_OF_CONNECTIONS)
            assert not used, f"{place} imports {sorted(used)}"


def test_the_command_line_imports_nothing_heavy_before_a_command_runs():
    code = "import sys, pipelines.cli; print(' '.join({name.partition('.')[0] for name in sys.modules}))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"apache_beam", "torch", "pyarrow", "pydantic", "numpy", "aiohttp", "bs4", "PIL", "yaml"}


@pytest.mark.parametrize(
    "module",
    [
        *("models.classifier", "models.denoiser", "models.language", "models.scale", "models.nearest"),
        *("models.lecture.replay", "shards"),
    ],
)
def test_training_runs_where_beam_and_pydantic_are_not_installed(module: str):
    absent = ("apache_beam", "pydantic", "aiohttp", "requests", "bs4", "trafilatura", "typer", "webdataset", "psutil")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import {module}; from shards import open_dataset"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", ["pipelines.show", "pipelines.verify", "pipelines.stats"])
def test_looking_at_a_dataset_needs_the_base_installation_alone(module: str):
    absent = (
        "apache_beam",
        "aiohttp",
        "requests",
        "bs4",
        "trafilatura",
        "ada_url",
        "lxml",
        "psutil",
        "jinja2",
        "torch",
    )
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import pipelines.cli, {module}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dags_import_airflow_and_each_other_alone_and_stand_in_no_package():
    folder = ROOT / "airflow"
    assert not [path for path in _tracked() if path.startswith("airflow/") and path.endswith("__init__.py")]
    own = {path.stem for path in (folder / "dags").glob("*.py")}
    for path in [*(folder / "dags").glob("*.py"), *folder.glob("*.py")]:
        outside = {_top(name) for name in _imports(path)} - set(sys.stdlib_module_names)
        assert outside <= own | {"airflow", "yaml"}, path


def test_no_room_has_a_drawer_for_everything():
    for room in ROOMS:
        for path in _files(room):
            assert path.stem not in {"utils", "util", "common", "helpers", "misc"}, path


def test_nothing_else_stands_at_the_top():
    allowed = {*ROOMS, "tests", "airflow", "pyproject.toml", "README.md", "Makefile", "constraints.txt", "LICENSE"}
    tracked = {line.partition("/")[0] for line in _tracked()}
    assert {name for name in tracked if not name.startswith(".")} <= allowed | {"CHANGELOG.md"}


def _tracked() -> list[str]:
    return subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
