"""What all tests share: settings, and the arboretum built once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from crawl.demo.server import DemoServer, serve
from pipelines.demo import SEED
from tests.arboretum import run

# Shared machines stall: a slow example is no failure. The number of examples stays the default.
settings.register_profile("seedbed", deadline=None)
settings.load_profile("seedbed")


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
