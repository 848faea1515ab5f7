"""What all tests share: settings, and the arboretum built once."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, Page

from crawl.demo.server import DemoServer, serve
from pipelines.demo import SEED
from shards.object_path import AnyPath, ObjectPath
from tests.arboretum import run
from tests.browser import running_chromium
from tests.object_store import ObjectStore, object_store

# Shared machines stall: a slow example is no failure. The number of examples stays the default.
settings.register_profile("seedbed", deadline=None)
settings.load_profile("seedbed")

LONG = (
    "test_writing.py",
    "test_demo.py",
    "test_text_duplicates.py",
    "test_object_builds.py",
    "test_snapshots.py",
    "test_forget.py",
    "test_build.py",
    "test_crawl_kills.py",
    "test_wikimedia_build.py",
)
"""Files of tests that take the longest, which goes first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Has the longest files begun first: of several processes none is left with one when the others are done."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session")
def server() -> Iterator[DemoServer]:
    """The arboretum's web site, running."""
    with serve(SEED) as running:
        yield running


@pytest.fixture(scope="session")
def built(server: DemoServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, built with one worker; not to be changed."""
    out = tmp_path_factory.mktemp("arboretum")
    run(server, out)
    return out


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An S3 server, running; what is put there needs a name of its own."""
    with object_store(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture
def s3_folder(s3: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    """An empty folder on the server, whose keys and endpoint stand in the environment."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return ObjectPath(f"s3://{s3.bucket}/{secrets.token_hex(8)}")


@pytest.fixture(params=["disk", "store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> AnyPath:
    """An empty folder: first one on disk, then one on the S3 server."""
    if request.param == "store":
        found: ObjectPath = request.getfixturevalue("s3_folder")
        return found
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for the tests of one file: Playwright's loop runs in this thread until it closes."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small build in which every kind of crawled text is hostile; not to be changed."""
    from tests.planted import PLANTED  # noqa: PLC0415 - what writes it loads Beam
    from tests.virtual_samples import write_virtual_build  # noqa: PLC0415

    out = tmp_path_factory.mktemp("planted") / "out"
    return write_virtual_build(out, pictures=200, windows=300, planted=PLANTED, is_stored=True)


@pytest.fixture(scope="session")
def gardens(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two builds to inspect, see `write_gardens`; not to be changed."""
    from tests.inspected_builds import write_gardens  # noqa: PLC0415 - loads Beam and torch

    return write_gardens(tmp_path_factory.mktemp("gardens"))


@pytest.fixture(scope="module")
def site(gardens: tuple[Path, Path]) -> Iterator[str]:
    """The address of the page that shows the first build beside the second."""
    from tests.inspected import serving  # noqa: PLC0415

    with serving(*gardens) as address:
        yield address


@pytest.fixture
def page(chromium: Browser, site: str) -> Iterator[Page]:
    """A page of the browser, there to be led about the site; in the end it must have been quiet."""
    from tests.inspected_builds import quiet_visit  # noqa: PLC0415

    with quiet_visit(chromium, site) as visit:
        yield visit.page
