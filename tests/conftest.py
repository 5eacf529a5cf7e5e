"""Fixtures that test files share: the site that `report` builds, and a browser to open it in."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import warm_kernels
from playwright.sync_api import Browser, sync_playwright
from rendered import CHROMIUM, REPORT, Tab, run

from cm384.notebooks import NOTEBOOKS

sys.path.insert(0, str(NOTEBOOKS / "_ext"))  # the modules of the site are no package
warm_kernels.install()


# The longest files, those that wait for processes of their own and for the site: begun first, so that no
# worker ends with them alone. The first of them builds the site for all.
FIRST = ("test_browser.py", "test_reruns.py", "test_report.py", "test_papermill.py", "test_committed.py",
         "test_derived.py", "test_site.py", "test_calculator.py", "test_scorecard_page.py")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that wait longest come first; the rest stays in order."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a whole `report` writes to, once for all workers of the test run."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # each worker has a folder of its own below that of the run
    folder, done = shared / "report", shared / "report-done"
    with (shared / "report-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the first builds, the others wait for it
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            found = run(REPORT, folder, PYTHONHASHSEED="1")
            assert found.returncode == 0, found.stderr
            done.touch()
    return folder


@pytest.fixture(scope="session")
def site(build: Path) -> Path:
    """The folder of the site that `report` builds."""
    return build / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; of a module, as it leaves an event loop running until it is closed."""
    chromium = shutil.which("chromium")
    if chromium is None:
        missing = "no browser test was run: chromium is not installed (apt-get install chromium)"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        yield opened
        opened.close()


@pytest.fixture
def tab(browser: Browser, site: Path) -> Iterator[Tab]:
    """A new tab that notes errors and outside requests; open a page of the site in it."""
    with browser.new_context() as context:
        yield Tab(context.new_page(), site)
