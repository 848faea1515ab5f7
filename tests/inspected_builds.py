"""Builds to inspect, and what is looked for on their page in a real browser.

After each visit the console must have been quiet, no host but loopback asked for anything, and no planted script run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from models import denoiser, language
from tests.browser import Visit, visiting
from tests.planted import PLANTED
from tests.virtual_samples import write_virtual_build

TINY_RUN = ("--num-steps", "1", "--batch-size", "2", "--width", "16", "--report-steps", "1")
PICTURES = 400

PATIENCE_MS = 20_000
"""For what a machine that does much else may take; what is there is not waited for."""
expect.set_options(timeout=PATIENCE_MS)


def write_gardens(folder: Path) -> tuple[Path, Path]:
    """Writes a build with hostile text everywhere and two trained models, and one of which more was turned away."""
    out = write_virtual_build(folder / "garden", PICTURES, 300, PLANTED, is_stored=True)
    assert denoiser.main([str(out), "--out", str(out / "runs" / "trees"), *TINY_RUN]) == 0
    assert language.main([str(out), "--out", str(out / "runs" / "words"), *TINY_RUN, "--num-layers", "1"]) == 0
    return out, write_virtual_build(folder / "other", PICTURES, 300, PLANTED, is_stored=True, one_of=10)


@contextmanager
def quiet_visit(browser: Browser, address: str, **context: Any) -> Iterator[Visit]:
    """A page of its own in the browser; what is done there must be quiet and lead nowhere that is not there."""
    with visiting(browser, base_url=address, **context) as visit:
        visit.page.set_default_timeout(PATIENCE_MS)
        yield visit
        settle(visit.page)
        visit.check_quiet()
        assert [answer for answer in visit.answers if answer[0] >= 400] == []


def settle(page: Page) -> None:
    """Waits until everything that comes later has come."""
    while page.evaluate(
        "(place => { place?.scrollIntoView(); return Boolean(place) })(document.querySelector('.later[aria-busy]'))"
    ):
        page.wait_for_timeout(20)
    page.wait_for_load_state("networkidle")


def pixels(page: Page, selector: str) -> list[list[int]]:
    """The colours of a picture as the browser has decoded it, row by row, (H W, 3)."""
    found: list[list[int]] = page.eval_on_selector(
        selector,
        """async image => {
            await image.decode();
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight), pen = canvas.getContext("2d");
            pen.drawImage(image, 0, 0);
            const {data} = pen.getImageData(0, 0, canvas.width, canvas.height);
            return Array.from({length: data.length / 4}, (_, n) => [data[4 * n], data[4 * n + 1], data[4 * n + 2]]);
        }""",
    )
    return found


def are_drawn(page: Page, selector: str) -> bool:
    """Whether every picture there is on the page could be decoded; those below the window are brought into it."""
    for image in page.locator(selector).all():
        image.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    drawn: bool = page.eval_on_selector_all(selector, "all => all.length > 0 && all.every(i => i.naturalWidth > 1)")
    return drawn
