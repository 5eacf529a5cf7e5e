"""The site that a test run builds, and a browser tab that notes what goes wrong in a page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request

# A process of its own, so that Sphinx and the pool of kernels meet no plug-in of the test run.
BUILD = """
import shutil
import sys
from pathlib import Path
from cm384 import notebooks
executed = notebooks.execute
def committed(path, out, values):
    executed(path, out, values) if path.stem == "02-supernode" else shutil.copy(path, out)
if __name__ == "__main__":
    notebooks.BUILD = Path(sys.argv[1])
    {call}
"""
# A report; the sources that it renders are kept beside its site. It runs one notebook; the rest it takes as
# committed, since nbval runs each of them and compares what it shows.
REPORT = BUILD.format(
    call="""
    notebooks.execute = committed
    render = notebooks.render
    def kept(source, site):  # by as many processes as there are cores
        shutil.copytree(source, notebooks.BUILD / "src")
        render(source, site)
    notebooks.render = kept
    notebooks.report(lambda jobs, total: jobs)
"""
)
RENDER = BUILD.format(call="notebooks.render(notebooks.BUILD / 'src', notebooks.BUILD / 'site', '1')")

# The shell draws pages as Chromium does, and has no window whose parts cost more than the page.
BROWSER = shutil.which("chromium-headless-shell") or shutil.which("chromium")
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


def run(program: str, build: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program that builds the site, or a part of it, into a folder."""
    script = build / "program.py"
    script.write_text(program, encoding="utf-8")
    return subprocess.run(
        [sys.executable, script, build], cwd=build, capture_output=True, text=True, check=False,
        env=os.environ | environment,
    )  # fmt: skip


class Tab:
    """A page of the browser, with what went wrong in it and what it asked for outside the site."""

    def __init__(self, page: Page, site: Path) -> None:
        self.page = page
        self.site = site
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.asked: set[Path] = set()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._asked)
        page.on("requestfailed", self._failed)

    def open(self, name: str, width: int = 1280, scheme: str = "light", height: int = 900) -> Page:
        """A page of the site as a reader sees it at a width."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        self.page.goto(f"{self.site.as_uri()}/{name}")
        return self.page

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.type}: {message.text}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page was left before all of it was there
            self.errors.append(f"failed: {request.url}")

    def _asked(self, request: Request) -> None:
        if request.url.startswith("file:"):
            self.asked.add(Path(unquote(urlsplit(request.url).path)))
        if not request.url.startswith((f"{self.site.as_uri()}/", "data:", "blob:")):
            self.outside.append(request.url)
