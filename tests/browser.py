"""A real browser for tests of what is served: Debian's Chromium through Playwright, watched while it looks."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, sync_playwright

from tests.planted import TAINT

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
"""Where the machine has it; that of Playwright's own is never fetched."""

FLAGS = (
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--no-proxy-server",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
)
"""What keeps the browser on this machine, and its pictures the same on each."""

SERIOUS = ("serious", "critical")
"""What axe calls the findings that keep somebody out."""

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")


@dataclass
class Visit:
    """One page in the browser, and all that was heard while it was open.

    Attributes:
        page: Playwright's.
        errors: what the console called an error, and exceptions that nobody caught.
        hosts: every host that something was asked of, with how often.
        dialogs: what `alert` and its like said.
        answers: status of each answer, by its address.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    hosts: dict[str, int] = field(default_factory=dict)
    dialogs: list[str] = field(default_factory=list)
    answers: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def of(cls, page: Page) -> Self:
        """A page whose every word is kept from now on."""
        visit = cls(page)
        page.on("console", visit._heard)
        page.on("pageerror", lambda error: visit.errors.append(f"uncaught: {error}"))
        page.on("request", visit._asked)
        page.on("dialog", visit._dismissed)
        page.on("response", lambda answer: visit.answers.append((answer.status, answer.url)))
        return visit

    def open(self, url: str) -> float:
        """Goes to an address; returns the milliseconds from the request to all of it loaded and drawn."""
        self.page.goto(url, wait_until="load")
        return self.loaded_ms()

    def loaded_ms(self) -> float:
        """The milliseconds from the last request for a page to its `load` event's end, by the browser's own clock."""
        self.page.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
        return float(self.page.evaluate("performance.getEntriesByType('navigation')[0].duration"))

    def answered_ms(self) -> float:
        """The milliseconds from the last request for a page to the last byte of its answer."""
        return float(self.page.evaluate("performance.getEntriesByType('navigation')[0].responseEnd"))

    def check_quiet(self) -> None:
        """Fails where the console had an error, a host beyond loopback was asked, or a planted script ran."""
        assert not self.errors, f"{self.page.url}: {self.errors}"
        away = {host: count for host, count in self.hosts.items() if host not in LOOPBACK}
        assert not away, f"{self.page.url} asked {away}"
        assert not self.dialogs, f"{self.page.url}: a script said {self.dialogs}"
        ran = self.page.evaluate(f"window.{TAINT} ?? null")
        assert ran is None, f"{self.page.url}: a planted script ran: {ran}"

    def serious_findings(self) -> list[str]:
        """What axe-core finds serious or worse: rule, help, and the elements it is about."""
        self.page.evaluate(AXE.read_text("utf-8"))
        found: dict[str, Any] = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']} ({each['impact']}): {each['help']}: {node['html']} {node.get('failureSummary', '')}"
            for each in found["violations"]
            if each["impact"] in SERIOUS
            for node in each["nodes"]
        ]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "about"):
            host = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
            self.hosts[host] = self.hosts.get(host, 0) + 1

    def _dismissed(self, dialog: Dialog) -> None:
        self.dialogs.append(f"{dialog.type}: {dialog.message}")
        dialog.dismiss()


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser without a window; skips the test, saying so, where the machine has none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: install the package 'chromium', as .ci/run does")
    environment = os.environ | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), env=dict(environment))
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, width: int = 1280, height: int = 900, **context: Any) -> Iterator[Visit]:
    """A page of its own in the browser, with no memory of another.

    Args:
        browser: to open it in.
        width: of the window in CSS pixels.
        height: of the window.
        context: more of `Browser.new_context`, such as `color_scheme="dark"`.
    """
    opened = browser.new_context(viewport={"width": width, "height": height}, **context)
    try:
        yield Visit.of(opened.new_page())
    finally:
        opened.close()
